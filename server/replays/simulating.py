"""Judges the calls of a journal again with other limits, another model or another policy.

The engine goes through the same clock readings. Reports are scaled with the lots of their orders,
so that positions, holds and equity follow what would have gone.
"""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from riskgate.v1.decision_pb2 import (
    DecideRequest,
    DecideResponse,
    ExecutionReport,
    ReportExecutionRequest,
    ReportExecutionResponse,
    SyncAccountRequest,
)
from server.errors import RiskgateError
from server.hotpath.change_kinds import EQUITY
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_CHANGE,
    KIND_CLOCK,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_REPORT,
    KIND_START,
    KIND_STREAM,
    KIND_SYNC,
)
from server.hotpath.layout import CHANGE_EQUITY, ID_WORDS, SYMBOL_WORDS, text, words
from server.hotpath.records import REPORT_APPLIED, REPORT_DUPLICATE
from server.hotpath.table import Table, find_nb
from server.journal.reader import Entry, read_call, read_change, read_entries, read_start
from server.replays.comparing import Stretch
from server.replays.judging import Rejudge
from server.replays.outcomes import Order
from server.replays.pairs import pair_of, read_decisions
from server.replays.replayer import Replayer, begin_epoch, capacity_of
from server.replays.resizing import resize
from server.replays.source import ReplaySource
from server.replays.substitution import Substitution
from server.replays.tally import Tally
from server.replays.what_if import Replacement
from server.services.account_sync import read_as_of, read_equity
from server.services.convert import write_report
from server.services.sync_errand import try_sync_account

ASSUMED: Final = (
    "the same requests at the same times; what was refused as invalid is not asked again",
    "the same fills at the same prices",
    "lots, profit and commission of each report are scaled by lots now / lots then",
    "an order that no longer goes gains and loses nothing",
    "an order that goes only now is held until it expires; what it would have brought is unknown",
    "reports that name no order of the stretch count as they are",
    "equity marks, prices and rates are those of the journal",
    "of a broker's view only the equity counts once an account has gone its own way",
)


