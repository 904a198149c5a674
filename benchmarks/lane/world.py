"""The state that the measured engine serves: made up, seeded, and the same in every process.

About 1,000 accounts in two currencies, 1,000 providers, 20 symbols quoted in five currencies, fresh
conversion rates, and a model of 100 trees of depth 6 that does not look at the clock, so that the
size of an order follows from the request alone. Limits are wide: holds of any load fit.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import product
from typing import Any, Final

import numpy as np

from benchmarks.wide_controls import quotes, widen
from riskgate.v1 import state_pb2
from server import changes
from server.engine import Engine
from server.entities import Account, ConversionRate, Instrument, Provider, RiskConfiguration
from server.hotpath.layout import CHANGE_ROWS, SYMBOL_WORDS, words
from server.hotpath.lowered import EncodingLevel
from server.hotpath.memory import Capacity
from server.hotpath.model_features import DAY_OF_WEEK, HOUR, RELEASE_DISTANCE, STOP_DISTANCE
from server.hotpath.model_tables import ModelTables, load_model
from server.loaders.calendar import Calendar
from server.loaders.onnx_lowering import lower
from tests.onnx_builder import FEATURE_COUNT, build_random_trees, build_tree_model

ACCOUNTS: Final = 1_000
PROVIDERS: Final = 1_000
# Symbol -> price around which requests are made.
PRICES: Final = {
    "EURUSD": 1.10, "GBPUSD": 1.27, "AUDUSD": 0.66, "NZDUSD": 0.61, "EURGBP": 0.86,
    "USDCHF": 0.88, "EURCHF": 0.95, "GBPCHF": 1.12, "AUDCHF": 0.58, "EURAUD": 1.65,
    "USDJPY": 151.0, "EURJPY": 163.0, "GBPJPY": 190.0, "AUDJPY": 99.0, "CHFJPY": 171.0,
    "GBPAUD": 1.93, "AUDGBP": 0.52, "NZDGBP": 0.48, "NZDAUD": 0.92, "NZDJPY": 91.0,
}  # fmt: skip
_USD: Final = {"USD": "1", "GBP": "1.27", "CHF": "1.14", "JPY": "0.0066", "AUD": "0.66"}
_CURRENCIES: Final = ("USD", "EUR")
_EUR_IN_USD: Final = Decimal("1.10")
_HOLD_MS: Final = 100
# Far shorter than the 10 minutes of a real engine: these ids are remembered until the table is
# full, and a load of hundreds of thousands a second fills any table long before that.
_ID_AGE_NS: Final = 1_000_000_000
_CHANGES_AT_ONCE: Final = 100
_SEED: Final = 5
_UNSEEN: Final = (HOUR, DAY_OF_WEEK, RELEASE_DISTANCE)


def tick_of(symbol: str) -> Decimal:
    """Return the tick of a symbol, quote currency."""
    return Decimal("0.001") if symbol.endswith("JPY") else Decimal("0.00001")


def account_id(number: int) -> str:
    """Return the id of an account, 0 to ACCOUNTS − 1."""
    return f"account-{number:04d}"


def provider_id(number: int) -> str:
    """Return the id of a provider, 0 to PROVIDERS − 1."""
    return f"channel-{number:04d}"


class World:
    """The state of one engine.

    Args:
        controlled: Whether every control is on, set so wide that nothing meets it.
    """

    def __init__(self, *, controlled: bool = False) -> None:
        self._controlled = controlled

    def new_engine(self) -> Engine:
        """Return a filled engine whose feed is fresh now; `beat` keeps it so."""
        capacity = Capacity(accounts=2_048, providers=2_048, overrides=1_024, positions=65_536)
        engine = Engine(capacity, started_at_ns=time.time_ns(), idempotency_min_age_ns=_ID_AGE_NS)
        calendar = Calendar(engine.submit)
        calendar.add_timezone("UTC")
        calendar.refresh()
        for version, (kind, key, rows) in enumerate(_changes(datetime.now(UTC)), start=1):
            raw = self._edit(kind, rows)
            change = changes.state_change(kind, key, raw, version=version)
            if not engine.submit(change.SerializeToString()):
                raise SystemExit("the ring is full")
            if version % _CHANGES_AT_ONCE == 0:
                engine.drain(time.time_ns())
        self.beat(engine.submit)
        engine.drain(time.time_ns())
        _activate_model(engine)
        if engine.refused_changes:
            raise SystemExit(f"{engine.refused_changes} changes were refused")
        return engine

    def beat(self, put: Callable[[bytes], Any]) -> None:
        """Put a heartbeat of this moment and, where collars need them, fresh quotes."""
        put(heartbeat())
        if not self._controlled:
            return
        symbols = np.array([words(symbol, SYMBOL_WORDS) for symbol in PRICES])
        rows = quotes(symbols, np.array(list(PRICES.values())), time.time_ns())
        for symbol, row in zip(PRICES, rows, strict=True):
            kind = state_pb2.CHANGE_KIND_MARKET
            put(changes.state_change(kind, symbol, row.tobytes()).SerializeToString())

    def _edit(self, kind: int, raw: bytes) -> bytes:
        if not self._controlled or kind not in CHANGE_ROWS:
            return raw
        return bytes(widen(kind, np.frombuffer(raw, CHANGE_ROWS[kind])).tobytes())


def new_engine() -> Engine:
    """Return a filled engine without controls whose feed is fresh now; `heartbeat` keeps it so."""
    return World().new_engine()


def heartbeat() -> bytes:
    """Return a serialised heartbeat of this moment."""
    rows = changes.heartbeat_rows(1, record_away=False)
    change = changes.state_change(state_pb2.CHANGE_KIND_HEARTBEAT, "publisher", rows)
    return change.SerializeToString()


def _changes(now: datetime) -> list[tuple[Any, str, bytes]]:
    made: list[tuple[Any, str, bytes]] = []
    for symbol in PRICES:
        instrument = _instrument(symbol)
        rows = changes.instrument_rows(instrument)
        made.append((state_pb2.CHANGE_KIND_INSTRUMENT, symbol, rows))
    for (source, rate), target in product(_USD.items(), _CURRENCIES):
        value = Decimal(rate) if target == "USD" else Decimal(rate) / _EUR_IN_USD
        conversion = ConversionRate(
            from_currency=source, to_currency=target, rate=round(value, 8), as_of=now
        )
        rows = changes.conversion_rate_rows(conversion)
        made.append((state_pb2.CHANGE_KIND_CONVERSION_RATE, f"{source}/{target}", rows))
    for number in range(ACCOUNTS):
        account = Account(
            account_id=account_id(number),
            currency=_CURRENCIES[number % 2],
            equity=Decimal(1_000_000_000),
            equity_as_of=now,
            reservation_ttl_ms=_HOLD_MS,
        )
        rows = changes.account_rows(account)
        made.append((state_pb2.CHANGE_KIND_ACCOUNT, account.account_id, rows))
        rows = changes.risk_configuration_rows(_configuration(account.account_id))
        made.append((state_pb2.CHANGE_KIND_RISK_CONFIGURATION, account.account_id, rows))
    scores = np.random.default_rng(_SEED).integers(10, 101, PROVIDERS)
    for number, score in enumerate(scores.tolist()):
        provider = Provider(
            provider_id=provider_id(number),
            provider_type="channel_source",
            performance_score=Decimal(score),
            score_as_of=now,
        )
        key = f"channel_source:{provider.provider_id}"
        made.append((state_pb2.CHANGE_KIND_PROVIDER, key, changes.provider_rows(provider)))
    return made


def _instrument(symbol: str) -> Instrument:
    tick = tick_of(symbol)
    return Instrument(
        symbol=symbol,
        exchange="FX",
        base_currency=symbol[:3],
        quote_currency=symbol[3:],
        tick_size=tick,
        pip_size=tick * 10,
        tick_value=tick * 100_000,
        lot_step=Decimal("0.01"),
        min_lot=Decimal("0.01"),
        max_lot=Decimal(10_000),
        contract_size=Decimal(100_000),
        commission_per_lot=Decimal("3.5"),
        correlation_group="fx",
    )


def _configuration(account: str) -> RiskConfiguration:
    return RiskConfiguration(
        config_id=f"wide-{account}",
        account_id=account,
        position_max_drawdown_fraction=Decimal(1),
        position_trailing_stop_multiplier=Decimal("1.5"),
        daily_max_drawdown_fraction=Decimal(1),
        weekly_max_drawdown_fraction=Decimal(1),
        monthly_max_drawdown_fraction=Decimal(1),
        max_position_size_fraction=Decimal(10_000),
        max_correlated_exposure_fraction=Decimal(10_000),
        max_leverage=Decimal(10_000),
        risk_per_trade_fraction=Decimal("0.000005"),
        volatility_adjustment_factor=Decimal("0.8"),
        cooling_off_period_minutes=60,
        consecutive_loss_threshold=5,
        min_provider_score=Decimal(1),
    )


def load_trees(models: ModelTables, slot: int) -> bytes:
    """Write the model of this world into a slot; return its digest."""
    attributes = build_random_trees(np.random.default_rng(_SEED), 100, 6, full=True)
    attributes["nodes_featureids"] = [
        STOP_DISTANCE if feature in _UNSEEN else feature
        for feature in attributes["nodes_featureids"]
    ]
    model = lower(build_tree_model(attributes), FEATURE_COUNT)
    digest = hashlib.sha256(b"100 trees").digest()
    level = EncodingLevel("", 0, "", 0.1, 1.0)
    load_model(models, slot, model, (level,), digest, (1, 0, 0))
    return digest


def _activate_model(engine: Engine) -> None:
    digest = load_trees(engine.state.models, 0)
    rows = changes.model_rows("slippage", digest, "1.0.0", 1)
    kind = state_pb2.CHANGE_KIND_MODEL
    change = changes.state_change(kind, "slippage", rows, version=engine.state_version + 1)
    engine.submit(change.SerializeToString(), slot=0)
    engine.drain(time.time_ns())
