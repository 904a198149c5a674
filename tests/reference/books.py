"""What the twin remembers, and what time does to it (page, sections 2 and 7)."""

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from server.hotpath.layout import CLOCK_LEAP_NS, PPM
from server.hotpath.memory import Capacity
from server.hotpath.rows import RESERVATION_CLOSED, RESERVATION_HELD, RESERVATION_WORKING
from tests.reference.arithmetic import Exact
from tests.reference.rows import NO_ID, NO_SYMBOL

MAX_DRAWDOWN, DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS, CONSECUTIVE_LOSSES, VOLATILITY = range(1, 7)
PERIODS = {DAILY_LOSS: "day", WEEKLY_LOSS: "week", MONTHLY_LOSS: "month"}
CLOSED_DIVISOR = 64
BREAKER_CLOSED, BREAKER_TRIPPED = 1, 2


@dataclass(slots=True)
class Market:
    regime: bytes = NO_SYMBOL
    atr: float | None = None
    atr_at: int = 0
    volatility: int | None = None
    volatility_at: int = 0
    quote: tuple[float, float] | None = None
    quote_at: int = 0


@dataclass(slots=True)
class Breaker:
    definition: Any
    state: int = BREAKER_CLOSED
    tripped_at: int = 0
    closes_at: int = 0

    def close(self) -> None:
        self.state, self.tripped_at, self.closes_at = BREAKER_CLOSED, 0, 0


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

    # --- Time ---------------------------------------------------------------------------------

    def take_reading(self, reading: int) -> None:
        self.exact.out_of_range = False
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
        for breaker in account.breakers:
            if breaker.definition.condition != CONSECUTIVE_LOSSES:
                continue
            if breaker.closes_at > 0 and self.now >= breaker.closes_at:
                breaker.close()
                account.consecutive_losses = 0
                changed = True
        if changed:
            self.refresh(account)

    # --- Breakers -----------------------------------------------------------------------------

    def refresh(self, account: Account) -> None:
        for breaker in account.breakers:
            rule = breaker.definition
            if rule.enabled != 1 or rule.condition == VOLATILITY:
                breaker.close()
            elif self._holds_true(account, rule):
                if breaker.state == BREAKER_CLOSED:
                    breaker.state, breaker.tripped_at = BREAKER_TRIPPED, self.now
                    cools = rule.condition == CONSECUTIVE_LOSSES
                    breaker.closes_at = self.now + rule.cooling_off_ns if cools else 0
            elif rule.condition != CONSECUTIVE_LOSSES:
                breaker.close()

    def _holds_true(self, account: Account, rule: Any) -> bool:
        if rule.condition == CONSECUTIVE_LOSSES:
            return bool(account.consecutive_losses >= rule.threshold)
        if rule.condition == MAX_DRAWDOWN:
            highest = account.peak
        else:
            period = PERIODS[rule.condition]
            if account.start[period] == 0:
                return True
            highest = account.base[period]
        if highest <= 0:
            return True
        # Not bounded to int64: a fall beyond it is above every threshold.
        return bool(-((account.equity - highest) * PPM // highest) > rule.threshold)

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
