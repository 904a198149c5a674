"""What the twin remembers, and what time does to it (page, sections 2 and 7)."""

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from server.hotpath.layout import CLOCK_LEAP_NS
from server.hotpath.memory import Capacity
from server.hotpath.rows import RESERVATION_CLOSED, RESERVATION_HELD, RESERVATION_WORKING
from tests.reference.arithmetic import Exact
from tests.reference.kills import Kills
from tests.reference.rows import NO_ID, NO_SYMBOL

CONSECUTIVE_LOSSES = 5
CLOSED_DIVISOR = 64
CLOSED, TRIPPED, COOLING, HALF_OPEN, LOCKED = range(1, 6)
VOLATILITY, EXPRESSION = 6, 7


def is_over_request(rule: Any) -> bool:
    """Tell whether a breaker is judged in decisions, rather than when the state changes."""
    return bool(
        rule.condition == VOLATILITY or (rule.condition == EXPRESSION and rule.over_request == 1)
    )


@dataclass(slots=True)
class Market:
    regime: bytes = NO_SYMBOL
    atr: float | None = None
    atr_at: int = 0
    volatility: int | None = None
    volatility_at: int = 0
    quote: tuple[float, float] | None = None
    quote_at: int = 0
    collar_start: int = 0
    collar_twice: int = 0


@dataclass(slots=True)
class Breaker:
    definition: Any
    state: int = CLOSED
    tripped_at: int = 0
    closes_at: int = 0
    trip_count: int = 0
    event_at: int = 0
    reset_at: int = 0

    def close(self) -> None:
        self.state, self.tripped_at, self.closes_at = CLOSED, 0, 0


@dataclass(slots=True)
class Strategy:
    strategy_id: bytes
    held: int = 0
    open: int = 0
    executions: int = 0
    window_start: int = 0
    disabled_at: int = 0
    enabled_at: int = 0


@dataclass(slots=True)
class Content:
    """An order that was let through, to know its like again; without account it is emptied."""

    key: tuple[Any, ...]
    account: Any
    made_at: int
    until: int


@dataclass(slots=True)
class Position:
    instrument: bytes
    position_id: bytes
    net: int = 0
    cost_ticks: int = 0
    open_risk: int = 0
    open_notional: int = 0
    held: dict[int, int] = field(default_factory=lambda: {1: 0, 2: 0})
    working_exits: int = 0


@dataclass(slots=True)
class Exposure:
    held: int = 0
    open: int = 0


@dataclass(slots=True)
class Account:
    account_id: bytes
    alive: bool = False
    spec: Any = None
    equity: int = 0
    equity_at: int = 0
    peak: int = 0
    start: dict[str, int] = field(default_factory=lambda: {"day": 0, "week": 0, "month": 0})
    base: dict[str, int] = field(default_factory=lambda: {"day": 0, "week": 0, "month": 0})
    consecutive_losses: int = 0
    cooling_until: int = 0
    held_risk: int = 0
    held_notional: int = 0
    open_risk: int = 0
    open_notional: int = 0
    reservations: int = 0
    idempotency: int = 0
    message_full_at: int = 0
    contents: int = 0
    strategies: dict[bytes, Strategy] = field(default_factory=dict)
    breakers: list[Breaker] = field(default_factory=list)
    configuration: Any = None
    overrides: dict[bytes, Any] = field(default_factory=dict)
    positions: dict[tuple[bytes, bytes], Position] = field(default_factory=dict)
    exposures: dict[tuple[bool, bytes], Exposure] = field(default_factory=dict)


@dataclass(slots=True)
class Hold:
    decision_id: int
    account: Account
    instrument: Any
    side: int
    is_exit: bool
    position: Position
    exposure: Exposure
    left: int
    risk: int
    notional: int
    entry_ticks: int
    loss_per_lot: int
    notional_per_lot: int
    expires_at: int
    made_at: int
    strategy: Strategy | None = None
    # What it counted where, to be taken back with it.
    message_interval: int = 0
    repeat_limit: int = 0
    content: Content | None = None
    state: int = RESERVATION_HELD
    filled: int = 0
    closed: int = 0
    filled_into: bytes = NO_ID

    @property
    def in_use(self) -> bool:
        return self.state in (RESERVATION_HELD, RESERVATION_WORKING)


