"""What a decision reads besides the request.

Provider score, conversion rate, ATR, volatility, regime; each with its age.

An input that is missing or too old denies by its own reason; it never passes by being absent.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.breaker_checks import volatility_needed_nb
from server.hotpath.checks import check_nb, check_numbers_nb, note_nb
from server.hotpath.clock import age_nb
from server.hotpath.jit import i64, kernel
from server.hotpath.layout import (
    CONVERSION_RATE_STALE_NS,
    ID_WORDS,
    MARKET_STALE_NS,
    NEUTRAL_SCORE_MICROPOINTS,
    NOT_SET,
    PICOS,
    PPM,
    SCORE_STALE_NS,
    SYMBOL_WORDS,
)
from server.hotpath.memory import (
    account_at,
    configuration_at,
    decision_of,
    instrument_at,
    policy_of,
    provider_at,
    providers_of,
    rate_at,
    rates_of,
    request_of,
    words_at_nb,
    work_of,
)
from server.hotpath.reasons import (
    R_ATR_MISSING,
    R_CONVERSION_RATE_MISSING,
    R_INPUT_STALE,
    R_NEW_PROVIDER,
    R_PROVIDER_SCORE_LOW,
    R_PROVIDER_UNKNOWN,
    R_REGIME_BLOCKED,
    R_REGIME_MISSING,
    R_SCORE_STALE,
    R_VOLATILITY_MISSING,
    S_NOT_APPLICABLE,
    S_PASS,
)
from server.hotpath.records import HAS_ATR, HAS_VOLATILITY_INDEX, KNOWN_SCORE, REQUEST
from server.hotpath.table import find_nb
from server.hotpath.units import DOWN, OUT_OF_RANGE, UP, atr_ticks_nb, interpolate_nb

PROVIDER_KEY_WORDS = ID_WORDS + 1
_PROVIDER_OFFSET = REQUEST.fields["provider_id"][1]  # type: ignore[index]


@kernel
def provider_key_nb(state: Any) -> Any:
    """Return the provider of the request as a key: id and type stand side by side in REQUEST."""
    return words_at_nb(state.request + _PROVIDER_OFFSET, PROVIDER_KEY_WORDS)


@kernel
def read_provider_nb(state: Any) -> None:
    """Turn the provider's score into multiplier (of risk money) and quality (of the buffer)."""
    decision, work = decision_of(state), work_of(state)
    account = account_at(state, work.account_row)
    policy = policy_of(state)
    row = find_nb(providers_of(state), provider_key_nb(state), PROVIDER_KEY_WORDS)
    if row != 0 and provider_at(state, row).alive == 0:
        row = 0
    work.provider_row = row
    decision.score_micropoints = NEUTRAL_SCORE_MICROPOINTS
    stale = False
    if row != 0:
        provider = provider_at(state, row)
        decision.score_micropoints = provider.score_micropoints
        decision.score_age_ns = age_nb(work.now_ns, provider.calculated_at_ns)
        decision.status[R_PROVIDER_UNKNOWN] = S_PASS
        stale = decision.score_age_ns > SCORE_STALE_NS
    elif account.allow_new_providers != 0:
        work.new_provider = 1
        decision.status[R_PROVIDER_UNKNOWN] = S_PASS
        note_nb(decision, R_NEW_PROVIDER)
    else:
        check_nb(decision, R_PROVIDER_UNKNOWN, False)
    if row != 0 or work.new_provider != 0:
        decision.known |= KNOWN_SCORE
    score = decision.score_micropoints
    decision.multiplier_ppm = interpolate_nb(
        state,
        score,
        policy.multiplier_count,
        policy.multiplier_score_micropoints,
        policy.multiplier_ppm,
        DOWN,
    )
    work.quality_ppm = interpolate_nb(
        state, score, policy.quality_count, policy.quality_score_micropoints, policy.quality_ppm, UP
    )
    if stale:
        decision.multiplier_ppm = min(decision.multiplier_ppm, PPM)
        note_nb(decision, R_SCORE_STALE)
    minimum = configuration_at(state, work.account_row).min_provider_score_micropoints
    if account.has_configuration != 0 and minimum != NOT_SET:
        check_numbers_nb(decision, R_PROVIDER_SCORE_LOW, score >= minimum, minimum, score)
    else:
        decision.status[R_PROVIDER_SCORE_LOW] = S_NOT_APPLICABLE


@kernel
def read_conversion_rate_nb(state: Any) -> None:
    """Find the rate from the instrument's quote currency to the account's.

    1 when they are the same.
    """
    decision, work = decision_of(state), work_of(state)
    quote = instrument_at(state, work.instrument_row).quote_currency
    currency = account_at(state, work.account_row).currency
    if quote == currency:
        work.rate_picos = PICOS
        decision.status[R_CONVERSION_RATE_MISSING] = S_NOT_APPLICABLE
        return
    rate = find_rate_nb(state, quote, currency)
    observed = 0
    if rate != 0:
        decision.conversion_rate_age_ns = age_nb(work.now_ns, rate_at(state, rate).as_of_ns)
        observed = decision.conversion_rate_age_ns
    passed = rate != 0 and observed <= CONVERSION_RATE_STALE_NS
    check_numbers_nb(
        decision, R_CONVERSION_RATE_MISSING, passed, CONVERSION_RATE_STALE_NS, observed
    )
    if passed:
        work.rate_picos = rate_at(state, rate).rate_picos


