"""The Python handle of the engine: start, submit a change, decide, report. No rules in here.

One thread owns an engine and calls everything but `submit`, which any one other thread may call.
The records of `state` are the way in and out: write `state.request`, call `decide`, read
`state.decision`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from server.broker_view import (
    check_order,
    check_position,
    order_rows,
    position_rows,
    read_differences,
)
from server.change_packing import MalformedChangeError, pack_change, pack_refused
from server.errors import NotFoundError
from server.hotpath.apply import apply_change_nb
from server.hotpath.change_frame import drain_nb
from server.hotpath.decide import decide_nb, deny_unjournaled_nb, recall_answer_nb
from server.hotpath.journal.journal_record import new_journal
from server.hotpath.layout import (
    CHANGE_ROWS,
    ID_WORDS,
    NOT_SET,
    SYMBOL_WORDS,
    words,
)
from server.hotpath.memory import Capacity, new_state
from server.hotpath.model_tables import NO_MODEL_SLOT
from server.hotpath.order_flow import take_back_nb
from server.hotpath.records import DIFFERENCE
from server.hotpath.reports import report_nb
from server.hotpath.reservations import hold_nb
from server.hotpath.ring import new_ring, push_nb
from server.hotpath.rows import WHEEL_SHIFT
from server.hotpath.sync import forget_flat_positions_nb, sync_nb
from server.hotpath.table import find_nb
from server.hotpath.wire.journaling import tick_nb
from server.policy import default_policy_row

if TYPE_CHECKING:
    from server.broker_view import BrokerOrder, BrokerPosition, Difference
    from server.hotpath.table import Table

    Rows = np.ndarray[Any, np.dtype[Any]]

log = logging.getLogger(__name__)

RING_BYTES = 1 << 22
CHANGE_BYTES_MAX = 1 << 17
DIFFERENCES_MAX = 16_384


class Engine:
    """One engine and its memory.

    The owner is one thread, or a compiled loop that reaches `state` and `ring` by address.

    Args:
        capacity: rows per table.
        epoch: number of this start of the engine, ≥ 1.
        started_at_ns: Unix time of the start.
        restarted: deny new risk for one reservation lifetime, because earlier holds are unknown.
        idempotency_min_age_ns: how long an id is kept at least.
    """

    def __init__(
        self,
        capacity: Capacity | None = None,
        *,
        epoch: int = 1,
        started_at_ns: int = 0,
        restarted: bool = False,
        idempotency_min_age_ns: int = 600_000_000_000,
    ) -> None:
        self.capacity = capacity or Capacity()
        self.state = new_state(self.capacity)
        # A view, not a copy: kernels get its address.
        self._memory = self.state.memory[0]
        engine = self.state.engine[0]
        engine["epoch"] = epoch
        engine["started_at_ns"] = started_at_ns
        engine["restarted"] = int(restarted)
        engine["idempotency_min_age_ns"] = idempotency_min_age_ns
        engine["model_slot"] = NO_MODEL_SLOT
        engine["wheel_tick"] = started_at_ns >> WHEEL_SHIFT
        self.state.policy[:] = default_policy_row()
        self.ring = new_ring(RING_BYTES)
        self._ring = self.ring.record[0]
        self._producer = threading.Lock()
        # Keeps nothing until somebody gives it segments.
        self.journal = new_journal()

    @property
    def state_version(self) -> int:
        """Version of the last change applied."""
        return int(self.state.engine[0]["state_version"])

    @property
    def now_ns(self) -> int:
        """Engine time: the largest clock reading so far."""
        return int(self.state.engine[0]["now_ns"])

    # --- changes ----------------------------------------------------------------------------
    # ---------------------

    def submit(self, change: bytes, slot: int = NO_MODEL_SLOT, *, is_partial: bool = False) -> bool:
        """Put a serialized StateChange into the ring; False when the ring is full. Any thread.

        A malformed one is refused by name in the log. It takes its place in the ring all the same,
        where it is counted and changes nothing.

        Args:
            change: at most 128 KiB.
            slot: the model slot that was filled for a MODEL change.
            is_partial: it is part of a load, whose end numbers the state.

        Raises:
            ValueError: the change is too large.
        """
        if len(change) > CHANGE_BYTES_MAX:
            msg = "a change is at most 128 KiB"
            raise ValueError(msg)
        problem = ""
        try:
            frame = pack_change(change, slot, is_partial=is_partial)
        except MalformedChangeError as error:
            problem, frame = str(error), pack_refused()
        memory = np.frombuffer(frame, np.int64)
        with self._producer:
            taken = bool(push_nb(self._ring, memory.ctypes.data))
        if taken and problem:
            log.warning("a change was refused: %s", problem)
        return taken

    @property
    def submitted_changes(self) -> int:
        """Changes put into the ring so far. Any thread."""
        return int(self.ring.record["frames_pushed"][0])

    @property
    def taken_changes(self) -> int:
        """Changes taken out so far and done with, applied or refused. Any thread."""
        return int(self.ring.record["frames_popped"][0])

    @property
    def refused_changes(self) -> int:
        """Changes taken out so far that were malformed. Any thread."""
        return int(self.ring.record["frames_refused"][0])

    def drain(self, reading_ns: int) -> int:
        """Apply every change that waits now; return how many were applied. Owner only."""
        waiting = self.submitted_changes - self.taken_changes
        journal = self.journal[0]
        return int(drain_nb(self._memory, self._ring, journal, reading_ns, waiting))

    def apply_rows(
        self, kind: int, version: int, rows: Rows, *, deleted: bool = False, reading_ns: int
    ) -> None:
        """Apply the rows of one change, past the ring. Owner only.

        Args:
            kind: riskgate.v1.ChangeKind.
            version: of the record; 0 for heartbeats, clock readings and market data.
            rows: of dtype CHANGE_ROWS[kind], at least one.
            deleted: the entity named by the key columns is gone.
            reading_ns: wall clock.

        Raises:
            ValueError: the rows are of another kind, or there are none.
        """
        if rows.dtype != CHANGE_ROWS[kind] or not len(rows):
            msg = f"kind {kind} has rows of another dtype"
            raise ValueError(msg)
        kept = np.ascontiguousarray(rows)
        address = kept.ctypes.data
        apply_change_nb(self._memory, kind, version, deleted, address, len(kept), reading_ns)

    def tick(self, reading_ns: int) -> None:
        """Take in a clock reading while nothing else happens. Owner only."""
        tick_nb(self._memory, self.journal[0], reading_ns)

    # --- decisions --------------------------------------------------------------------------
    # ---------------------

    def decide(self, reading_ns: int) -> int:
        """Judge `state.request` into `state.decision`.

        Return DECIDED, INVALID, REPEATED or CONFLICT. Owner only.
        """
        return int(decide_nb(self._memory, reading_ns))

    def recall(self, reading_ns: int) -> int:
        """Tell whether `state.request` was answered before, as `decide` would. Owner only."""
        return int(recall_answer_nb(self._memory, reading_ns))

    def deny(self, reason: int, reading_ns: int) -> None:
        """Deny `state.request` for one reason (R_*) and leave no trace. Owner only."""
        deny_unjournaled_nb(self._memory, reading_ns, reason)

    def decide_record(self, request: Rows, reading_ns: int) -> tuple[int, Rows]:
        """Judge a REQUEST record; return the result and a copy of the DECISION record."""
        self.state.request[0] = request
        result = self.decide(reading_ns)
        return result, self.state.decision[0].copy()

    def remember(self, row: int, answer: bytes) -> None:
        """Store the bytes of an answer under `decision.idempotency_row`."""
        ring = self.state.answers
        engine = self.state.engine[0]
        remembered = self.state.idempotency.rows[row]
        start = int(engine["answer_head"])
        data = np.frombuffer(answer, np.uint8)
        if int(engine["answer_used"]) + len(data) > len(ring):
            # Kept as unanswered: a repetition is refused rather than given another order's bytes.
            return
        first = min(len(data), len(ring) - start)
        ring[start : start + first] = data[:first]
        ring[: len(data) - first] = data[first:]
        remembered["answer_offset"] = start
        remembered["answer_bytes"] = len(data)
        engine["answer_head"] = (start + len(data)) % len(ring)
        engine["answer_used"] += len(data)

    def stored_answer(self, row: int) -> bytes:
        """Return the answer that `remember` stored; empty if the order is still being answered."""
        remembered = self.state.idempotency.rows[row]
        start, length = int(remembered["answer_offset"]), int(remembered["answer_bytes"])
        ring = self.state.answers
        first = min(length, len(ring) - start)
        return ring[start : start + first].tobytes() + ring[: length - first].tobytes()

    def cancel(self, reservation_row: int) -> None:
        """Give back the hold of a decision that an all-or-none batch takes back, and its counts."""
        take_back_nb(self._memory, reservation_row)

    # --- reports ----------------------------------------------------------------------------
    # ---------------------

    def report(self, reading_ns: int) -> int:
        """Apply `state.report` into `state.report_result`; return the outcome (REPORT_*).

        Owner only.
        """
        return int(report_nb(self._memory, reading_ns))

    def report_record(self, report: Rows, reading_ns: int) -> Rows:
        """Apply a REPORT record; return a copy of the REPORT_RESULT record."""
        self.state.report[0] = report
        self.state.report_result[0]["outcome"] = self.report(reading_ns)
        result: Rows = self.state.report_result[0].copy()
        return result

    def sync(
        self,
        account_id: str,
        equity_micros: int | None,
        as_of_ns: int,
        positions: list[BrokerPosition],
        orders: list[BrokerOrder],
        reading_ns: int,
    ) -> list[Difference]:
        """Replace an account's equity, positions and working orders by the broker's.

        Return what differed. Owner only.

        Raises:
            NotFoundError: the account or a symbol is unknown; nothing has changed.
            InvalidFieldError: a number is not one the instrument can have; nothing has changed.
        """
        account_row = self._find_live(self.state.accounts, "account", account_id, ID_WORDS)
        for index, position in enumerate(positions):
            check_position(self._instrument(position.symbol), position, f"positions[{index}]")
        for index, order in enumerate(orders):
            check_order(self._instrument(order.symbol), order, f"working_orders[{index}]")
        differences = np.zeros(DIFFERENCES_MAX, DIFFERENCE)
        count = sync_nb(
            self._memory,
            account_row,
            NOT_SET if equity_micros is None else equity_micros,
            as_of_ns,
            position_rows(positions),
            order_rows(orders),
            differences,
            reading_ns,
        )
        named = read_differences(self.state, differences[:count], orders)
        forget_flat_positions_nb(self._memory, account_row)
        return named

    def warm(self) -> None:
        """Compile, or load from the cache, what no decision, report or change calls.

        Leaves traces in the tables: only for an engine that is thrown away.
        """
        differences = np.zeros(1, DIFFERENCE)
        sync_nb(self._memory, 0, NOT_SET, 1, position_rows([]), order_rows([]), differences, 1)
        forget_flat_positions_nb(self._memory, 0)
        find_nb(self.state.accounts.record[0], words("none"), ID_WORDS)
        row = hold_nb(self._memory, 1, 0, 1, 1)
        self.state.reservations.rows[row]["is_exit"] = 1
        take_back_nb(self._memory, row)

    def _instrument(self, symbol: str) -> Any:
        row = self._find_live(self.state.instruments, "symbol", symbol, SYMBOL_WORDS)
        return self.state.instruments.rows[row]

    def _find_live(self, table: Table, noun: str, name: str, width: int) -> int:
        row = int(find_nb(table.record[0], words(name, width), width))
        if row == 0 or table.rows[row]["alive"] == 0:
            raise NotFoundError(noun, name)
        return row
