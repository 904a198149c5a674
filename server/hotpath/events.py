"""Events: one per trip of a breaker, which are also the directives that routers acknowledge.

Event n lies in row (n - 1) mod capacity + 1, so the oldest is overwritten when the ring is full.
`account.first_event` and `event.next_of_account` are *numbers of events*, newest first, of those
that nobody has acknowledged: one that was overwritten ends its chain, since none behind it is
younger. Rules: docs/decision.md, section 14.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.breaker_conditions import observed_nb, threshold_nb
from server.hotpath.breaker_scope import covers_instrument_nb
from server.hotpath.intrinsics import address_of, copy_bytes, load_word
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    breaker_at,
    engine_of,
    event_at,
    instrument_at,
    position_at,
    request_of,
    words_at_nb,
)
from server.hotpath.programs import is_expression_nb, loaded_nb
from server.hotpath.rows import EVENT, EVENT_KEPT_BYTES, EVENT_POSITIONS_MAX, EVENT_VALUES_MAX
from server.hotpath.units import share_ppm_nb

EVENT_WORDS: Final = EVENT.itemsize // 8
_DETAIL_AT: Final[int] = EVENT.fields["detail"][1]  # type: ignore[index]
DETAIL_BYTES_MAX: Final = 8 * 32
NO_DRAWDOWN: Final = -1


@kernel
def event_row_nb(state: Any, event_id: int) -> int:
    """Return the row of an event, 0 when it was overwritten or never made."""
    if event_id < 1 or event_id > engine_of(state).event_count:
        return i64(0)
    row = (event_id - 1) % state.event_capacity + 1
    return row if event_at(state, row).event_id == event_id else i64(0)


@kernel
def first_event_nb(state: Any, account_row: int) -> int:
    """Return the row of an account's newest event that is not acknowledged, 0 if there is none."""
    return event_row_nb(state, account_at(state, account_row).first_event)


@kernel
def next_event_nb(state: Any, row: int) -> int:
    """Return the row of the next older event of the same account, 0 if there is none."""
    return event_row_nb(state, event_at(state, row).next_of_account)


@kernel
def _drawdown_nb(account: Any) -> int:
    if account.peak_micros <= 0:
        return i64(NO_DRAWDOWN)
    fall = max(account.peak_micros - account.equity_micros, i64(0))
    return share_ppm_nb(fall, account.peak_micros)


@routine
def _list_positions_nb(state: Any, row: int, breaker_row: int, account_row: int) -> None:
    """List the net positions in a breaker's symbols and exchanges."""
    event, breaker = event_at(state, row), breaker_at(state, breaker_row)
    at = account_at(state, account_row).first_position
    while at != 0:
        position = position_at(state, at)
        if position.position_id[0] == 0 and position.net_steps != 0:
            instrument = instrument_at(state, position.instrument_row)
            if covers_instrument_nb(breaker, instrument):
                listed = event.position_count
                event.position_count = listed + 1
                if listed < EVENT_POSITIONS_MAX:
                    for word in range(SYMBOL_WORDS):
                        event.position_symbols[listed * SYMBOL_WORDS + word] = instrument.symbol[
                            word
                        ]
                    event.position_steps[listed] = position.net_steps
                    event.position_lot_mantissa[listed] = instrument.lot_mantissa
                    event.position_lot_scale[listed] = instrument.lot_scale
        at = position.next_position


@routine
def _list_values_nb(state: Any, row: int, breaker_row: int) -> None:
    """List the variables that a breaker's program loads, each once, with their values now."""
    event, breaker = event_at(state, row), breaker_at(state, breaker_row)
    count = i64(0)
    for step in range(breaker.program_length):
        variable = loaded_nb(breaker.program[step])
        known = variable < 0
        for listed in range(count):
            known |= event.value_names[listed] == variable
        if not known and count < EVENT_VALUES_MAX:
            event.value_names[count] = variable
            event.values[count] = state.variables[variable]
            count += 1
    event.value_count = count


