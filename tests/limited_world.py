"""An order that passes with every limit set, and all it needs by name, to leave out one thing."""

from functools import lru_cache
from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_BREAKER,
    CHANGE_CONVERSION_RATE,
    CHANGE_HEARTBEAT,
    CHANGE_INSTRUMENT,
    CHANGE_MARKET,
    CHANGE_PROVIDER,
    CHANGE_RISK_CONFIGURATION,
    CHANGE_WINDOW,
    MICROS,
    PPM,
    SECOND_NS,
    currency_word,
    words,
)
from server.hotpath.memory import Capacity
from server.hotpath.records import HAS_ENTRY_PRICE, HAS_STOP_LOSS, REQUEST
from server.policy import default_policy_row
from tests.reference import Reference

NOW: Final = 1_770_000_000 * SECOND_NS
DAY: Final = 86_400 * SECOND_NS
SMALL: Final = Capacity(**dict.fromkeys(Capacity._fields, 16))._replace(
    reservations=256, idempotency=256, contents=256, positions=64, answer_bytes=1 << 12
)
INSTRUMENT, ACCOUNT, CONFIGURATION, PROVIDER, MARKET, RATE, BREAKER = range(1, 8)
WINDOW, HEARTBEAT, CLOCK = 10, 11, 12
LOAD: Final = 1
FIRST_OVER_REQUEST: Final = 32

Subject = Engine | Reference
Rows = Any


def _row(dtype: Any, **columns: Any) -> Rows:
    rows = np.zeros(1, dtype)
    for name, value in columns.items():
        width = rows.dtype[name].shape
        rows[name] = words(value, width[0]) if isinstance(value, str) else value
    return rows


