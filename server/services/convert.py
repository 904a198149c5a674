"""Messages of the decision port to engine records and back: the only translator.

Text is packed and numbers are copied; whether they make sense is judged by the kernels, so nothing
here depends on the state. What cannot be packed (text too long or with a zero byte, a time or an
unsigned number beyond int64) is refused by name. All columns of a record are written or read by one
`struct` call, whose format follows the dtype.
"""

from collections import namedtuple
from functools import lru_cache
from struct import Struct
from typing import Any, Final, cast

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1.decision_pb2 import (
    DecideRequest,
    DecideResponse,
    ExecutionReport,
    InputAges,
    ReportExecutionResponse,
)
from riskgate.v1.types_pb2 import DURABILITY_MEMORY, Durability, Reason
from server.errors import InvalidFieldError
from server.hotpath.layout import (
    ID_BYTES_MAX,
    MICROS,
    MILLISECOND_NS,
    PPM,
    SECOND_NS,
    SYMBOL_BYTES_MAX,
)
from server.hotpath.memory import State
from server.hotpath.reasons import REASON_CODES, REASONS_MAX, S_CUT, S_DENY, S_NOTE
from server.hotpath.records import (
    DECISION,
    FIELDS,
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    KNOWN_HOLD,
    KNOWN_LARGEST,
    KNOWN_MODEL,
    KNOWN_SCORE,
    KNOWN_SLIPPAGE,
    KNOWN_STOP_PRICE,
    KNOWN_TRAILING,
    PROBLEMS,
    REPORT,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
    REQUEST,
)
from server.services.directives import list_directives
from server.services.explanation import write_breakers, write_checks

Array = np.ndarray[Any, np.dtype[Any]]

_INT64_MAX: Final = 2**63 - 1


def _struct_of(dtype: np.dtype[np.void], before: str | None = None) -> Struct:
    """Return the struct of a record's columns, all or those before one."""
    codes: list[str] = []
    for name in _names_of(dtype, before):
        column = dtype[name]
        codes.append(f"{column.itemsize}s" if column.shape else _CODES[column.kind])
    return Struct("<" + "".join(codes))


def _names_of(dtype: np.dtype[np.void], before: str | None = None) -> list[str]:
    names = list(dtype.names or ())
    return names if before is None else names[: names.index(before)]


_CODES: Final = {"i": "q", "f": "d"}
_FIRST_ARRAY: Final = "breaker_row"
_STATUS_AT: Final[int] = DECISION.fields["status"][1]  # type: ignore[index]
_VERSION: Final = Struct("<32s3q")
# Any, three times: before Python 3.12 the type checker does not know that an array is a buffer, and
# it cannot see the columns of a dtype. The cast gives the plain ints their generated type.
_pack_request: Any = _struct_of(REQUEST).pack_into
_pack_report: Any = _struct_of(REPORT).pack_into
_unpack_scalars: Any = _struct_of(DECISION, _FIRST_ARRAY).unpack_from
_unpack_status: Any = Struct(f"<{REASONS_MAX}s").unpack_from
_unpack_policy: Any = Struct(f"<{_VERSION.size}s").unpack_from
_Scalars: Any = namedtuple("_Scalars", _names_of(DECISION, _FIRST_ARRAY))  # type: ignore[misc]  # noqa: PYI024
_REASONS: Final = cast("tuple[Reason, ...]", REASON_CODES)


# --- Requests ---


def write_request(message: DecideRequest, request: Array) -> None:
    """Fill a REQUEST record.

    Args:
        message: What the caller sent.
        request: The record's memory, such as `State.request`; all of it is overwritten.

    Raises:
        InvalidFieldError: Text is too long or has a zero byte, or a number does not fit int64.
    """
    present = (
        (HAS_ENTRY_PRICE if message.HasField("entry_price") else 0)
        | (HAS_STOP_LOSS if message.HasField("stop_loss") else 0)
        | (HAS_TAKE_PROFIT if message.HasField("take_profit") else 0)
        | (HAS_REQUESTED_LOTS if message.HasField("requested_lots") else 0)
        | (HAS_ATR if message.HasField("atr") else 0)
        | (HAS_VOLATILITY_INDEX if message.HasField("volatility_index") else 0)
    )
    _pack_request(
        request,
        0,
        _pack_id("account_id", message.account_id),
        _pack_id("provider_id", message.provider_id),
        message.provider_type,
        _pack_symbol("symbol", message.symbol),
        _pack_symbol("exchange", message.exchange),
        _pack_id("client_order_id", message.client_order_id),
        _pack_id("replaces_client_order_id", message.replaces_client_order_id),
        _pack_id("position_id", message.position_id),
        _pack_id("connection_id", message.connection_id),
        _pack_id("group_id", message.group_id),
        _pack_id("signal_id", message.signal_id),
        _pack_id("strategy_id", message.strategy_id),
        message.side,
        message.order_type,
        message.time_in_force,
        message.session,
        present,
        message.entry_price,
        message.stop_loss,
        message.take_profit,
        message.requested_lots,
        message.atr,
        message.volatility_index,
        message.reduce_only,
        message.dry_run,
        read_time("sent_at", message.sent_at) if message.HasField("sent_at") else 0,
        message.explain,
        read_unsigned("min_state_version", message.min_state_version),
        b"",
    )