class Simulation:
    """One run over a stretch of a journal.

    Args:
        replayer: Stands before the stretch; its engine is used up.
        substitution: What counts instead.

    Attributes:
        tally: What is counted.
        engine: As it is by now.
    """

    def __init__(self, replayer: Replayer, substitution: Substitution) -> None:
        self.tally = Tally()
        self.engine = replayer.engine
        self._start = dict(replayer.start)
        self._substitution = substitution
        self._judge = Rejudge(self.engine, self._start)
        self._orders: dict[tuple[str, str], Order] = {}
        self._orders_by_id: dict[int, Order] = {}
        # Accounts whose orders are not those of the journal any more.
        self._departed: set[str] = set()
        self._do: Final[dict[int, Callable[[Entry], None]]] = {
            KIND_START: self._begin_epoch,
            KIND_CHANGE: self._change,
            KIND_CLOCK: lambda entry: self.engine.tick(entry.reading_ns),
            KIND_DECIDE: self._decide,
            KIND_BATCH: self._decide,
            KIND_STREAM: self._decide,
            KIND_REPORT: self._report,
            KIND_SYNC: self._sync,
            # What a router did about a trip that may not have happened here counts no more.
            KIND_ACKNOWLEDGE: lambda entry: self.engine.tick(entry.reading_ns),
            KIND_EVENT: lambda _: None,
        }
        substitution.apply_waiting(self.engine)

    def give(self, entry: Entry) -> None:
        """Go on by one entry."""
        self._do[entry.kind](entry)
        # Numbers run on as in the journal: its reports may name decisions by them.
        row = self.engine.state.engine[0]
        row["sequence"] = max(int(row["sequence"]), entry.sequence)

    def _begin_epoch(self, entry: Entry) -> None:
        start = read_start(entry)
        if capacity_of(start) != self.engine.capacity:
            self.engine = resize(self.engine, capacity_of(start))
        begin_epoch(self.engine, start)
        self._start = {"shard": int(start["shard"]), "shards": int(start["shards"])}
        self._judge = Rejudge(self.engine, self._start)
        self._substitution.apply_waiting(self.engine)

    def _change(self, entry: Entry) -> None:
        change = read_change(entry)
        if change.kind:
            self._substitution.apply(self.engine, change, entry.reading_ns)

    # --- Decisions ---

    def _decide(self, entry: Entry) -> None:
        call = read_call(entry)
        now = self._judge.answer(entry, call)
        new = range(entry.sequence - len(call.readings) + 1, entry.sequence + 1)
        for request, was, again in zip(*read_decisions(entry, call), now, strict=True):
            # An answer of an earlier call that was given again is no decision of this one.
            if was is not None and was.decision_id in new:
                self._compare(request, was, again)

    def _compare(
        self, request: DecideRequest, was: DecideResponse, now: DecideResponse | None
    ) -> None:
        pair = pair_of(request, was, now)
        self.tally.add(pair)
        if request.dry_run:
            return
        lots = pair.was.lots, pair.now.lots
        if lots[0] != lots[1]:
            self._departed.add(request.account_id)
        order = Order(now.decision_id if now else 0, *lots, self._lot_step(request.symbol))
        self._orders_by_id[was.decision_id] = order
        if request.client_order_id:
            self._orders[request.account_id, request.client_order_id] = order

    def _lot_step(self, symbol: str) -> float:
        row = self._find(self.engine.state.instruments, symbol, SYMBOL_WORDS)
        instrument = self.engine.state.instruments.rows[row]
        return int(instrument["lot_mantissa"]) / (int(instrument["lot_scale"]) or 1)

    def _find(self, table: Table, name: str, width: int) -> int:
        return int(find_nb(table.record[0], words(name, width), width))

    # --- What came of them ---

    def _report(self, entry: Entry) -> None:
        call = read_call(entry)
        outcome = ReportExecutionResponse.FromString(call.answer).outcome
        report = ReportExecutionRequest.FromString(call.request).report
        if outcome == REPORT_DUPLICATE and report.account_id in self._departed:
            # The first of them may have been left out here: this one must be, too.
            self.engine.tick(entry.reading_ns)
            return
        order = self._find_order(report) if outcome == REPORT_APPLIED else None
        if outcome != REPORT_DUPLICATE:
            self._count(report, order)
        scaled = report if order is None else order.scale(report)
        if scaled is None:
            self.engine.tick(entry.reading_ns)
            return
        write_report(scaled, self.engine.state.report)
        self.engine.report(entry.reading_ns)

    def _find_order(self, report: ExecutionReport) -> Order | None:
        named = self._orders.get((report.account_id, report.client_order_id))
        return named or self._orders_by_id.get(report.decision_id)

    def _count(self, report: ExecutionReport, order: Order | None) -> None:
        amount = report.realised_pnl - report.commission
        if not amount and not report.HasField("realised_pnl"):
            return
        accounts = self.engine.state.accounts
        row = accounts.rows[self._find(accounts, report.account_id, ID_WORDS)]
        gain = self.tally.gains[text(np.atleast_1d(row["currency"]))]
        if order is None:
            gain.other += amount
            gain.other_reports += 1
        else:
            gain.was += amount
            gain.now += amount * order.ratio
            gain.reports += 1

    def _sync(self, entry: Entry) -> None:
        raw = read_call(entry).request
        message = SyncAccountRequest.FromString(raw)
        if message.account_id not in self._departed:
            try_sync_account(self.engine, raw, entry.reading_ns)
            return
        equity_micros = read_equity(message)
        if equity_micros is None:
            self.engine.tick(entry.reading_ns)
            return
        row = np.zeros(1, CHANGE_EQUITY)
        row["account_id"] = words(message.account_id)
        row["equity_micros"] = equity_micros
        row["equity_at_ns"] = read_as_of(message, entry.reading_ns)
        self.engine.apply_rows(EQUITY, 0, row, reading_ns=entry.reading_ns)


def simulate(
    source: ReplaySource,
    stretch: Stretch,
    replacements: Sequence[Replacement],
    *,
    advance: Callable[[Entry], None] = lambda _: None,
) -> tuple[Tally, list[str]]:
    """Judge a stretch of a journal with other limits, another model or another policy.

    Args:
        source: Of the journal.
        stretch: Entries whose decisions count; what lies before is replayed as it was.
        replacements: What counts instead of what the journal says.
        advance: Called for each entry.

    Returns:
        What is counted, and the names of replacements that never came into force.

    Raises:
        JournalError: The journal is damaged, or another release wrote it.
    """
    replayer = source.begin_before(stretch.first or 1)
    first = stretch.first or replayer.next_number
    replayer.advance(first - 1)
    if replayer.difference_count:
        raise RiskgateError(
            f"{replayer.difference_count} entries before entry {first} come out differently; "
            "see `riskgate replay`"
        )
    substitution = Substitution(replacements, source.find_model)
    simulation = Simulation(replayer, substitution)
    # An engine that writes may be faster than this.
    for entry in read_entries(source.journal, first, stretch.last or source.find_newest()):
        simulation.give(entry)
        advance(entry)
    return simulation.tally, substitution.unused
