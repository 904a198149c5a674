"""The desk with a clock that moves and breakers on its account."""

from typing import Any, Final

import numpy as np

from server.conditions import compile_condition
from server.engine import Engine
from server.hotpath.layout import (
    CHANGE_BREAKER,
    CHANGE_BREAKER_RESET,
    CHANGE_EQUITY,
    CHANGE_HEARTBEAT,
    MICROS,
    PPM,
    SECOND_NS,
    words,
)
from server.hotpath.memory import Capacity
from server.hotpath.records import (
    DECIDED,
    HAS_ENTRY_PRICE,
    HAS_STOP_LOSS,
    REPORT,
    REPORT_HAS_PNL,
    REQUEST,
)
from tests.desk import HEARTBEAT, NOW_NS, SMALL, Desk

BREAKER, EQUITY, BREAKER_RESET = 7, 13, 18
MAX_DRAWDOWN, DAILY_LOSS, CONSECUTIVE_LOSSES, VOLATILITY, EXPRESSION = 1, 2, 5, 6, 7
BLOCK, REDUCE_SIZE, CLOSE, ALERT = 1, 3, 4, 5
CLOSED, TRIPPED, COOLING, HALF_OPEN, LOCKED = 1, 2, 3, 4, 5
ALLOW, REDUCE, DENY = 1, 2, 3
MINUTE_S: Final = 60


def expression(source: str) -> dict[str, Any]:
    """Return the columns of a breaker over an expression."""
    condition = compile_condition(source)
    return {
        "condition": EXPRESSION,
        "over_request": int(condition.over_request),
        "program_length": len(condition.program),
        "program": condition.program,
        "constants": condition.constants,
    }


class BreakerDesk:
    """Marks equity, reports trades and asks for decisions, seconds after the desk was set up.

    Args:
        capacity: Of the engine, over that of the desk.

    Attributes:
        engine: Whose account A starts with 10,000.
        now_s: Seconds since the beginning.
    """

    def __init__(self, **capacity: int) -> None:
        sizes = {**SMALL._asdict(), "breakers": 1_024, **capacity}
        self.engine = Engine(Capacity(**sizes), started_at_ns=NOW_NS)
        self._desk = Desk(self.engine, score=87.5)
        self.now_s = 0
        self._reports = 0
        # So that the next marks are newer than the desk's own.
        self.wait(1)

    @property
    def now_ns(self) -> int:
        return NOW_NS + self.now_s * SECOND_NS

    def _apply(self, kind: int, row: Any, *, deleted: bool = False) -> None:
        self.engine.apply_rows(kind, 1, row, deleted=deleted, reading_ns=self.now_ns)

    def wait(self, seconds: int) -> None:
        """Let time pass, the feed alive."""
        self.now_s += seconds
        row = np.zeros(1, CHANGE_HEARTBEAT)
        row["published_at_ns"] = self.now_ns
        self._apply(HEARTBEAT, row)

    def put(self, name: str = "b", *, enabled: bool = True, **columns: Any) -> None:
        """Put a breaker; a text column takes its list of names."""
        row = np.zeros(1, CHANGE_BREAKER)
        row["breaker_id"], row["name"] = words(name), words(name)
        row["account_id"] = words("A")
        row["condition"], row["action"], row["enabled"] = MAX_DRAWDOWN, BLOCK, int(enabled)
        row["multiplier_ppm"] = PPM // 2
        for column, value in columns.items():
            if column in {"program", "constants", "symbols", "exchanges", "providers"}:
                row[column][0][: len(value)] = value
            elif column == "strategies":
                row[column][0][: 8 * len(value)] = np.concatenate(list(map(words, value)))
            else:
                row[column] = value
        self._apply(BREAKER, row)

    def put_drawdown(self, ratio: float = 0.10, name: str = "b", **columns: Any) -> None:
        """Put a breaker that trips when the drawdown is more than a ratio."""
        self.put(name, threshold=round(ratio * PPM), **columns)

    def delete(self, name: str = "b") -> None:
        row = np.zeros(1, CHANGE_BREAKER)
        row["breaker_id"] = words(name)
        self._apply(BREAKER, row, deleted=True)

    def reset(self, name: str = "b") -> None:
        """Let a person reset it now."""
        row = np.zeros(1, CHANGE_BREAKER_RESET)
        row["breaker_id"], row["reset_at_ns"] = words(name), self.now_ns
        self._apply(BREAKER_RESET, row)

    def mark(self, equity: int) -> None:
        """Mark the equity, a second after whatever came before."""
        self.wait(1)
        row = np.zeros(1, CHANGE_EQUITY)
        row["account_id"] = words("A")
        row["equity_micros"], row["equity_at_ns"] = equity * MICROS, self.now_ns
        self._apply(EQUITY, row)

    def report(self, profit: float) -> None:
        """Report a trade that nobody asked about, closed with a profit or a loss."""
        self._reports += 1
        row = np.zeros(1, REPORT)
        row["account_id"], row["report_id"] = words("A"), words(f"r{self._reports}")
        row["symbol"], row["side"], row["kind"] = words("EURUSD", 4), 1, 1
        row["present"], row["realised_pnl"] = REPORT_HAS_PNL, profit
        self.engine.report_record(row[0], self.now_ns)

    def decide(
        self, *, dry_run: bool = True, volatility: float | None = 50.0, **columns: Any
    ) -> Any:
        """Ask for new risk and return the answer."""
        row = np.zeros(1, REQUEST)
        row["account_id"], row["provider_id"] = words("A"), words("channel_12345")
        row["provider_type"], row["symbol"], row["side"] = 1, words("EURUSD", 4), 1
        row["dry_run"] = dry_run
        row["present"] = HAS_ENTRY_PRICE | HAS_STOP_LOSS
        row["entry_price"], row["stop_loss"] = 1.1, 1.098
        # An average range, so that sizes are known.
        row["present"] |= 16
        row["atr"] = 0.001
        if volatility is not None:
            row["present"] |= 32
            row["volatility_index"] = volatility
        for column, value in columns.items():
            row[column] = value
        result, decision = self.engine.decide_record(row[0], self.now_ns)
        assert result == DECIDED
        return decision.copy()

    # --- What is there ---

    @property
    def trips(self) -> int:
        """How many events were ever made."""
        return int(self.engine.state.engine[0]["event_count"])

    def breaker(self, name: str = "b") -> Any:
        """Return a copy of the row of a breaker."""
        rows = self.engine.state.breakers.rows
        (place,) = np.flatnonzero((rows["breaker_id"] == words(name)).all(axis=1))
        return rows[place].copy()

    def state_of(self, name: str = "b") -> int:
        return int(self.breaker(name)["state"])

    @property
    def account(self) -> Any:
        return self.engine.state.accounts.rows[1]

    @property
    def events(self) -> list[Any]:
        """Return copies of all events that are still there, oldest first."""
        rows = self.engine.state.events
        return sorted((row.copy() for row in rows if row["event_id"]), key=lambda e: e["event_id"])