class LimitedWorld:
    """Everything an order needs, by name, so that one thing can be left out."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.parts: dict[str, tuple[int, Rows]] = {
            "instrument": (INSTRUMENT, self._instrument()),
            "days of the account": (WINDOW, self._window("Europe/Berlin")),
            "days of the exchange": (WINDOW, self._window("America/New_York")),
            "account": (ACCOUNT, self._account()),
            "configuration": (CONFIGURATION, self._configuration()),
            "provider": (PROVIDER, self._provider()),
            "rate": (
                RATE,
                _row(
                    CHANGE_CONVERSION_RATE,
                    from_currency=currency_word("USD"),
                    to_currency=currency_word("EUR"),
                    rate_picos=920_000_000_000,
                    as_of_ns=NOW,
                ),
            ),
            "market": (MARKET, self._market()),
            "heartbeat": (HEARTBEAT, _row(CHANGE_HEARTBEAT, published_at_ns=NOW)),
        }
        self.request = self._request()

    @staticmethod
    def _instrument() -> Rows:
        rows = _row(
            CHANGE_INSTRUMENT,
            symbol="EURUSD",
            exchange="FX",
            correlation_group="EURO",
            quote_currency=currency_word("USD"),
            tick_size=0.00001,
            tick_mantissa=1,
            tick_scale=100_000,
            ticks_per_pip=10,
            tick_value_picos=10**12,
            tick_notional_picos=10**12,
            lot_mantissa=1,
            lot_scale=100,
            min_lot_steps=1,
            max_lot_steps=10**6,
            collar_ppm=5_000,
            collar_window_ppm=10_000,
            collar_window_ns=60 * SECOND_NS,
            hours_timezone="America/New_York",
            hours_count=1,
        )
        rows["hours_close_minute"][0, 0] = 10_080
        return rows

    @staticmethod
    def _window(zone: str) -> Rows:
        return _row(
            CHANGE_WINDOW,
            timezone=zone,
            **{f"{name}_start_ns": NOW - DAY // 2 for name in ("day", "week", "month")},
            **{f"{name}_next_ns": NOW + DAY // 2 for name in ("day", "week", "month")},
        )

    @staticmethod
    def _account() -> Rows:
        return _row(
            CHANGE_ACCOUNT,
            account_id="A",
            timezone="Europe/Berlin",
            currency=currency_word("EUR"),
            equity_micros=10_000 * MICROS,
            equity_at_ns=NOW,
            equity_max_age_ns=60 * SECOND_NS,
            reservation_ttl_ns=30 * SECOND_NS,
            trading_state=1,
        )

    @staticmethod
    def _configuration() -> Rows:
        """Return a configuration that sets every limit there is."""
        rows = _row(CHANGE_RISK_CONFIGURATION, account_id="A", risk_per_trade_ppm=5_000)
        for name in rows.dtype.names or ():
            if name.endswith("drawdown_ppm"):
                rows[name] = 50_000
        rows["max_position_size_ppm"] = rows["max_leverage_ppm"] = 20 * PPM
        rows["max_correlated_exposure_ppm"] = 20 * PPM
        rows["position_trailing_stop_ppm"] = rows["volatility_adjustment_ppm"] = PPM
        rows["min_provider_score_micropoints"] = 10 * MICROS
        rows["consecutive_loss_threshold"], rows["cooling_off_ns"] = 3, SECOND_NS
        rows["regime_count"] = 1
        rows["regime_names"][0, :4] = words("calm", 4)
        rows["regime_multiplier_ppm"][0, 0] = PPM
        for name in (
            "max_order_value_micros",
            "max_notional_micros",
            "max_strategy_notional_micros",
        ):
            rows[name] = 10**12
        for name in ("max_order_microlots", "max_long_microlots", "max_short_microlots"):
            rows[name] = 10**9
        rows["message_limit"], rows["message_window_ns"] = 100, SECOND_NS
        rows["repeat_limit"], rows["repeat_window_ns"] = 100, SECOND_NS
        rows["duplicate_window_ns"] = SECOND_NS
        return rows

    @staticmethod
    def _provider() -> Rows:
        return _row(
            CHANGE_PROVIDER,
            provider_id="alpha",
            provider_type=1,
            score_micropoints=60 * MICROS,
            calculated_at_ns=NOW,
        )

    @staticmethod
    def _market() -> Rows:
        return _row(
            CHANGE_MARKET,
            symbol="EURUSD",
            regime="calm",
            atr=0.001,
            atr_at_ns=NOW,
            volatility_index=40.0,
            volatility_at_ns=NOW,
            bid=1.1,
            ask=1.10001,
            quote_at_ns=NOW,
        )

    @staticmethod
    def _request() -> Rows:
        return _row(
            REQUEST,
            account_id="A",
            provider_id="alpha",
            provider_type=1,
            symbol="EURUSD",
            exchange="FX",
            strategy_id="trend",
            identity="router",
            side=1,
            present=HAS_ENTRY_PRICE | HAS_STOP_LOSS,
            entry_price=1.1,
            stop_loss=1.098,
        )

    def put_breaker(self, variable: int) -> None:
        """Add a breaker whose condition reads one variable; what is not known holds."""
        rows = _row(
            CHANGE_BREAKER,
            breaker_id="B",
            account_id="A",
            condition=7,
            action=1,
            enabled=1,
            over_request=int(variable >= FIRST_OVER_REQUEST),
            program_length=3,
        )
        # variable < -1
        rows["program"][0, :3] = LOAD | variable << 8, 2, 8
        rows["constants"][0, 0] = -1.0
        self.parts["breaker"] = BREAKER, rows

    def decide(self, reading_ns: int = NOW) -> tuple[int, Any]:
        self._put(8, _policy())
        for kind, rows in self.parts.values():
            self._put(kind, rows)
        if isinstance(self.subject, Engine):
            return self.subject.decide_record(self.request[0], reading_ns)
        return self.subject.decide(self.request[0], reading_ns)

    def _put(self, kind: int, rows: Rows) -> None:
        if isinstance(self.subject, Engine):
            self.subject.apply_rows(kind, 1, rows, reading_ns=NOW)
        else:
            self.subject.apply(kind, 1, rows, deleted=False, reading_ns=NOW)


@lru_cache(maxsize=1)
def _policy() -> Rows:
    return default_policy_row()
