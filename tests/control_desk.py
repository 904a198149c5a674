"""A desk for tests of controls: one account, real engine, time that passes, and what came of it."""

from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.layout import (
    CHANGE_HEARTBEAT,
    CHANGE_MARKET,
    CHANGE_RISK_CONFIGURATION,
    CHANGE_STRATEGY,
    CHANGE_WINDOW,
    MICROS,
    NOT_SET,
    SECOND_NS,
    words,
)
from server.hotpath.memory import Capacity
from server.hotpath.reasons import REASONS_MAX, S_DENY
from server.hotpath.records import (
    DECIDED,
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    REPORT,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
    REQUEST,
)
from tests.desk import HEARTBEAT, NOW_NS, SMALL, WINDOW, Desk

MARKET: Final = 5
STRATEGY: Final = 17
ALLOW, REDUCE, DENY = 1, 2, 3
ACK, PARTIAL_FILL, FILL, REJECT, CANCEL, EXPIRE, CLOSE, UNKNOWN = range(1, 9)
BUY, SELL = 1, 2
# 110,000 USD of notional per lot, 205 USD of loss: half a percent of 10,000,000 pays for 243.90.
ENTRY: Final = 1.1
_PRESENT: Final = {
    "entry_price": HAS_ENTRY_PRICE,
    "stop_loss": HAS_STOP_LOSS,
    "take_profit": HAS_TAKE_PROFIT,
    "requested_lots": HAS_REQUESTED_LOTS,
    "atr": HAS_ATR,
    "volatility_index": HAS_VOLATILITY_INDEX,
}