@routine
def make_event_nb(state: Any, breaker_row: int, now_ns: int, over_request: bool) -> int:
    """Keep that a breaker has just tripped; return the number of the event.

    Args:
        state: MEMORY record; of an expression the variables that it was judged by stand in it.
        breaker_row: that has gone to its new state already.
        now_ns: engine time.
        over_request: the request at hand has tripped it.
    """
    breaker, engine = breaker_at(state, breaker_row), engine_of(state)
    account_row = breaker.account_row
    account = account_at(state, account_row)
    event_id = engine.event_count + 1
    engine.event_count = event_id
    row = (event_id - 1) % state.event_capacity + 1
    event = event_at(state, row)
    words_at_nb(address_of(event), EVENT_WORDS)[:] = 0
    event.event_id = event_id
    event.at_ns = now_ns
    # What is being handled takes its number when it is done.
    event.sequence = engine.sequence + 1
    for word in range(ID_WORDS):
        event.breaker_id[word] = breaker.breaker_id[word]
        event.breaker_name[word] = breaker.name[word]
        event.account_id[word] = account.account_id[word]
    event.condition = breaker.condition
    event.action = breaker.action
    event.state = breaker.state
    event.threshold = threshold_nb(breaker)
    event.observed = observed_nb(state, breaker_row, account_row)
    event.equity_micros = account.equity_micros
    event.drawdown_ppm = _drawdown_nb(account)
    event.consecutive_losses = account.consecutive_losses
    if is_expression_nb(breaker):
        _list_values_nb(state, row, breaker_row)
    if over_request:
        request = request_of(state)
        for word in range(SYMBOL_WORDS):
            event.symbol[word] = request.symbol[word]
    _list_positions_nb(state, row, breaker_row, account_row)
    event.account_row = account_row
    event.next_of_account = account.first_event
    account.first_event = event_id
    breaker.event_at_ns = now_ns
    return event_id


@routine
def _leave_chain_nb(state: Any, row: int) -> None:
    """Take an event out of its account's chain."""
    event = event_at(state, row)
    account = account_at(state, event.account_row)
    if account.first_event == event.event_id:
        account.first_event = event.next_of_account
        return
    before = first_event_nb(state, event.account_row)
    while before != 0:
        newer = event_at(state, before)
        if newer.next_of_account == event.event_id:
            newer.next_of_account = event.next_of_account
            return
        before = next_event_nb(state, before)


@routine
def acknowledge_event_nb(
    state: Any,
    event_id: int,
    succeeded: bool,
    detail_address: int,
    detail_bytes: int,
    now_ns: int,
) -> bool:
    """Keep what became of a directive; False when it is unknown or was acknowledged before.

    Args:
        state: MEMORY record.
        event_id: any number.
        succeeded: the router did what the directive says.
        detail_address: of text.
        detail_bytes: of it, at least 0; what is longer than DETAIL_BYTES_MAX is cut.
        now_ns: engine time, > 0.
    """
    row = event_row_nb(state, event_id)
    if row == 0 or event_at(state, row).acknowledged_at_ns != 0:
        return False
    _leave_chain_nb(state, row)
    event = event_at(state, row)
    event.acknowledged_at_ns = now_ns
    event.succeeded = 1 if succeeded else 0
    event.next_of_account = 0
    kept = min(detail_bytes, DETAIL_BYTES_MAX)
    copy_bytes(address_of(event) + _DETAIL_AT, detail_address, kept)
    return True


@kernel
def same_event_nb(state: Any, event_id: int, address: int) -> bool:
    """Tell whether what the journal kept of an event, at an address, is the state's own event."""
    row = event_row_nb(state, event_id)
    if row == 0:
        return False
    own = address_of(event_at(state, row))
    for word in range(EVENT_KEPT_BYTES // 8):
        if load_word(own + 8 * word) != load_word(address + 8 * word):
            return False
    return True
