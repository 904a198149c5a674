"""The Python handle of the engine: start, submit a change, decide, report. No rules in here.

One thread owns an engine and calls everything but `submit`, which any one other thread may call.
The records of `state` are the way in and out: write `state.request`, call `decide`, read
`state.decision`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from riskgate.v1 import state_pb2
from server.broker_view import (
    check_order,
    check_position,
    order_rows,
    position_rows,
    read_differences,
)
from server.errors import NotFoundError
from server.hotpath import apply
from server.hotpath.clock import take_reading_nb
from server.hotpath.decide import decide_nb
from server.hotpath.layout import (
    CHANGE_ROWS,
    ID_WORDS,
    LAYOUT_VERSION,
    NOT_SET,
    SYMBOL_WORDS,
    currency_word,
    words,
)
from server.hotpath.memory import Capacity, new_state
from server.hotpath.model_tables import NO_MODEL_SLOT
from server.hotpath.records import DIFFERENCE
from server.hotpath.reports import report_nb
from server.hotpath.reservations import hold_nb, release_nb
from server.hotpath.ring import new_ring, pop_nb, push_nb
from server.hotpath.rows import WHEEL_SHIFT
from server.hotpath.sync import forget_flat_positions_nb, sync_nb
from server.hotpath.table import find_nb
from server.policy import default_policy_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.broker_view import BrokerOrder, BrokerPosition, Difference
    from server.hotpath.memory import State
    from server.hotpath.table import Table

    Rows = np.ndarray[Any, np.dtype[Any]]

RING_BYTES = 1 << 22
CHANGE_BYTES_MAX = 1 << 17
DIFFERENCES_MAX = 16_384

INSTRUMENT, ACCOUNT, RISK_CONFIGURATION, PROVIDER, MARKET, CONVERSION_RATE, BREAKER, POLICY = range(
    1, 9
)
MODEL, WINDOW, HEARTBEAT, CLOCK, EQUITY, SESSION = range(9, 15)


class Engine:
    """One engine and its memory.

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
        self.state = new_state(capacity or Capacity())
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
        self._ring = new_ring(RING_BYTES)
        self._popped = np.zeros(RING_BYTES, np.uint8)
        self._producer = threading.Lock()
        self.refused_changes = 0

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

    def submit(self, change: bytes, slot: int = NO_MODEL_SLOT) -> bool:
        """Put a serialized StateChange into the ring; False when the ring is full. Any thread.

        Args:
            change: at most 128 KiB.
            slot: the model slot that was filled for a MODEL change.

        Raises:
            ValueError: the change is too large.
        """
        if len(change) > CHANGE_BYTES_MAX:
            msg = "a change is at most 128 KiB"
            raise ValueError(msg)
        with self._producer:
            return bool(push_nb(self._ring, np.frombuffer(change, np.uint8), slot))

    @property
    def waiting_bytes(self) -> int:
        """Bytes of changes that wait in the ring."""
        return int(self._ring.marks[0] - self._ring.marks[1])

    def drain(self, reading_ns: int) -> int:
        """Apply every change that waits; return how many were applied. Owner only."""
        applied = 0
        while self.waiting_bytes:
            length, slot = pop_nb(self._ring, self._popped)
            if length < 0:
                break
            if self._apply_bytes(bytes(self._popped[:length]), int(slot), reading_ns):
                applied += 1
            else:
                self.refused_changes += 1
        return applied

    def _apply_bytes(self, data: bytes, slot: int, reading_ns: int) -> bool:
        try:
            change = state_pb2.StateChange.FromString(data)
        except DecodeError:
            return False
        dtype = CHANGE_ROWS.get(change.kind)
        if (
            dtype is None
            or change.layout_version != LAYOUT_VERSION
            or len(change.rows) % dtype.itemsize
        ):
            return False
        deleted = not change.rows
        rows = (
            key_row(change.kind, change.key)
            if deleted
            else np.frombuffer(change.rows, dtype).copy()
        )
        if rows is None:
            return False
        if change.kind == MODEL:
            rows["slot"] = slot
        self.apply_rows(change.kind, change.version, rows, deleted=deleted, reading_ns=reading_ns)
        return True

    def apply_rows(
        self, kind: int, version: int, rows: Rows, *, deleted: bool = False, reading_ns: int
    ) -> None:
        """Apply the rows of one change. Owner only.

        Args:
            kind: riskgate.v1.ChangeKind.
            version: of the record; 0 for heartbeats, clock readings and market data.
            rows: of dtype CHANGE_ROWS[kind], writable, at least one.
            deleted: the entity named by the key columns is gone.
            reading_ns: wall clock.
        """
        now_ns = take_reading_nb(self._memory, reading_ns)
        known = _APPLY[kind](self.state, rows, deleted, now_ns)
        apply.finish_change_nb(self._memory, version, known)

    def tick(self, reading_ns: int) -> None:
        """Take in a clock reading while nothing else happens. Owner only."""
        take_reading_nb(self._memory, reading_ns)

    # --- decisions --------------------------------------------------------------------------
    # ---------------------

    def decide(self, reading_ns: int) -> int:
        """Judge `state.request` into `state.decision`.

        Return DECIDED, INVALID, REPEATED or CONFLICT. Owner only.
        """
        return int(decide_nb(self._memory, self.state.models, reading_ns))

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
        """Give back the hold of a decision that an all-or-none batch takes back."""
        release_nb(self._memory, reservation_row)

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
        release_nb(self._memory, row)

    def _instrument(self, symbol: str) -> Any:
        row = self._find_live(self.state.instruments, "symbol", symbol, SYMBOL_WORDS)
        return self.state.instruments.rows[row]

    def _find_live(self, table: Table, noun: str, name: str, width: int) -> int:
        row = int(find_nb(table.record[0], words(name, width), width))
        if row == 0 or table.rows[row]["alive"] == 0:
            raise NotFoundError(noun, name)
        return row