class ControlDesk(Desk):
    """Asks a real engine, at a time of its own.

    Args:
        instrument: columns of CHANGE_INSTRUMENT over those of EURUSD.
        capacity: rows per table.
        limits: columns of CHANGE_RISK_CONFIGURATION.
    """

    def __init__(
        self,
        *,
        instrument: dict[str, Any] | None = None,
        capacity: Capacity = SMALL,
        **limits: Any,
    ) -> None:
        self.now_ns = NOW_NS
        self.engine = Engine(capacity, started_at_ns=NOW_NS)
        self._reports = 0
        super().__init__(self.engine, instrument=instrument, equity=10_000_000, **limits)

    def _put(self, kind: int, rows: Any) -> None:
        self.engine.apply_rows(kind, 1, rows, reading_ns=self.now_ns)

    # --- What is known ---

    def pass_time(self, *, seconds: float = 0, ns: int = 0) -> None:
        """Let time pass; the feed stays fresh."""
        self.now_ns += round(seconds * SECOND_NS) + ns
        row = np.zeros(1, CHANGE_HEARTBEAT)
        row["published_at_ns"] = self.now_ns
        self._put(HEARTBEAT, row)

    def put_window(self, timezone: str, **columns: Any) -> None:
        """Tell the engine the days of a time zone."""
        row = np.zeros(1, CHANGE_WINDOW)
        row["timezone"] = words(timezone, 4)
        for name, value in columns.items():
            row[name] = value
        self._put(WINDOW, row)

    def put_quote(self, bid: float, ask: float, *, at_ns: int | None = None) -> None:
        """Quote the instrument, now or at a time."""
        row = np.zeros(1, CHANGE_MARKET)
        row["symbol"] = words(self.symbol, 4)
        row["atr"] = row["volatility_index"] = np.nan
        row["bid"], row["ask"] = bid, ask
        row["quote_at_ns"] = self.now_ns if at_ns is None else at_ns
        self._put(MARKET, row)

    def put_override(self, own: dict[str, int], *, replaces: bool = False, **columns: Any) -> None:
        """Put limits of the account and, for the symbol, an override."""
        rows = np.zeros(2, CHANGE_RISK_CONFIGURATION)
        rows["account_id"] = words("A")
        rows["symbol"][1] = words(self.symbol, 4)
        for name in CHANGE_RISK_CONFIGURATION.names or ():
            if name.startswith("max_") and name.endswith("_ppm"):
                rows[name] = NOT_SET
        for name in (
            "position_max_drawdown_ppm",
            "position_trailing_stop_ppm",
            "daily_max_drawdown_ppm",
            "weekly_max_drawdown_ppm",
            "monthly_max_drawdown_ppm",
            "min_provider_score_micropoints",
        ):
            rows[name] = NOT_SET
        rows["risk_per_trade_ppm"] = 5_000, NOT_SET
        rows["override"][1] = replaces
        for row, values in zip(rows, (own, columns), strict=True):
            for name, value in values.items():
                row[name] = value
        self._put(3, rows)

    def enable_strategy(self, name: str, *, at_ns: int | None = None) -> None:
        """Let a strategy go on, as a person does."""
        row = np.zeros(1, CHANGE_STRATEGY)
        row["account_id"], row["strategy_id"] = words("A"), words(name)
        row["enabled_at_ns"] = self.now_ns if at_ns is None else at_ns
        self._put(STRATEGY, row)

    # --- Orders ---

    def order(
        self,
        lots: float | None = 0.1,
        *,
        side: int = BUY,
        entry: float = ENTRY,
        stop: float | None = None,
        exits: bool = False,
        **fields: Any,
    ) -> Any:
        """Ask for a decision; return the DECISION record.

        Args:
            lots: None: as many as the risk money pays for.
            side: BUY or SELL.
            entry: price.
            stop: price; None: 20 pips away.
            exits: reduce only.
            fields: other columns of REQUEST.
        """
        row = np.zeros(1, REQUEST)
        row["account_id"], row["symbol"] = words("A"), words(self.symbol, 4)
        row["side"], row["reduce_only"] = side, exits
        if not exits:
            fields = {
                "provider_id": "channel_12345",
                "provider_type": 1,
                "entry_price": entry,
                "stop_loss": stop or round(entry - 0.002 * (1 if side == BUY else -1), 5),
                "atr": 0.001,
                "volatility_index": 50.0,
                **fields,
            }
        if lots is not None:
            fields["requested_lots"] = lots
        for name, value in fields.items():
            row[name] = words(value) if isinstance(value, str) else value
            row["present"] |= _PRESENT.get(name, 0)
        result, decision = self.engine.decide_record(row[0], self.now_ns)
        assert result == DECIDED
        return decision

    def report(
        self,
        decision: Any,
        kind: int,
        lots: float | None = None,
        *,
        price: float = ENTRY,
        side: int = BUY,
        position_id: str = "",
    ) -> None:
        """Report what became of an order; it is applied."""
        self._reports += 1
        row = np.zeros(1, REPORT)
        row["account_id"], row["report_id"] = words("A"), words(f"r-{self._reports}")
        row["symbol"], row["side"] = words(self.symbol, 4), side
        row["decision_id"], row["kind"] = int(decision["sequence"]), kind
        row["position_id"] = words(position_id)
        if lots is not None:
            row["lots"], row["price"] = lots, price
            row["present"] = REPORT_HAS_LOTS | REPORT_HAS_PRICE
        if kind == CLOSE:
            row["present"] |= REPORT_HAS_PNL
        result = self.engine.report_record(row[0], self.now_ns)
        assert result["outcome"] in (1, 3), result

    # --- What came of it ---

    @property
    def account(self) -> Any:
        """The row of the account."""
        return self.engine.state.accounts.rows[1]

    def strategy(self, row: int = 1) -> Any:
        """A row of the strategies."""
        return self.engine.state.strategies.rows[row]


def denials(decision: Any) -> set[int]:
    """Return the reasons that deny."""
    return {reason for reason in range(REASONS_MAX) if decision["status"][reason] == S_DENY}


def numbers(decision: Any, reason: int) -> tuple[int, int]:
    """Return limit and observed of a check that has them."""
    assert decision["numbers"][reason] & 1, "the check has no numbers"
    return int(decision["limit"][reason]), int(decision["observed"][reason])


def lots_max(decision: Any, reason: int) -> int:
    """Return how many lot steps a cap lets through."""
    assert decision["numbers"][reason] & 2, "the check is no cap"
    return int(decision["lots_max"][reason])


def money(amount: float) -> int:
    """Return micros."""
    return round(amount * MICROS)
