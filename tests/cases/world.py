"""The world itself: its clock and its mix of events."""

from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np

from server.broker_view import BrokerOrder, BrokerPosition
from server.hotpath.layout import SECOND_NS
from server.hotpath.memory import Capacity
from tests.cases.brokers import broker_position, lot_of
from tests.cases.changes import ChangeMaker
from tests.cases.markets import MARKETS
from tests.cases.names import ACCOUNTS, mood_of
from tests.cases.reports import ReportMaker
from tests.cases.requests import CHUNK, RequestMaker

Array = np.ndarray[Any, np.dtype[Any]]

START_NS: Final = 1_770_000_000 * SECOND_NS


class Change(NamedTuple):
    kind: int
    version: int
    rows: Array
    deleted: bool
    reading_ns: int


class Decide(NamedTuple):
    row: Any
    reading_ns: int


class Report(NamedTuple):
    row: Any
    reading_ns: int


class Sync(NamedTuple):
    """The broker's picture of an account."""

    account: str
    equity_micros: int | None
    as_of_ns: int
    positions: list[BrokerPosition]
    orders: list[BrokerOrder]
    reading_ns: int


class TakeBack(NamedTuple):
    """A batch is denied: so many of its last orders were not sent."""

    orders: int
    reading_ns: int


Event = Change | Decide | Report
WholeEvent = Event | Sync | TakeBack

ROOMY: Final = Capacity(
    instruments=32, accounts=16, providers=64, overrides=256, rates=64, breakers=256,
    positions=512, exposures=512, windows=16, reservations=4_096,
    idempotency=8_192, answer_bytes=1 << 24, strategies=64, contents=2_048, kills=64, events=64,
)  # fmt: skip
# A table of 64 leaves 8 rows to an account, and the last row to exits.
NARROW: Final = ROOMY._replace(
    positions=40, reservations=64, idempotency=64, strategies=5, contents=16, events=4
)
# Few accounts fill the whole table: the quota is out of reach.
SHARED: Final = ROOMY._replace(reservations=24, idempotency=24, contents=64)

_ADVANCES_NS: Final = np.array([
    0, 1, 1_000, 1_000_000, 1 << 20, 50_000_000, 400_000_000, SECOND_NS, 2 * SECOND_NS,
    2 * SECOND_NS + 1, 5 * SECOND_NS, -SECOND_NS, -10 * SECOND_NS,
])  # fmt: skip
_ADVANCE_WEIGHTS: Final = np.array([60, 4, 4, 15, 5, 12, 2, 0.6, 0.3, 0.3, 0.2, 0.3, 0.1])
_LEAPS_NS: Final = (
    5 * SECOND_NS + 1, 31 * SECOND_NS, 120 * SECOND_NS, 3_601 * SECOND_NS, 86_400 * SECOND_NS,
)  # fmt: skip
_SYNCS, _TAKEN_BACK = 0.003, 0.012


