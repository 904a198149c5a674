"""May this order go, how large, with which stop? Reads as the list of its checks.

`decide_nb` judges `state.request` at a clock reading and writes `state.decision`. It allocates
nothing, calls nothing outside these kernels and is a pure function of state, request and reading.
Rules: docs/decision.md. Twin: `tests/reference`.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.accounts import roll_account_nb
from server.hotpath.breaker_checks import check_breakers_nb, judge_breakers_nb
from server.hotpath.checks import check_nb, check_numbers_nb, note_nb
from server.hotpath.clock import (
    MODE_REFUSE,
    heartbeat_age_nb,
    mode_nb,
    take_reading_nb,
)
from server.hotpath.controls import check_instrument_nb
from server.hotpath.exits import size_exit_nb
from server.hotpath.idempotency import digest_nb, find_order_nb, make_room_nb, remember_order_nb
from server.hotpath.inputs import (
    read_conversion_rate_nb,
    read_market_nb,
    read_provider_nb,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.kills import check_kills_nb
from server.hotpath.layout import (
    HEARTBEAT_DEGRADED_NS,
    HEARTBEAT_REFUSE_NS,
    NOT_SET,
)
from server.hotpath.limits import apply_caps_nb, check_position_drawdown_nb
from server.hotpath.memory import (
    account_at,
    decision_of,
    engine_of,
    instrument_at,
    remembered_at,
    request_of,
    words_at_nb,
    work_of,
)
from server.hotpath.order_flow import check_flow_nb, count_order_nb
from server.hotpath.order_limits import apply_order_caps_nb
from server.hotpath.parties import check_account_nb, check_parties_nb, find_parties_nb
from server.hotpath.positions import (
    exposure_key_nb,
    find_exposure_nb,
    find_position_nb,
    net_key_nb,
)
from server.hotpath.reasons import (
    R_ARITHMETIC_RANGE,
    R_BELOW_MIN_LOT,
    R_CLOCK_UNCONFIRMED,
    R_ENUM_VALUE_UNKNOWN,
    R_FEED_DEGRADED,
    R_FEED_MISSING,
    R_FEED_STALE,
    R_IDEMPOTENCY_FULL,
    R_LOT_STEP,
    R_RECORD_AWAY,
    R_STOP_REQUIRED,
    S_CUT,
    S_NOT_APPLICABLE,
)
from server.hotpath.records import (
    AGE_ABSENT,
    CONFLICT,
    DECIDED,
    DECISION,
    HAS_REQUESTED_LOTS,
    INVALID,
    KNOWN_LARGEST,
    REPEATED,
    WORK,
)
from server.hotpath.replacement import settle_replaced_nb, take_out_replaced_nb
from server.hotpath.sizing import size_from_risk_nb
from server.hotpath.stops import buffer_stop_nb, predict_slippage_nb
from server.hotpath.units import add_nb, cost_nb
from server.hotpath.validate import has_unknown_enum_nb, validate_nb
from server.hotpath.verdict import (
    VERDICT_DENY,
    check_room_nb,
    finish_sizes_nb,
    give_verdict_nb,
    hold_decision_nb,
)

WORK_WORDS = WORK.itemsize // 8
CLEARED_WORDS = DECISION.fields["limit"][1] // 8  # type: ignore[index]


@routine
def decide_nb(state: Any, reading_ns: int) -> int:
    """Judge `state.request`.

    Args:
        state: MEMORY record; its decision receives the answer.
        reading_ns: wall clock, Unix nanoseconds.

    Returns:
        DECIDED, INVALID (field and problem are set), REPEATED or CONFLICT (idempotency_row is set).
    """
    now_ns = take_reading_nb(state, reading_ns)
    begin_nb(state, now_ns)
    request, decision, work = request_of(state), decision_of(state), work_of(state)
    find_parties_nb(state)
    unknown_enum = has_unknown_enum_nb(request)
    if not unknown_enum and not validate_nb(state):
        return INVALID
    idempotent = request.client_order_id[0] != 0 and work.account_row != 0 and request.dry_run == 0
    if idempotent:
        known = recall_order_nb(state)
        if known != DECIDED:
            return known
    if work.account_row != 0:
        roll_account_nb(state, work.account_row, now_ns)
    if idempotent:
        idempotent = make_room_nb(state, work.account_row, now_ns)
        if idempotent or request.reduce_only == 0:
            check_nb(decision, R_IDEMPOTENCY_FULL, idempotent)
    if check_nb(decision, R_ENUM_VALUE_UNKNOWN, not unknown_enum):
        check_service_nb(state)
        if check_parties_nb(state) and check_kills_nb(state):
            take_out_replaced_nb(state)
            if request.reduce_only != 0:
                size_exit_nb(state)
            else:
                size_new_risk_nb(state)
            check_room_nb(state)
        check_nb(decision, R_ARITHMETIC_RANGE, state.fault == 0)
    finish_nb(state, idempotent)
    return DECIDED


@routine
def recall_answer_nb(state: Any, reading_ns: int) -> int:
    """Tell whether `state.request` was answered before: REPEATED, CONFLICT, else DECIDED.

    Changes nothing; `idempotency_row` is set as by `decide_nb`.
    """
    begin_nb(state, max(engine_of(state).now_ns, reading_ns))
    find_parties_nb(state)
    request, work = request_of(state), work_of(state)
    if request.client_order_id[0] != 0 and work.account_row != 0 and request.dry_run == 0:
        return recall_order_nb(state)
    return DECIDED


@routine
def deny_unjournaled_nb(state: Any, reading_ns: int, reason: int) -> None:
    """Deny `state.request` for one reason and leave no trace: nothing could keep the answer."""
    begin_nb(state, max(engine_of(state).now_ns, reading_ns))
    decision = decision_of(state)
    decision.mode = MODE_REFUSE
    check_nb(decision, reason, False)
    give_verdict_nb(decision, i64(0))


@kernel
def size_new_risk_nb(state: Any) -> None:
    """Run every check on new risk and find its size."""
    check_account_nb(state)
    read_provider_nb(state)
    read_conversion_rate_nb(state)
    read_market_nb(state)
    check_stop_nb(state)
    check_instrument_nb(state)
    check_flow_nb(state)
    find_exposures_nb(state)
    predict_slippage_nb(state)
    buffer_stop_nb(state)
    judge_breakers_nb(state)
    size_from_risk_nb(state)
    check_breakers_nb(state)
    check_position_drawdown_nb(state)
    fit_size_nb(state)


@kernel
def begin_nb(state: Any, now_ns: int) -> None:
    """Empty the answer and the notes of the previous decision."""
    words_at_nb(state.work, WORK_WORDS)[:] = 0
    decision = decision_of(state)
    # The numbers of checks behind `status` need no clearing: `numbers` says which of them count.
    words_at_nb(state.decision, CLEARED_WORDS)[:] = 0
    state.fault = 0
    work_of(state).now_ns = now_ns
    engine = engine_of(state)
    decision.epoch = engine.epoch
    decision.now_ns = now_ns
    decision.state_version = engine.state_version
    decision.model_slot = NOT_SET
    decision.equity_age_ns = AGE_ABSENT
    decision.score_age_ns = AGE_ABSENT
    decision.atr_age_ns = AGE_ABSENT
    decision.volatility_age_ns = AGE_ABSENT
    decision.conversion_rate_age_ns = AGE_ABSENT
    decision.quote_age_ns = AGE_ABSENT
    decision.heartbeat_age_ns = heartbeat_age_nb(state, now_ns)
    decision.mode = mode_nb(state, decision.heartbeat_age_ns)


@kernel
def recall_order_nb(state: Any) -> int:
    """Look the client_order_id up: DECIDED if it is new, else REPEATED or CONFLICT."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    digest = state.scratch[16:18]
    digest_nb(state, digest)
    row = find_order_nb(state, work.account_row, request.client_order_id)
    if row == 0:
        return DECIDED
    remembered = remembered_at(state, row)
    decision.idempotency_row = row
    decision.sequence = remembered.decision_id
    same = remembered.digest[0] == digest[0] and remembered.digest[1] == digest[1]
    return REPEATED if same else CONFLICT


