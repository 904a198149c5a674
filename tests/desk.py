"""One account, one instrument, one provider: set up so that a decision can be worked by hand."""

import itertools
from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_CONVERSION_RATE,
    CHANGE_HEARTBEAT,
    CHANGE_INSTRUMENT,
    CHANGE_PROVIDER,
    CHANGE_RISK_CONFIGURATION,
    CHANGE_WINDOW,
    MICROS,
    NOT_SET,
    SECOND_NS,
    currency_word,
    words,
)
from server.hotpath.memory import Capacity
from server.hotpath.records import (
    DECIDED,
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_VOLATILITY_INDEX,
    REQUEST,
)
from server.policy import default_policy_row
from tests.reference import Reference

NOW_NS: Final = 1_770_000_000 * SECOND_NS
DAY_NS: Final = 86_400 * SECOND_NS
INSTRUMENT, ACCOUNT, RISK_CONFIGURATION, PROVIDER, CONVERSION_RATE = 1, 2, 3, 4, 6
POLICY, WINDOW, HEARTBEAT = 8, 10, 11
SMALL: Final = Capacity(
    instruments=8, accounts=8, providers=8, overrides=8, rates=8, breakers=8, positions=64,
    exposures=64, windows=8, reservations=4_096, idempotency=1_024,
    strategies=64, contents=256, kills=32, events=64,
    answer_bytes=1 << 16,
)  # fmt: skip
EURUSD: Final[dict[str, Any]] = {
    "symbol": "EURUSD",
    "quote": "USD",
    "tick_mantissa": 1,
    "tick_scale": 100_000,
    "ticks_per_pip": 10,
    "tick_value_picos": 10**12,
    "tick_notional_picos": 10**12,
    "lot_mantissa": 1,
    "lot_scale": 100,
    "min_lot_steps": 1,
    "max_lot_steps": 10**9,
}
_LIMITS: Final = (
    "position_max_drawdown_ppm",
    "max_position_size_ppm",
    "max_leverage_ppm",
    "position_trailing_stop_ppm",
    "daily_max_drawdown_ppm",
    "weekly_max_drawdown_ppm",
    "monthly_max_drawdown_ppm",
    "max_correlated_exposure_ppm",
    "min_provider_score_micropoints",
)
_MARKS: Final = itertools.count()


class Desk:
    """Puts single rows into an engine or its twin and asks for decisions.

    Args:
        subject: who answers; both take the same rows.
        instrument: columns of CHANGE_INSTRUMENT over those of EURUSD; `quote` is a currency code.
        currency: of the account.
        equity: account currency, whole units.
        score: of the provider, points.
        limits: columns of CHANGE_RISK_CONFIGURATION; limits not named are not set.
    """

    def __init__(
        self,
        subject: Engine | Reference,
        *,
        instrument: dict[str, Any] | None = None,
        currency: str = "USD",
        equity: int = 10_000,
        score: float = 50.0,
        **limits: int,
    ) -> None:
        self.subject = subject
        self._put(POLICY, default_policy_row())
        self.put_instrument(**(instrument or {}))
        self._put_windows()
        self.put_account(currency, equity)
        self.put_limits(**limits)
        self.put_score(score)
        row = np.zeros(1, CHANGE_HEARTBEAT)
        row["published_at_ns"] = NOW_NS
        self._put(HEARTBEAT, row)

    def _put(self, kind: int, rows: Any) -> None:
        if isinstance(self.subject, Engine):
            self.subject.apply_rows(kind, 1, rows, deleted=False, reading_ns=NOW_NS)
        else:
            self.subject.apply(kind, 1, rows, deleted=False, reading_ns=NOW_NS)

    def put_instrument(self, **columns: Any) -> None:
        facts = {**EURUSD, **columns}
        row = np.zeros(1, CHANGE_INSTRUMENT)
        self.symbol = facts.pop("symbol")
        row["symbol"] = words(self.symbol, 4)
        row["quote_currency"] = currency_word(facts.pop("quote"))
        row["tick_size"] = facts["tick_mantissa"] / facts["tick_scale"]
        for name, value in facts.items():
            row[name] = value
        self._put(INSTRUMENT, row)

    def _put_windows(self) -> None:
        row = np.zeros(1, CHANGE_WINDOW)
        row["timezone"] = words("Etc/UTC", 4)
        for name in ("day", "week", "month"):
            row[f"{name}_start_ns"] = NOW_NS - DAY_NS
            row[f"{name}_next_ns"] = NOW_NS + DAY_NS
        self._put(WINDOW, row)

    def put_account(self, currency: str, equity: int) -> None:
        row = np.zeros(1, CHANGE_ACCOUNT)
        row["account_id"] = words("A")
        row["timezone"] = words("Etc/UTC", 4)
        row["currency"] = currency_word(currency)
        row["equity_micros"] = equity * MICROS
        # An account that is put again takes a new equity only with a newer mark.
        row["equity_at_ns"] = NOW_NS - SECOND_NS + next(_MARKS)
        row["equity_max_age_ns"] = NOT_SET
        row["reservation_ttl_ns"] = 30 * SECOND_NS
        row["trading_state"] = 1
        self._put(ACCOUNT, row)

    def put_limits(self, **columns: int) -> None:
        row = np.zeros(1, CHANGE_RISK_CONFIGURATION)
        row["account_id"] = words("A")
        for name in _LIMITS:
            row[name] = NOT_SET
        row["risk_per_trade_ppm"] = 5_000
        for name, value in columns.items():
            row[name] = value
        self._put(RISK_CONFIGURATION, row)

    def put_score(self, points: float) -> None:
        row = np.zeros(1, CHANGE_PROVIDER)
        row["provider_id"] = words("channel_12345")
        row["provider_type"] = 1
        row["score_micropoints"] = round(points * MICROS)
        row["calculated_at_ns"] = NOW_NS
        self._put(PROVIDER, row)

    def put_rate(self, source: str, target: str, rate_picos: int) -> None:
        row = np.zeros(1, CHANGE_CONVERSION_RATE)
        row["from_currency"] = currency_word(source)
        row["to_currency"] = currency_word(target)
        row["rate_picos"] = rate_picos
        row["as_of_ns"] = NOW_NS
        self._put(CONVERSION_RATE, row)

    def decide(
        self,
        side: str,
        entry: float,
        stop: float,
        *,
        atr: float | None = None,
        lots: float | None = None,
        dry_run: bool = True,
    ) -> Any:
        """Return the answer: a DECISION record or the twin's dict, both by column name."""
        row = np.zeros(1, REQUEST)
        row["account_id"] = words("A")
        row["provider_id"] = words("channel_12345")
        row["provider_type"] = 1
        row["symbol"] = words(self.symbol, 4)
        row["side"] = 1 if side == "buy" else 2
        row["dry_run"] = dry_run
        row["present"] = HAS_ENTRY_PRICE | HAS_STOP_LOSS | HAS_VOLATILITY_INDEX
        row["entry_price"], row["stop_loss"], row["volatility_index"] = entry, stop, 50.0
        for name, value, bit in (
            ("atr", atr, HAS_ATR),
            ("requested_lots", lots, HAS_REQUESTED_LOTS),
        ):
            if value is not None:
                row[name] = value
                row["present"] |= bit
        if isinstance(self.subject, Engine):
            result, record = self.subject.decide_record(row[0], NOW_NS)
            assert result == DECIDED
            return record
        result, answer = self.subject.decide(row[0], NOW_NS)
        assert result == DECIDED
        return answer
