"""One ReportExecutionRequest to one ReportExecutionResponse."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import ID_BYTES_MAX, MICROS
from server.hotpath.memory import engine_of, report_of, result_of
from server.hotpath.records import (
    P_REQUIRED,
    REPORT,
    REPORT_ACCOUNT_UNKNOWN,
    REPORT_FULL,
    REPORT_INVALID,
)
from server.hotpath.reports import report_nb
from server.hotpath.wire import fields as f
from server.hotpath.wire.decision import refuse_malformed_nb
from server.hotpath.wire.decode import begin_message_nb, scan_inner_message_nb
from server.hotpath.wire.encode import put_double_nb, put_number_nb
from server.hotpath.wire.grants import may_use_nb
from server.hotpath.wire.numbers import nearest_nb
from server.hotpath.wire.outcome import REFUSED
from server.hotpath.wire.packing import pack_report_nb
from server.hotpath.wire.refusal_texts import (
    IN_REPORT,
    JOURNAL_AWAY,
    N_REPORT,
    TABLES_FULL,
    TOO_LARGE,
    WRONG_SHARD,
)
from server.hotpath.wire.refusals import refuse_account_nb, refuse_field_nb, refuse_fixed_nb
from server.hotpath.wire.scan import DEPTH_MAX, LENGTH, MALFORMED, read_field_nb
from server.hotpath.wire.sharding import owns_account_nb
from server.hotpath.wire.tables import IS_REPORT
from server.hotpath.wire.text import text_length_nb

_ACCOUNT_AT: Final[int] = REPORT.fields["account_id"][1]  # type: ignore[index]


@kernel
def _read_report_nb(state: Any, wire: Any, address: int, length: int) -> bool:
    """Decode the report of a request into `state.report`."""
    begin_message_nb(wire, i64(IS_REPORT), state.report)
    end = address + length
    found, is_good = False, True
    while address < end:
        number, wire_type, value, content, address = read_field_nb(
            address, end, i64(DEPTH_MAX), wire.open_numbers
        )
        if address == MALFORMED:
            wire.bad_text = 0
            refuse_malformed_nb(wire, i64(0))
            return False
        is_good &= number != 0
        if number == f.REPORT_EXECUTION_REQUEST_REPORT and wire_type == LENGTH:
            found = True
            is_good &= scan_inner_message_nb(wire, i64(IS_REPORT), state.report, content, value)
    if not is_good or wire.bad_text != 0:
        refuse_malformed_nb(wire, i64(IN_REPORT))
        return False
    if not found:
        refuse_field_nb(wire, i64(0), i64(N_REPORT), i64(P_REQUIRED))
        return False
    return pack_report_nb(wire, i64(IS_REPORT), state.report)


@kernel
def _lots_nb(steps: int, mantissa: int, scale: int) -> float:
    return nearest_nb(steps, i64(0), mantissa, scale) if scale != 0 else 0.0


@routine
def _put_result_nb(out: int, state: Any, outcome: int) -> int:
    result = result_of(state)
    mantissa, scale = result.lot_mantissa, result.lot_scale
    equity = nearest_nb(result.equity_micros, i64(0), i64(1), i64(MICROS))
    held = _lots_nb(result.held_steps, mantissa, scale)
    position = _lots_nb(result.position_steps, mantissa, scale)
    out = put_number_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_OUTCOME), outcome)
    out = put_number_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_SEQUENCE), result.sequence)
    out = put_number_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_EPOCH), engine_of(state).epoch)
    out = put_double_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_EQUITY), equity)
    out = put_double_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_HELD_LOTS), held)
    return put_double_nb(out, i64(f.REPORT_EXECUTION_RESPONSE_POSITION_LOTS), position)


@routine
def answer_report_nb(
    state: Any, wire: Any, address: int, length: int, received_ns: int, out: int
) -> int:
    """Apply one report.

    Returns:
        Length of the ReportExecutionResponse at `out`, or REFUSED. Arguments as for
        `answer_decide_nb`.
    """
    if length > wire.request_bytes_max:
        refuse_fixed_nb(wire, i64(TOO_LARGE))
        return i64(REFUSED)
    if not _read_report_nb(state, wire, address, length):
        return i64(REFUSED)
    if not may_use_nb(wire, state.report + _ACCOUNT_AT, i64(0)):
        return i64(REFUSED)
    if not owns_account_nb(wire, state.report + _ACCOUNT_AT):
        refuse_fixed_nb(wire, i64(WRONG_SHARD))
        return i64(REFUSED)
    if wire.barred != 0 and wire.exits_only == 0:
        refuse_fixed_nb(wire, i64(JOURNAL_AWAY))
        return i64(REFUSED)
    outcome = report_nb(state, received_ns)
    if outcome == REPORT_INVALID:
        result = result_of(state)
        refuse_field_nb(wire, i64(IN_REPORT), result.field, result.problem)
    elif outcome == REPORT_ACCOUNT_UNKNOWN:
        account_id = address_of(report_of(state)) + _ACCOUNT_AT
        refuse_account_nb(wire, account_id, text_length_nb(account_id, i64(ID_BYTES_MAX)))
    elif outcome == REPORT_FULL:
        refuse_fixed_nb(wire, i64(TABLES_FULL))
    else:
        wire.reports[outcome] += 1
        wire.applied = 1
        return _put_result_nb(out, state, outcome) - out
    return i64(REFUSED)