def write_report(message: ExecutionReport, report: Array) -> None:
    """Fill a REPORT record.

    Args:
        message: What the caller sent; fields are named below `report`.
        report: The record's memory, such as `State.report`; all of it is overwritten.

    Raises:
        InvalidFieldError: Text is too long or has a zero byte, or a number does not fit int64.
    """
    present = (
        (REPORT_HAS_LOTS if message.HasField("lots") else 0)
        | (REPORT_HAS_PRICE if message.HasField("price") else 0)
        | (REPORT_HAS_CUMULATIVE if message.HasField("cumulative_lots") else 0)
        | (REPORT_HAS_PNL if message.HasField("realised_pnl") else 0)
        | (REPORT_HAS_COMMISSION if message.HasField("commission") else 0)
    )
    event_time_ns = 0
    if message.HasField("event_time"):
        event_time_ns = read_time("report.event_time", message.event_time)
    _pack_report(
        report,
        0,
        _pack_id("report.account_id", message.account_id),
        _pack_id("report.report_id", message.report_id),
        _pack_id("report.client_order_id", message.client_order_id),
        _pack_id("report.position_id", message.position_id),
        _pack_symbol("report.symbol", message.symbol),
        read_unsigned("report.decision_id", message.decision_id),
        message.kind,
        message.side,
        present,
        message.lots,
        message.price,
        message.cumulative_lots,
        message.realised_pnl,
        message.commission,
        event_time_ns,
    )


def read_time(field: str, moment: Timestamp) -> int:
    """Return Unix nanoseconds, 1 to 2^63 - 1.

    Raises:
        InvalidFieldError: Before 1970, after 2262-04-11, or nanoseconds outside a second.
    """
    total_ns = moment.seconds * SECOND_NS + moment.nanos
    if not (0 <= moment.nanos < SECOND_NS and 0 < total_ns <= _INT64_MAX):
        raise InvalidFieldError(field, "must be a time after 1970 and before 2262")
    return total_ns


def read_unsigned(field: str, number: int) -> int:
    """Return an unsigned number that the engine can hold.

    Raises:
        InvalidFieldError: Above 2^63 - 1.
    """
    if number > _INT64_MAX:
        raise InvalidFieldError(field, "is out of range")
    return number


def check_text(field: str, value: str, bytes_max: int) -> bytes:
    """Return text as the engine stores it.

    Raises:
        InvalidFieldError: Too long in UTF-8, or with a zero byte.
    """
    data = value.encode()
    if len(data) > bytes_max:
        raise InvalidFieldError(field, f"must be at most {bytes_max} bytes")
    if b"\0" in data:
        raise InvalidFieldError(field, "must not contain a zero byte")
    return data


def _pack_id(field: str, value: str) -> bytes:
    return check_text(field, value, ID_BYTES_MAX) if value else b""


def _pack_symbol(field: str, value: str) -> bytes:
    return check_text(field, value, SYMBOL_BYTES_MAX) if value else b""


# --- Answers ---