@dataclass(slots=True)
class Remembered:
    account: Account
    digest: bytes
    decision_id: int
    made_at: int


def _unset(account: Account) -> Any:
    raise NotImplementedError


class Books:
    """All state of the twin, with the operations that several rules share."""

    def __init__(
        self,
        capacity: Capacity,
        *,
        epoch: int,
        started_at_ns: int,
        restarted: bool,
        idempotency_min_age_ns: int,
    ) -> None:
        self.capacity = capacity
        self.epoch = epoch
        self.started_at = started_at_ns
        self.restarted = restarted
        self.idempotency_min_age = idempotency_min_age_ns
        self.sequence = 0
        self.state_version = 0
        self.now = 0
        self.last_reading = 0
        self.clock_unconfirmed = False
        self.heartbeat_at = 0
        self.record_away = False
        self.model_slot: int | None = None
        self.model_serial = 0
        self.session = 0
        self.next_session = 0
        self.next_session_at = 0
        self.unknown_changes = 0
        self.policy: Any = None
        self.instruments: dict[bytes, Any] = {}
        self.instruments_ever: dict[bytes, Any] = {}
        self.markets: dict[bytes, Market] = {}
        self.accounts: dict[bytes, Account] = {}
        self.providers: dict[tuple[bytes, int], Any] = {}
        self.rates: dict[tuple[int, int], Any] = {}
        self.windows: dict[bytes, Any] = {}
        self.breakers: dict[bytes, tuple[Account, Breaker]] = {}
        self.holds: dict[int, Hold] = {}
        self.closed_holds: deque[Hold] = deque()
        self.holds_in_use = 0
        self.fresh_holds = 0
        self.expiries: list[tuple[int, int]] = []
        self.position_count = 0
        self.remembered: OrderedDict[tuple[bytes, bytes], Remembered] = OrderedDict()
        self.seen_reports: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        self.exact = Exact()
        self.kills = Kills(capacity.kills)
        self.strategy_count = 0
        self.contents: deque[Content] = deque()
        self.content_of: dict[tuple[Any, ...], Content] = {}
        self.event_sequence = 0
        self.event_count = 0
        self.events: deque[dict[str, Any]] = deque(maxlen=capacity.events)
        # Rules that the books set off; see Breakers.
        self.end_what_is_due: Callable[[Account], bool] = _unset
        self.refresh: Callable[[Account], None] = _unset

    # --- Time ---------------------------------------------------------------------------------

    def take_reading(self, reading: int) -> None:
        self.exact.out_of_range = False
        # An event that trips a breaker takes this number at its end.
        self.event_sequence = self.sequence + 1
        if self.last_reading and reading > self.last_reading + CLOCK_LEAP_NS:
            self.clock_unconfirmed = True
        self.last_reading = reading
        self.now = max(self.now, reading)
        while self.expiries and self.expiries[0][0] <= self.now:
            # Of those that end together the newest comes first.
            _expires_at, older = heapq.heappop(self.expiries)
            hold = self.holds.get(-older)
            if hold is not None and hold.state == RESERVATION_HELD:
                self.close_hold(hold)

    def window_start(self, account: Account, period: str) -> int:
        """Return the start of the account's current day, week or month; 0 if it is unknown."""
        window = self.windows.get(account.spec.timezone)
        if window is None:
            return 0
        start: int = getattr(window, f"{period}_start_ns")
        following: int = getattr(window, f"{period}_next_ns")
        return following if following > 0 and self.now >= following else start

    def roll(self, account: Account) -> None:
        changed = False
        for period in ("day", "week", "month"):
            start = self.window_start(account, period)
            if start > account.start[period]:
                account.start[period] = start
                account.base[period] = account.equity
                changed = True
        if account.cooling_until > 0 and self.now >= account.cooling_until:
            account.consecutive_losses = 0
            account.cooling_until = 0
            changed = True
        if self.end_what_is_due(account) or changed:
            self.refresh(account)

    def add_event(self, event: dict[str, Any]) -> None:
        """Keep the trip of a breaker, as long as there is room for it."""
        self.event_count += 1
        self.events.append({"event_id": self.event_count, **event})

    def rate(self, quote: int, own: int) -> Any:
        """Return the conversion rate between two currencies, None if it is unknown or deleted."""
        row = self.rates.get((quote, own))
        return row if row is not None and row.rate_picos else None

    # --- Equity -------------------------------------------------------------------------------

    def mark_equity(self, account: Account, equity: int, at: int) -> None:
        if at > account.equity_at:
            account.equity, account.equity_at = equity, at
            account.peak = max(account.peak, equity)

    # --- Positions ----------------------------------------------------------------------------

    def has_room_for_positions(self, count: int) -> bool:
        return self.position_count + count <= self.capacity.positions

    def position(self, account: Account, symbol: bytes, position_id: bytes = NO_ID) -> Position:
        """Return the row, a new one if there is none; the caller has made sure of the room."""
        found = account.positions.get((symbol, position_id))
        if found is None:
            found = Position(symbol, position_id)
            account.positions[symbol, position_id] = found
            self.position_count += 1
        return found

    def forget_if_flat(self, account: Account, position: Position) -> None:
        if position.position_id != NO_ID and position.net == 0 and position.working_exits == 0:
            key = (position.instrument, position.position_id)
            if account.positions.get(key) is position:
                del account.positions[key]
                self.position_count -= 1

    @staticmethod
    def exposure(account: Account, instrument: Any) -> Exposure:
        group = instrument.correlation_group
        alone = group == NO_SYMBOL
        key = (alone, instrument.symbol if alone else group)
        return account.exposures.setdefault(key, Exposure())

    # --- Holds --------------------------------------------------------------------------------

    def find_hold(self, account: Account, client_order_id: bytes) -> Hold | None:
        known = self.remembered.get((account.account_id, client_order_id))
        if client_order_id == NO_ID or known is None:
            return None
        hold = self.holds.get(known.decision_id)
        return hold if hold is not None and hold.account is account else None

    def shift_hold(self, hold: Hold, sign: int, steps: int, risk: int, notional: int) -> None:
        """Add (sign +1) or take (-1) so much of a hold to or from every sum it is part of."""
        account = hold.account
        account.held_risk += sign * risk
        account.held_notional += sign * notional
        if hold.strategy is not None:
            hold.strategy.held += sign * notional
        if hold.is_exit:
            hold.position.working_exits += sign * steps
            if hold.position.position_id != NO_ID:
                self.position(account, hold.instrument.symbol).working_exits += sign * steps
        else:
            hold.exposure.held += sign * notional
            hold.position.held[hold.side] += sign * steps

    def open_hold(self, hold: Hold) -> None:
        # Rows never used are taken first, but only while few closed ones are kept for late reports.
        fresh = self.fresh_holds < self.capacity.reservations
        if fresh and len(self.closed_holds) <= self.capacity.reservations // CLOSED_DIVISOR:
            self.fresh_holds += 1
        else:
            del self.holds[self.closed_holds.popleft().decision_id]
        self.holds[hold.decision_id] = hold
        self.shift_hold(hold, 1, hold.left, hold.risk, hold.notional)
        hold.account.reservations += 1
        self.holds_in_use += 1
        heapq.heappush(self.expiries, (hold.expires_at, -hold.decision_id))

    def close_hold(self, hold: Hold) -> None:
        """Release what is left and keep the row for late reports."""
        self.shift_hold(hold, -1, hold.left, hold.risk, hold.notional)
        hold.left = hold.risk = hold.notional = 0
        hold.state = RESERVATION_CLOSED
        hold.account.reservations -= 1
        self.holds_in_use -= 1
        self.closed_holds.append(hold)
        self.forget_if_flat(hold.account, hold.position)
