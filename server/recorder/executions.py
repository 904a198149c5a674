"""One execution report, with the order it is about, to its row of `execution_log`.

Slippage is positive where the trader pays: a fill against the entry price of the request, a close
at the stop against the stop of the answer. A close anywhere else has none: a target that was
reached or a position that was closed by hand says nothing about slippage.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import DecideRequest, ExecutionReport, ReportOutcome
from server.record.archive import Instrument
from server.record.archive_orders import Order
from server.record.archive_tables import to_time
from server.recorder.decision_rows import Row
from server.recorder.rows import Report
from server.recorder.values import (
    OUTCOMES,
    REPORT_KINDS,
    SESSIONS,
    SIDES,
    UNIX_EPOCH,
    clean,
    day_of,
    to_datetime,
    to_decimal,
    to_unix_ns,
    weekday_of,
)

# A close this little better than its stop is taken for one at the stop.
STOP_TOLERANCE_PIPS: Final = 1
_FILLS: Final = frozenset({types.REPORT_KIND_FILL, types.REPORT_KIND_PARTIAL_FILL})
_MARKET: Final = frozenset({types.ORDER_TYPE_UNSPECIFIED, types.ORDER_TYPE_MARKET})
# What a caller says of times beyond is not believed: 2100-01-01.
_EVENT_NS_MAX: Final = 4_102_444_800 * 1_000_000_000
_US_PER_MS: Final = 1_000
_LATENCY_MS_MAX: Final = 86_400_000


class Execution(NamedTuple):
    """A report in the terms of the record.

    Attributes:
        at: Clock reading of the report.
        event_at: When it happened; when it arrived if it does not say.
        expected_price: What the price is compared with; None: nothing.
        slippage: In price units, positive is worse.
        slippage_pips: None too where the instrument is unknown.
        latency_ms: From decision to fill of a market order.
        profit: Net of commission; None: the report realises none.
    """

    at: datetime
    event_at: datetime
    order: Order | None
    request: DecideRequest
    expected_price: Decimal | None
    slippage: Decimal | None
    slippage_pips: Decimal | None
    latency_ms: Decimal | None
    profit: Decimal | None


def is_duplicate(report: Report) -> bool:
    """Tell whether the report was applied before."""
    return report.answer.outcome == ReportOutcome.REPORT_OUTCOME_DUPLICATE


def read_execution(report: Report, order: Order | None, pip_size: Decimal | None) -> Execution:
    """Work out what a report means for its order.

    Args:
        report: As journaled.
        order: That it is about; None: unknown.
        pip_size: Of the instrument; None: unknown.
    """
    said = report.request.report
    request = DecideRequest() if order is None else DecideRequest.FromString(order.request)
    at = to_datetime(report.entry.reading_ns)
    event_ns = to_unix_ns(said.event_time)
    event_at = to_datetime(event_ns) if 0 < event_ns < _EVENT_NS_MAX else at
    expected = slippage = pips = None
    if order is not None and said.HasField("price") and not is_duplicate(report):
        expected, slippage = _compare(said, order, request, pip_size)
        if slippage is not None and pip_size:
            pips = slippage / pip_size
    profit = None
    if said.HasField("realised_pnl") and not is_duplicate(report):
        profit = (to_decimal(said.realised_pnl) or Decimal(0)) - (
            to_decimal(said.commission) or Decimal(0)
        )
    latency_ms = None if is_duplicate(report) else _latency_ms(said, order, request, event_at)
    return Execution(at, event_at, order, request, expected, slippage, pips, latency_ms, profit)


def _compare(
    said: ExecutionReport, order: Order, request: DecideRequest, pip_size: Decimal | None
) -> tuple[Decimal | None, Decimal | None]:
    price = to_decimal(said.price)
    buys = order.side == "buy"
    if said.kind == types.REPORT_KIND_CLOSE and not order.reduce_only:
        # The other way round: what closes a bought position sells.
        expected, buys = order.stop_price, not buys
    else:
        expected = to_decimal(request.entry_price) if request.HasField("entry_price") else None
    if price is None or expected is None:
        return None, None
    slippage = price - expected if buys else expected - price
    if said.kind == types.REPORT_KIND_CLOSE and not order.reduce_only:
        tolerance = STOP_TOLERANCE_PIPS * (pip_size or Decimal(0))
        if slippage < -tolerance:
            return None, None
    return expected, slippage


def _latency_ms(
    said: ExecutionReport, order: Order | None, request: DecideRequest, event_at: datetime
) -> Decimal | None:
    if order is None or said.kind not in _FILLS or request.order_type not in _MARKET:
        return None
    spent_us = (event_at - order.decided_at) // timedelta(microseconds=1)
    return Decimal(spent_us) / _US_PER_MS if 0 <= spent_us <= _LATENCY_MS_MAX * _US_PER_MS else None


def execution_row(shard: int, report: Report, execution: Execution, pip: Instrument | None) -> Row:
    """Return the row of table `execution_log`."""
    said, answer, order = report.request.report, report.answer, execution.order
    request = execution.request
    return (
        answer.epoch,
        answer.sequence,
        to_time(report.entry.reading_ns),
        shard,
        report.entry.number,
        clean(said.report_id),
        clean(said.account_id),
        OUTCOMES[answer.outcome],
        REPORT_KINDS[said.kind],
        *(
            (None, None, None)
            if order is None
            else (order.epoch, order.sequence, time_of(order.decided_at))
        ),
        clean(said.client_order_id) if order is None else order.client_order_id,
        *(("", "", "", "") if order is None else order[4:8]),
        clean(said.symbol) if order is None else order.symbol,
        SIDES[said.side] if order is None else order.side,
        clean(said.position_id),
        to_decimal(said.lots) if said.HasField("lots") else None,
        to_decimal(said.cumulative_lots) if said.HasField("cumulative_lots") else None,
        to_decimal(said.price) if said.HasField("price") else None,
        execution.expected_price,
        execution.slippage,
        None if pip is None else pip.pip_size,
        to_decimal(said.realised_pnl) if said.HasField("realised_pnl") else None,
        to_decimal(said.commission) if said.HasField("commission") else None,
        time_of(execution.event_at),
        execution.latency_ms,
        to_decimal(request.atr) if request.HasField("atr") else None,
        to_decimal(request.volatility_index) if request.HasField("volatility_index") else None,
        SESSIONS[request.session],
        weekday_of(day_of(report.entry.reading_ns)),
        to_decimal(answer.equity),
        to_decimal(answer.held_lots),
        to_decimal(answer.position_lots),
        report.request_bytes,
    )


def time_of(moment: datetime) -> int:
    """Return a moment as COPY sends it: microseconds since 2000."""
    return to_time((moment - UNIX_EPOCH) // timedelta(microseconds=1) * 1_000)