def read_decision(
    state: State,
    *,
    explain: bool,
    server_ns: int,
    durability: Durability = DURABILITY_MEMORY,
) -> DecideResponse:
    """Build the answer from `state.decision`, which holds one (the result was DECIDED).

    Args:
        state: Engine state right after the decision.
        explain: Whether to list every check.
        server_ns: From receipt to decision, nanoseconds; negative counts as 0.
        durability: What the answer says about itself, riskgate.v1.Durability.
    """
    answer: Any = _Scalars._make(_unpack_scalars(state.decision))
    known = answer.known
    status = read_status(state)
    response = DecideResponse(
        decision_id=answer.sequence,
        epoch=answer.epoch,
        verdict=answer.verdict,
        lot_size=answer.lot_size,
        sl_buffer_pips=answer.sl_buffer_pips,
        reasons=read_reasons(status),
        binding_limit=_REASONS[answer.binding - 1] if answer.binding else None,
        mode=answer.mode,
        durability=durability,
        state_version=answer.state_version,
        input_ages=_read_ages(answer),
        server_ns=max(server_ns, 0),
        session=answer.session,
    )
    if known & KNOWN_STOP_PRICE:
        response.stop_price = answer.stop_price
    if known & KNOWN_TRAILING:
        response.trailing_stop_distance = answer.trailing_stop_distance
    if known & KNOWN_SLIPPAGE:
        response.predicted_slippage_pips = answer.predicted_slippage_pips
        response.sizing_slippage_pips = answer.slippage_micropips / MICROS
    if known & KNOWN_SCORE:
        response.performance_score = answer.score_micropoints / MICROS
        response.score_multiplier = answer.multiplier_ppm / PPM
    if known & KNOWN_LARGEST:
        response.largest_passing_lots = answer.largest_passing_lots
    if known & KNOWN_HOLD:
        write_time(response.reservation_expires_at, answer.expires_at_ns)
    if known & KNOWN_MODEL:
        _write_model(state, answer.model_slot, response)
    _write_policy(state, response)
    if answer.breaker_count:
        write_breakers(state, answer.breaker_count, response)
    account_row = state.work["account_row"].item()
    if account_row and state.accounts.rows[account_row]["first_event"]:
        response.directives.extend(list_directives(state, account_row))
    if explain:
        write_checks(state, status, answer.lot_mantissa, answer.lot_scale, response)
    return response


def read_status(state: State) -> bytes:
    """Return the status of each reason of the decision, one byte each."""
    (status,) = _unpack_status(state.decision, _STATUS_AT)
    return status  # type: ignore[no-any-return]


def read_reasons(status: bytes) -> list[Reason]:
    """Return the codes of what denied, then cut, then deserves a note, each by rising index."""
    codes: list[Reason] = []
    for wanted in (S_DENY, S_CUT, S_NOTE):
        index = status.find(wanted)
        while index >= 0:
            codes.append(_REASONS[index])
            index = status.find(wanted, index + 1)
    return codes


def read_refusal(state: State) -> InvalidFieldError:
    """Return the error for a request that the engine called INVALID."""
    decision = state.decision[0]
    return InvalidFieldError(FIELDS[decision["field"]], PROBLEMS[decision["problem"]])


def read_report_refusal(state: State) -> InvalidFieldError:
    """Return the error for a report that the engine called REPORT_INVALID."""
    result = state.report_result[0]
    return InvalidFieldError(f"report.{FIELDS[result['field']]}", PROBLEMS[result["problem"]])


def read_report_result(state: State) -> ReportExecutionResponse:
    """Build the answer to a report from `state.report_result`."""
    result = state.report_result[0]
    mantissa, scale = int(result["lot_mantissa"]), int(result["lot_scale"])
    return ReportExecutionResponse(
        outcome=int(result["outcome"]),  # type: ignore[arg-type]
        sequence=int(result["sequence"]),
        epoch=int(state.engine[0]["epoch"]),
        equity=int(result["equity_micros"]) / MICROS,
        held_lots=int(result["held_steps"]) * mantissa / scale if scale else 0.0,
        position_lots=int(result["position_steps"]) * mantissa / scale if scale else 0.0,
    )


def write_time(target: Timestamp, at_ns: int) -> None:
    """Write Unix nanoseconds into a timestamp."""
    target.seconds, target.nanos = divmod(at_ns, SECOND_NS)


def _read_ages(answer: Any) -> InputAges:
    return InputAges(
        heartbeat_ms=_age_ms(answer.heartbeat_age_ns),
        equity_ms=_age_ms(answer.equity_age_ns),
        score_ms=_age_ms(answer.score_age_ns),
        atr_ms=_age_ms(answer.atr_age_ns),
        volatility_ms=_age_ms(answer.volatility_age_ns),
        conversion_rate_ms=_age_ms(answer.conversion_rate_age_ns),
        quote_ms=_age_ms(answer.quote_age_ns),
    )


def _age_ms(age_ns: int) -> int | None:
    # AGE_ABSENT is negative.
    return None if age_ns < 0 else age_ns // MILLISECOND_NS


def _write_model(state: State, slot: int, response: DecideResponse) -> None:
    record = state.models.slots[slot]
    response.model_digest = record["digest"].tobytes()
    response.model_version = ".".join(str(part) for part in record["version"])


def _write_policy(state: State, response: DecideResponse) -> None:
    (head,) = _unpack_policy(state.policy)
    digest, version = _read_version(head)
    if version:
        response.policy_digest = digest
        response.policy_version = version


@lru_cache(maxsize=16)
def _read_version(head: bytes) -> tuple[bytes, str]:
    digest, *version = _VERSION.unpack(head)
    return (digest, ".".join(map(str, version))) if any(version) or any(digest) else (b"", "")