@kernel
def check_service_nb(state: Any) -> None:
    """Judge the service itself: feed, clock, record. None of it stops an exit."""
    decision, engine = decision_of(state), engine_of(state)
    age = decision.heartbeat_age_ns
    if age != AGE_ABSENT and age > HEARTBEAT_DEGRADED_NS:
        note_nb(decision, R_FEED_DEGRADED)
    if engine.record_away != 0:
        note_nb(decision, R_RECORD_AWAY)
    if request_of(state).reduce_only != 0:
        decision.status[R_FEED_MISSING] = S_NOT_APPLICABLE
        decision.status[R_FEED_STALE] = S_NOT_APPLICABLE
        decision.status[R_CLOCK_UNCONFIRMED] = S_NOT_APPLICABLE
        return
    if check_nb(decision, R_FEED_MISSING, age != AGE_ABSENT):
        check_numbers_nb(
            decision, R_FEED_STALE, age <= HEARTBEAT_REFUSE_NS, HEARTBEAT_REFUSE_NS, age
        )
    check_nb(decision, R_CLOCK_UNCONFIRMED, engine.clock_unconfirmed == 0)


@kernel
def check_stop_nb(state: Any) -> None:
    """Deny new risk without a stop; set the stop distance."""
    work, decision = work_of(state), decision_of(state)
    if check_nb(decision, R_STOP_REQUIRED, work.stop_ticks > 0):
        work.distance_ticks = abs(work.entry_ticks - work.stop_ticks)