def key_row(kind: int, key: str) -> Rows | None:
    """Return a row of a kind with only its key columns filled from the key text.

    None if the key has no such form.
    """
    row = np.zeros(1, CHANGE_ROWS[kind])
    try:
        _WRITE_KEY[kind](row, key)
    except (KeyError, ValueError):
        return None
    return row


def _write_provider_key(row: Rows, key: str) -> None:
    kind, _, provider_id = key.partition(":")
    row["provider_type"] = _PROVIDER_TYPES[kind]
    row["provider_id"][0] = words(provider_id)


def _write_rate_key(row: Rows, key: str) -> None:
    source, _, target = key.partition("/")
    row["from_currency"] = currency_word(source)
    row["to_currency"] = currency_word(target)


def _write_words(column: str, count: int) -> Callable[[Rows, str], None]:
    def write(row: Rows, key: str) -> None:
        row[column][0] = words(key, count)

    return write


_PROVIDER_TYPES = {"channel_source": 1, "user": 2}
_WRITE_KEY: dict[int, Callable[[Rows, str], None]] = {
    INSTRUMENT: _write_words("symbol", SYMBOL_WORDS),
    ACCOUNT: _write_words("account_id", ID_WORDS),
    RISK_CONFIGURATION: _write_words("account_id", ID_WORDS),
    PROVIDER: _write_provider_key,
    CONVERSION_RATE: _write_rate_key,
    BREAKER: _write_words("breaker_id", ID_WORDS),
}


def _words(rows: Rows) -> Rows:
    return rows.view(np.int64).reshape(len(rows), -1)


def _put_policy(state: State, rows: Rows, _deleted: bool, _now_ns: int) -> bool:
    state.policy[:] = rows[:1]
    return True


def _put_configuration(state: State, rows: Rows, deleted: bool, now_ns: int) -> bool:
    return apply.put_configuration_nb(state.memory[0], _words(rows), rows, deleted, now_ns)


def _put_breaker(state: State, rows: Rows, deleted: bool, now_ns: int) -> bool:
    return apply.put_breaker_nb(state.memory[0], _words(rows)[0], rows, deleted, now_ns)


_APPLY: dict[int, Callable[[State, Rows, bool, int], bool]] = {
    INSTRUMENT: lambda state, rows, gone, _: apply.put_instruments_nb(
        state.memory[0], _words(rows), gone
    ),
    ACCOUNT: lambda state, rows, gone, now: apply.put_accounts_nb(state.memory[0], rows, gone, now),
    RISK_CONFIGURATION: _put_configuration,
    PROVIDER: lambda state, rows, gone, _: apply.put_providers_nb(
        state.memory[0], _words(rows), gone
    ),
    MARKET: lambda state, rows, _gone, _now: apply.put_markets_nb(state.memory[0], rows),
    CONVERSION_RATE: lambda state, rows, gone, _: apply.put_rates_nb(
        state.memory[0], _words(rows), gone
    ),
    BREAKER: _put_breaker,
    POLICY: _put_policy,
    MODEL: lambda state, rows, _gone, _now: apply.put_model_nb(state.memory[0], rows),
    WINDOW: lambda state, rows, _gone, _now: apply.put_windows_nb(state.memory[0], _words(rows)),
    HEARTBEAT: lambda state, rows, _gone, now: apply.put_heartbeat_nb(state.memory[0], rows, now),
    CLOCK: lambda _state, _rows, _gone, _now: True,
    EQUITY: lambda state, rows, _gone, now: apply.put_equity_nb(state.memory[0], rows, now),
    SESSION: lambda state, rows, _gone, _now: apply.put_session_nb(state.memory[0], rows),
}