class World:
    """One seeded sequence of events.

    Attributes:
        capacity: Of the engine that is to take them.
        restarted: Whether that engine restarts at `started_at_ns`.
        idempotency_min_age_ns: Of that engine.
        sequence: Last sequence number seen by the driver; reports count back from it.
    """

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.capacity = (ROOMY, NARROW, ROOMY, SHARED)[seed % 4]
        if seed % 16 == 9:
            self.capacity = self.capacity._replace(kills=6)
        self.restarted = seed % 5 == 4
        self.started_at_ns = START_NS
        self.idempotency_min_age_ns = SECOND_NS // 2 if seed % 3 else 10 * SECOND_NS
        self.sequence = 0
        self._reading = START_NS
        self._clock = START_NS
        self._planned: deque[Event] = deque()
        mood = mood_of(seed)
        self._changes = ChangeMaker(self.rng, mood)
        self._requests = RequestMaker(self.rng, extreme=mood.extreme)
        self._reports = ReportMaker(self.rng)
        self._chunk: list[int] = []
        self._moves: list[int] = []
        self._draws: list[float] = []

    def initial_changes(self) -> list[Event]:
        """Return what a start-up brings, its heartbeat last; some ask before that."""
        events: list[Event] = [
            Change(kind, version, rows, False, self._clock)
            for kind, version, rows in self._changes.initial(self._clock)
        ]
        early = [Decide(self._requests.next_row(), self._clock) for _ in range(4)]
        return [*events[:-1], *early, events[-1]]

    def next_event(self) -> Event:
        if self._planned:
            return self._planned.popleft()
        if not self._chunk:
            weights = (0.70, 0.155, 0.14, 0.002, 0.003)
            self._chunk = self.rng.choice(len(weights), CHUNK, p=weights).tolist()
            share = _ADVANCE_WEIGHTS / _ADVANCE_WEIGHTS.sum()
            self._moves = self.rng.choice(_ADVANCES_NS, CHUNK, p=share).tolist()
        pick = self._chunk.pop()
        self._tick(self._moves.pop())
        if pick == 0:
            return Decide(self._requests.next_row(), self._reading)
        if pick == 1:
            row = self._reports.next_row(self._requests, self._clock, self.sequence)
            return Report(row, self._reading)
        if pick == 2:
            kind, version, rows, deleted = self._changes.next(self._clock)
            return Change(kind, version, rows, deleted, self._reading)
        if pick == 3:
            self._plan_stall()
        else:
            self._plan_leap()
        return self._planned.popleft()

    def next_whole_event(self) -> WholeEvent:
        """Return what also brokers and denied batches bring about."""
        if not self._planned:
            if not self._draws:
                self._draws = self.rng.random(CHUNK).tolist()
            draw = self._draws.pop()
            if draw < _SYNCS:
                return self._sync()
            if draw < _SYNCS + _TAKEN_BACK:
                return TakeBack(int(self.rng.integers(1, 4)), self._reading)
        return self.next_event()

    def _sync(self) -> Sync:
        rng, holder = self.rng, ACCOUNTS[int(self.rng.integers(len(ACCOUNTS)))]
        equity = int(holder.equity_micros * (0.97 + 0.06 * rng.random()))
        as_of = self._clock - int(rng.choice([0, 0, 1, SECOND_NS]))
        # The far market has positions beyond all numbers.
        markets = rng.permutation(len(MARKETS) - 1)
        positions = [
            broker_position(rng, int(index)) for index in markets[: int(rng.integers(0, 5))]
        ]
        orders = [
            BrokerOrder(f"order-{number}", MARKETS[market].symbol, 1, 3 * lot_of(market), 1.0)
            for number, account, market in self._requests.orders[-40:]
            if number >= 0 and ACCOUNTS[account % 4] is holder and rng.random() < 0.5
        ]
        given = equity if rng.random() < 0.5 else None
        return Sync(holder.name, given, as_of, positions, orders, self._reading)

    def _tick(self, move_ns: int) -> None:
        # A reading may go back; the next one goes on from the furthest so far.
        self._reading = self._clock + move_ns
        self._clock = max(self._clock, self._reading)

    def _plan_change(self, kind: int) -> None:
        rows = self._changes.make(kind, self._clock)
        self._planned.append(Change(kind, 0, rows, False, self._reading))

    def _plan_stall(self) -> None:
        """The feed falls silent for half a minute, in steps that are no leap of the clock."""
        late = int(self.rng.integers(-2, 3))
        self._plan_change(11)
        for step in range(7):
            self._tick(30 * SECOND_NS // 7 + (late + 5 if step == 6 else 0))
            self._plan_change(12)
            if step in (0, 5, 6):
                for _ in range(2):
                    row = self._requests.next_row()
                    self._planned.append(Decide(row, self._reading))
        self._plan_change(11)

    def _plan_leap(self) -> None:
        self._tick(int(self.rng.choice(_LEAPS_NS)))
        self._plan_change(12)
        self._planned.append(Decide(self._requests.next_row(), self._reading))
        if self.rng.random() < 0.9:
            self._plan_change(11)
        for kind in (10, *(5 for _ in MARKETS), *(13 for _ in ACCOUNTS), 6, 6):
            if self.rng.random() < 0.6:
                self._plan_change(kind)