@kernel
def find_rate_nb(state: Any, from_currency: int, to_currency: int) -> int:
    """Return the row of a conversion rate, 0 if there is none."""
    state.scratch[0] = from_currency
    state.scratch[1] = to_currency
    row = find_nb(rates_of(state), state.scratch, 2)
    return row if row != 0 and rate_at(state, row).rate_picos > 0 else i64(0)


@kernel
def _read_atr_nb(
    instrument: Any, decision: Any, work: Any, has_request: bool, needed: bool
) -> None:
    stored = i64(0)
    if instrument.atr_at_ns > 0:
        stored = atr_ticks_nb(instrument.atr, instrument.tick_size)
        if stored == OUT_OF_RANGE:
            stored = i64(0)
    age = age_nb(work.now_ns, instrument.atr_at_ns)
    fresh = stored > 0 and age <= MARKET_STALE_NS
    decision.status[R_ATR_MISSING] = S_PASS if needed else S_NOT_APPLICABLE
    if has_request and (not fresh or work.atr_ticks >= stored):
        decision.atr_age_ns = 0
    elif fresh:
        work.atr_ticks = stored
        decision.atr_age_ns = age
    elif needed and stored > 0:
        work.atr_unusable = 1
        check_numbers_nb(decision, R_INPUT_STALE, False, MARKET_STALE_NS, age)
    elif needed:
        work.atr_unusable = 1
        check_nb(decision, R_ATR_MISSING, False)


@kernel
def _read_volatility_nb(
    instrument: Any, decision: Any, work: Any, has_request: bool, needed: bool
) -> None:
    known = instrument.volatility_at_ns > 0
    age = age_nb(work.now_ns, instrument.volatility_at_ns)
    fresh = known and age <= MARKET_STALE_NS
    decision.status[R_VOLATILITY_MISSING] = S_PASS if needed else S_NOT_APPLICABLE
    if has_request and (
        not fresh or work.volatility_micropoints >= instrument.volatility_micropoints
    ):
        decision.volatility_age_ns = 0
    elif fresh:
        work.volatility_micropoints = instrument.volatility_micropoints
        decision.volatility_age_ns = age
    elif needed and known:
        if work.atr_unusable == 0 or decision.status[R_INPUT_STALE] == S_PASS:
            check_numbers_nb(decision, R_INPUT_STALE, False, MARKET_STALE_NS, age)
    elif needed:
        check_nb(decision, R_VOLATILITY_MISSING, False)


@kernel
def _read_regime_nb(configuration: Any, instrument: Any, decision: Any, work: Any) -> None:
    work.regime_ppm = PPM
    decision.status[R_REGIME_MISSING] = S_NOT_APPLICABLE
    decision.status[R_REGIME_BLOCKED] = S_NOT_APPLICABLE
    if configuration.regime_count == 0:
        return
    if not check_nb(decision, R_REGIME_MISSING, instrument.regime[0] != 0):
        return
    check_nb(decision, R_REGIME_BLOCKED, True)
    for entry in range(configuration.regime_count):
        same = True
        for word in range(SYMBOL_WORDS):
            same &= (
                configuration.regime_names[entry * SYMBOL_WORDS + word] == instrument.regime[word]
            )
        if same:
            work.regime_ppm = min(configuration.regime_multiplier_ppm[entry], PPM)
            check_nb(decision, R_REGIME_BLOCKED, configuration.regime_blocked[entry] == 0)
            return


@kernel
def read_market_nb(state: Any) -> None:
    """Settle ATR, volatility and regime: the larger of request and fresh stored value.

    Needed but missing denies.
    """
    request, decision, work = request_of(state), decision_of(state), work_of(state)
    instrument = instrument_at(state, work.instrument_row)
    configuration = configuration_at(state, work.account_row)
    configured = account_at(state, work.account_row).has_configuration != 0
    decision.status[R_INPUT_STALE] = S_PASS
    _read_atr_nb(
        instrument, decision, work, (request.present & HAS_ATR) != 0, policy_of(state).k_atr_ppm > 0
    )
    needed = (configured and configuration.volatility_adjustment_ppm > 0) or volatility_needed_nb(
        state, work.account_row, work.instrument_row
    )
    _read_volatility_nb(
        instrument, decision, work, (request.present & HAS_VOLATILITY_INDEX) != 0, needed
    )
    work.regime_ppm = PPM
    if configured:
        _read_regime_nb(configuration, instrument, decision, work)
    if instrument.quote_at_ns > 0:
        decision.quote_age_ns = age_nb(work.now_ns, instrument.quote_at_ns)
