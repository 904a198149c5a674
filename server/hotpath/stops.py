"""Slippage and stop buffer: what the fill may cost, and how far behind the stop it may happen."""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.checks import note_nb
from server.hotpath.clock import session_nb
from server.hotpath.encodings import lookup_encoding_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import ID_WORDS, MICROS, NOT_SET, PPM, SECOND_NS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    engine_of,
    instrument_at,
    models_of,
    policy_of,
    request_of,
    work_of,
)
from server.hotpath.model_features import (
    ATR,
    DAY_OF_WEEK,
    ENCODING_Q50,
    HOUR,
    RELEASE_DISTANCE,
    REQUESTED_LOTS,
    SESSION,
    SIDE,
    STOP_DISTANCE,
    VOLATILITY_INDEX,
)
from server.hotpath.model_tables import NO_MODEL_SLOT
from server.hotpath.models import evaluate_nb
from server.hotpath.reasons import R_MODEL_MISSING, R_MODEL_OUTPUT_CAPPED, R_MODEL_OUTPUT_INVALID
from server.hotpath.records import (
    HAS_REQUESTED_LOTS,
    KNOWN_MODEL,
    KNOWN_SLIPPAGE,
    KNOWN_STOP_PRICE,
    KNOWN_TRAILING,
)
from server.hotpath.units import UP, add_nb, decimal_nb, mul_div_nb

_HALF_HOUR_S = 1_800
_HOUR_S = 3_600
_DAY_S = 86_400
_PIPS_MAX = 1e6
_ABSENT = np.float32(-1.0)


@kernel
def write_features_nb(state: Any, models: Any) -> None:
    """Fill `state.features` for the active model (docs/decision.md, section 9)."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    instrument = instrument_at(state, work.instrument_row)
    features = state.features
    for word in range(ID_WORDS):
        state.scratch[word] = request.provider_id[word]
    for word in range(SYMBOL_WORDS):
        state.scratch[ID_WORDS + word] = instrument.symbol[word]
    lookup_encoding_nb(
        models,
        engine_of(state).model_slot,
        state.scratch[:ID_WORDS],
        request.provider_type,
        state.scratch[ID_WORDS : ID_WORDS + SYMBOL_WORDS],
        features[ENCODING_Q50 : ENCODING_Q50 + 2],
    )
    seconds = work.now_ns // SECOND_NS
    since = seconds % _HALF_HOUR_S
    features[RELEASE_DISTANCE] = np.float32(min(since, _HALF_HOUR_S - since) / 60.0)
    features[HOUR] = np.float32(seconds % _DAY_S // _HOUR_S)
    features[DAY_OF_WEEK] = np.float32((seconds // _DAY_S + 3) % 7 + 1)
    features[SESSION] = np.float32(decision.session)
    pip = np.float64(instrument.ticks_per_pip)
    features[ATR] = np.float32(work.atr_ticks / pip) if work.atr_ticks > 0 else _ABSENT
    volatility = work.volatility_micropoints
    features[VOLATILITY_INDEX] = np.float32(volatility / 1e6) if volatility >= 0 else _ABSENT
    features[STOP_DISTANCE] = (
        np.float32(work.distance_ticks / pip) if work.stop_ticks > 0 else _ABSENT
    )
    asked = (request.present & HAS_REQUESTED_LOTS) != 0
    features[REQUESTED_LOTS] = np.float32(request.requested_lots) if asked else _ABSENT
    features[SIDE] = np.float32(work.direction)


@kernel
def _usable_nb(quantiles: Any) -> bool:
    return abs(quantiles[0]) <= _PIPS_MAX and abs(quantiles[1]) <= _PIPS_MAX


@kernel
def predict_slippage_nb(state: Any) -> None:
    """Set the slippage that sizing uses.

    The model's 0.9 quantile within the policy's bounds, else the default.
    """
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    policy = policy_of(state)
    instrument = instrument_at(state, work.instrument_row)
    decision.session = request.session if request.session != 0 else session_nb(state, work.now_ns)
    decision.model_slot = engine_of(state).model_slot
    spoke = False
    if decision.model_slot != NO_MODEL_SLOT:
        models = models_of(state)
        write_features_nb(state, models)
        spoke = evaluate_nb(models, decision.model_slot, state.features, state.quantiles[:2])
        spoke = spoke and _usable_nb(state.quantiles)
        if not spoke:
            note_nb(decision, R_MODEL_OUTPUT_INVALID)
    else:
        note_nb(decision, R_MODEL_MISSING)
    if spoke:
        decision.known |= KNOWN_MODEL
        decision.predicted_slippage_pips = state.quantiles[0]
        micropips = max(i64(np.ceil(state.quantiles[1] * 1e6 - 1e-6)), i64(0))
        if micropips > policy.slippage_cap_micropips:
            micropips = policy.slippage_cap_micropips
            note_nb(decision, R_MODEL_OUTPUT_CAPPED)
    else:
        micropips = instrument.default_slippage_micropips
        decision.predicted_slippage_pips = micropips / 1e6
    decision.slippage_micropips = max(policy.slippage_floor_micropips, micropips)
    decision.slippage_ticks = mul_div_nb(
        state, decision.slippage_micropips, instrument.ticks_per_pip, MICROS, UP
    )
    decision.known |= KNOWN_SLIPPAGE


@kernel
def buffer_stop_nb(state: Any) -> None:
    """Set the stop buffer, the buffered stop and the trailing distance.

    buffer = clamp(ceil(S · k_slip · quality + k_atr · ATR), min, max), each factor rounded up in
    millionths of a tick.
    """
    work, decision = work_of(state), decision_of(state)
    policy = policy_of(state)
    instrument = instrument_at(state, work.instrument_row)
    slipped = mul_div_nb(state, decision.slippage_ticks, MICROS, 1, UP)
    slipped = mul_div_nb(state, slipped, policy.k_slip_ppm, PPM, UP)
    slipped = mul_div_nb(state, slipped, work.quality_ppm, PPM, UP)
    ranged = mul_div_nb(state, work.atr_ticks, policy.k_atr_ppm, 1, UP)
    buffer = mul_div_nb(state, add_nb(state, slipped, ranged), 1, MICROS, UP)
    buffer = max(
        buffer, mul_div_nb(state, policy.buffer_min_micropips, instrument.ticks_per_pip, MICROS, UP)
    )
    if policy.buffer_max_micropips != NOT_SET:
        buffer = min(
            buffer,
            mul_div_nb(state, policy.buffer_max_micropips, instrument.ticks_per_pip, MICROS, UP),
        )
    decision.buffer_ticks = buffer
    decision.sl_buffer_pips = np.float64(buffer) / np.float64(instrument.ticks_per_pip)
    if work.stop_ticks > 0:
        decision.stop_ticks = max(work.stop_ticks - work.direction * buffer, i64(1))
        decision.stop_price = decimal_nb(
            decision.stop_ticks, instrument.tick_mantissa, instrument.tick_scale
        )
        decision.known |= KNOWN_STOP_PRICE
    if account_at(state, work.account_row).has_configuration == 0:
        return
    multiple = configuration_at(state, work.account_row).position_trailing_stop_ppm
    if multiple != NOT_SET and work.atr_ticks > 0:
        decision.trailing_ticks = mul_div_nb(state, work.atr_ticks, multiple, PPM, UP)
        decision.trailing_stop_distance = decimal_nb(
            decision.trailing_ticks, instrument.tick_mantissa, instrument.tick_scale
        )
        decision.known |= KNOWN_TRAILING
