"""What reports, syncs and replaced orders do to rows that are there already.

Written behind the rows of the same entries, so that an order and its report may come together. All
of it happens in the order of the journal, and a duplicate report changes nothing but the log.
"""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Final

from riskgate.v1 import types_pb2 as types
from server.record.archive import Database, copy_rows
from server.record.archive_orders import (
    Change,
    Fill,
    Order,
    Wanted,
    change_reservations,
    fill_predictions,
    find_orders,
    sync_reservations,
)
from server.record.archive_tables import EXECUTION_LOG
from server.record.provider_days import DaySums, ProviderDay, add_days
from server.recorder.decision_rows import Row
from server.recorder.executions import (
    Execution,
    execution_row,
    is_duplicate,
    read_execution,
)
from server.recorder.rows import Replacement, Report, Rows, Sync
from server.recorder.values import REPORT_KINDS, clean, to_datetime, to_decimal

Key = tuple[int, int]

_FILLS: Final = frozenset({types.REPORT_KIND_FILL, types.REPORT_KIND_PARTIAL_FILL})
_ENDS: Final = frozenset(
    {types.REPORT_KIND_REJECT, types.REPORT_KIND_CANCEL, types.REPORT_KIND_EXPIRE}
)
# Those that have metrics; an order that stated another was denied.
_PROVIDER_TYPES: Final = frozenset({"channel_source", "user"})


def write_events(database: Database, rows: Rows) -> None:
    """Write the reports of some entries and all that follows from them and from syncs."""
    if not rows.events:
        return
    found = find_orders(database, _list_wanted(rows))
    effects = _Effects(rows, found)
    copy_rows(database, EXECUTION_LOG, effects.executions)
    fill_predictions(database, list(effects.fills.values()))
    change_reservations(database, effects.changes.values())
    add_days(database, effects.days)
    for event in rows.events:
        if isinstance(event, Sync):
            _write_sync(database, event)


def _list_wanted(rows: Rows) -> dict[int, Wanted]:
    wanted: dict[int, Wanted] = {}
    for position, event in enumerate(rows.events):
        if isinstance(event, Report):
            said, answer = event.request.report, event.answer
            wanted[position] = Wanted(
                clean(said.account_id),
                clean(said.client_order_id),
                said.decision_id if said.decision_id < 1 << 63 else 0,
                # Any other report of a position may be about an order that we do not know.
                clean(said.position_id) if said.kind == types.REPORT_KIND_CLOSE else "",
                answer.epoch,
                answer.sequence,
            )
        elif isinstance(event, Replacement):
            wanted[position] = Wanted(
                event.account_id,
                event.client_order_id,
                0,
                "",
                event.entry.epoch,
                event.by_sequence,
            )
    return wanted


class _Effects:
    """What the events come to together; of several for one row the order of the journal decides."""

    def __init__(self, rows: Rows, found: dict[int, Order]) -> None:
        self.executions: list[Row] = []
        self.fills: dict[Key, Fill] = {}
        self.changes: dict[Key, Change] = {}
        self.days: defaultdict[ProviderDay, DaySums] = defaultdict(DaySums)
        self._rows = rows
        # (account, position) → the order that opened it, as far as these entries tell.
        self._openers: dict[tuple[str, str], Order] = {}
        for position, event in enumerate(rows.events):
            order = found.get(position)
            if isinstance(event, Report):
                self._add_report(event, order)
            elif isinstance(event, Replacement) and order is not None:
                at = to_datetime(event.entry.reading_ns)
                self._change(order, "replaced", Decimal(0), at, "replaced")

    def _add_report(self, report: Report, order: Order | None) -> None:
        said = report.request.report
        place = (said.account_id, said.position_id)
        is_close = said.kind == types.REPORT_KIND_CLOSE
        if is_close and not said.client_order_id and not said.decision_id:
            order = self._openers.get(place, order)
        symbol = clean(said.symbol) if order is None else order.symbol
        instrument = self._rows.reference.instruments.get(symbol)
        pip_size = None if instrument is None else instrument.pip_size
        execution = read_execution(report, order, pip_size)
        self.executions.append(execution_row(self._rows.shard, report, execution, instrument))
        if order is None or is_duplicate(report):
            return
        if said.kind in _FILLS and said.position_id:
            self._openers[place] = order
        self._fill(report, execution, order)
        self._change_hold(report, execution, order)
        self._count(execution, order)

    def _fill(self, report: Report, execution: Execution, order: Order) -> None:
        if execution.slippage_pips is None or order.reduce_only:
            return
        # The first one counts: what a later report says of the same order changes nothing.
        self.fills.setdefault(
            (order.epoch, order.sequence),
            Fill(
                order.epoch,
                order.sequence,
                order.decided_at,
                execution.slippage_pips,
                report.answer.epoch,
                report.answer.sequence,
                execution.at,
            ),
        )

    def _change_hold(self, report: Report, execution: Execution, order: Order) -> None:
        kind = report.request.report.kind
        held_lots = to_decimal(report.answer.held_lots) or Decimal(0)
        if kind in _ENDS:
            state = "released"
        elif kind in _FILLS or (kind == types.REPORT_KIND_CLOSE and order.reduce_only):
            state = "working" if held_lots else "committed"
        elif kind in (types.REPORT_KIND_ACK, types.REPORT_KIND_UNKNOWN):
            state = "working"
        else:
            return
        self._change(order, state, held_lots, execution.at, REPORT_KINDS[kind])

    def _change(self, order: Order, state: str, held: Decimal, at: datetime, by: str) -> None:
        key = (order.epoch, order.sequence)
        self.changes[key] = Change(*key, order.decided_at, state, held, at, by)

    def _count(self, execution: Execution, order: Order) -> None:
        if not order.provider_id or order.provider_type not in _PROVIDER_TYPES:
            return
        day = execution.event_at.date()
        sums = self.days[ProviderDay(order.provider_id, order.provider_type, day)]
        if execution.slippage_pips is not None:
            sums.add_fill(execution.slippage_pips, execution.latency_ms)
        if execution.profit is not None:
            sums.add_close(execution.profit)


def _write_sync(database: Database, sync: Sync) -> None:
    working = {
        clean(order.client_order_id): to_decimal(order.lots) or Decimal(0)
        for order in sync.request.working_orders
    }
    place = (sync.entry.epoch, sync.answer.sequence)
    account_id = clean(sync.request.account_id)
    at = to_datetime(sync.entry.reading_ns)
    sync_reservations(database, account_id, working, place, at)