@kernel
def find_exposures_nb(state: Any) -> None:
    """Find the net position of the symbol and the exposure of its correlation group."""
    work = work_of(state)
    net_key_nb(state, work.account_row, work.instrument_row)
    work.net_row = find_position_nb(state)
    exposure_key_nb(state, work.account_row, work.instrument_row)
    work.exposure_row = find_exposure_nb(state)


@kernel
def price_hold_nb(state: Any) -> None:
    """Work out what a hold would cost before the verdict, so that a sum out of range denies."""
    work, decision = work_of(state), decision_of(state)
    account = account_at(state, work.account_row)
    instrument = instrument_at(state, work.instrument_row)
    mantissa, scale = instrument.lot_mantissa, instrument.lot_scale
    lots = decision.lot_steps
    work.hold_risk_micros = cost_nb(state, lots, decision.loss_per_lot_micros, mantissa, scale)
    work.hold_notional_micros = cost_nb(
        state, lots, decision.notional_per_lot_micros, mantissa, scale
    )
    add_nb(state, account.held_risk_micros, work.hold_risk_micros)
    add_nb(state, account.held_notional_micros, work.hold_notional_micros)


@kernel
def fit_size_nb(state: Any) -> None:
    """Fit the target into every cap; a size below the minimum lot is denied, never rounded up."""
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    if work.off_step != 0:
        decision.status[R_LOT_STEP] = S_CUT
    if work.sizes_known == 0:
        return
    asked = (request.present & HAS_REQUESTED_LOTS) != 0
    decision.target_steps = work.requested_steps if asked else work.risk_steps
    apply_caps_nb(state)
    apply_order_caps_nb(state)
    decision.lot_steps = min(decision.target_steps, decision.largest_steps)
    decision.known |= KNOWN_LARGEST
    minimum = instrument_at(state, work.instrument_row).min_lot_steps
    check_numbers_nb(
        decision, R_BELOW_MIN_LOT, decision.lot_steps >= minimum, minimum, decision.lot_steps
    )
    if decision.largest_steps < minimum:
        decision.largest_steps = 0
    price_hold_nb(state)


@kernel
def finish_nb(state: Any, idempotent: bool) -> None:
    """Give the verdict, hold what it lets through, remember the order, and number the decision."""
    request, work, decision, engine = (
        request_of(state),
        work_of(state),
        decision_of(state),
        engine_of(state),
    )
    instrument = instrument_at(state, work.instrument_row)
    engine.sequence += 1
    decision.sequence = engine.sequence
    give_verdict_nb(decision, work.off_step)
    if work.instrument_row != 0:
        finish_sizes_nb(decision, instrument.lot_mantissa, instrument.lot_scale)
    holds = decision.verdict != VERDICT_DENY and request.dry_run == 0
    if holds:
        hold_decision_nb(state)
        count_order_nb(state)
    settle_replaced_nb(state, holds)
    if idempotent:
        decision.idempotency_row = remember_order_nb(
            state, work.account_row, request.client_order_id, state.scratch[16:18]
        )
