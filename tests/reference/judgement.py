"""The answer to one request while it is being made."""

from typing import Any

from server.hotpath.reasons import (
    CAP_RUNS,
    R_BELOW_MIN_LOT,
    R_EXIT_CLIPPED,
    REASONS_MAX,
    S_CUT,
    S_DENY,
    S_NOT_APPLICABLE,
    S_NOTE,
    S_PASS,
)
from server.hotpath.records import AGE_ABSENT
from tests.reference.arithmetic import Exact
from tests.reference.books import Account, Breaker, Hold, Position, Strategy

CAPS = tuple(reason for first, last in CAP_RUNS for reason in range(first, last + 1))
SIZE_LIMITS = frozenset((*CAPS, R_BELOW_MIN_LOT, R_EXIT_CLIPPED))
ALLOW, REDUCE, DENY = 1, 2, 3
NORMAL, DEGRADED, REFUSE = 1, 2, 3

_ZERO_COLUMNS = (
    "verdict", "binding", "known", "lot_steps", "target_steps", "largest_steps", "buffer_ticks",
    "slippage_ticks", "stop_ticks", "trailing_ticks", "risk_money_micros", "loss_per_lot_micros",
    "notional_per_lot_micros", "score_micropoints", "multiplier_ppm", "slippage_micropips",
    "predicted_slippage_pips", "lot_size", "sl_buffer_pips", "stop_price",
    "trailing_stop_distance", "largest_passing_lots", "expires_at_ns", "session",
)  # fmt: skip
_AGES = ("heartbeat", "equity", "score", "atr", "volatility", "conversion_rate", "quote")


def indices_of(statuses: bytes | bytearray, status: int) -> list[int]:
    """Return the reasons that have a status, by index."""
    found, at = [], statuses.find(status)
    while at >= 0:
        found.append(at)
        at = statuses.find(status, at + 1)
    return found


class Judgement:
    """Collects statuses, numbers and outputs; `answer` uses the column names of DECISION."""

    def __init__(self, request: Any, account: Account | None, instrument: Any) -> None:
        self.request = request
        self.account: Any = account
        self.instrument = instrument
        self.exact = Exact()
        self.sign = 1 if request.side == 1 else -1
        self.answer: dict[str, Any] = dict.fromkeys(_ZERO_COLUMNS, 0)
        self.answer["mode"] = NORMAL
        for age in _AGES:
            self.answer[f"{age}_age_ns"] = AGE_ABSENT
        self.status = bytearray(REASONS_MAX)  # all absent
        self.limit: dict[int, int] = {}
        self.observed: dict[int, int] = {}
        self.lots_max: dict[int, int] = {}
        self.breakers: list[tuple[bytes, int, int, int]] = []
        # What later steps need of earlier ones.
        self.entry = 0
        self.stop = 0
        self.rate: int | None = None
        self.atr = 0
        self.atr_missing = False
        self.volatility: int | None = None
        self.vol_ppm = 1_000_000
        self.regime_ppm = 1_000_000
        self.multiplier = 0
        self.quality = 0
        self.score = 0
        self.new_provider = False
        self.degraded = False
        self.breakers_in_scope: list[Breaker] | None = None
        self.size_breakers: list[int] = []
        self.quote_twice = 0
        self.needs_strategy = False
        self.strategy: Strategy | None = None
        self.content: tuple[Any, ...] | None = None
        self.slippage = 0
        self.buffer = 0
        self.sizes_known = False
        self.lot = 0
        self.target = 0
        self.off_step = False
        self.largest = 0
        self.net: Position | None = None
        self.override: Any = None
        self.exit_row: Position | None = None
        self.replaced: Hold | None = None
        self.hold_risk = 0
        self.hold_notional = 0

    def set(
        self, status: int, reason: int, limit: int | None = None, observed: int | None = None
    ) -> None:
        self.status[reason] = status
        if limit is not None and observed is not None:
            self.limit[reason], self.observed[reason] = limit, observed

    def deny(self, reason: int, limit: int | None = None, observed: int | None = None) -> None:
        self.set(S_DENY, reason, limit, observed)

    def note(self, reason: int) -> None:
        self.set(S_NOTE, reason)

    def skip(self, reason: int) -> None:
        self.set(S_NOT_APPLICABLE, reason)

    def check(
        self, reason: int, *, denied: bool, limit: int | None = None, observed: int | None = None
    ) -> None:
        self.set(S_DENY if denied else S_PASS, reason, limit, observed)

    def cap(self, reason: int, steps_max: int, limit: int, observed: int) -> None:
        """Enter one limit on the size."""
        self.lots_max[reason] = steps_max
        status = S_PASS
        if steps_max < self.target:
            status = S_DENY if steps_max < self.instrument.min_lot_steps else S_CUT
        self.set(status, reason, limit, observed)

    def exposed_steps(self) -> int:
        """Return the lot steps on the order's side, open and held; the other side is no credit."""
        if self.net is None:
            return 0
        return max(0, self.sign * self.net.net) + self.net.held[self.request.side]

    def denials(self) -> list[int]:
        return indices_of(self.status, S_DENY)

    def hard_denials(self) -> list[int]:
        """Return the denials that no smaller size would cure, by index."""
        return [reason for reason in self.denials() if reason not in SIZE_LIMITS]
