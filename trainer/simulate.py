"""A small built-in market, labelled as simulated, for trying the system without recorded data.

Prices walk at random; every provider has an edge, a stop discipline and a broker. Stops slip by
nothing most of the time, by a tenth or so on brokers that slip, and by several pips near the :00
and :30 of busy hours. It is shaped like the recorded tables, but nothing here is evidence about
any market or broker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from trainer.features import measure_release_distance
from trainer.rows import Side, StopFill, Trade
from trainer.sessions import Session, find_session

DEFAULT_SEED: Final = 7
DEFAULT_TRADES: Final = 2_000
_START: Final = datetime(2024, 1, 2, tzinfo=UTC)
_STEP: Final = timedelta(minutes=37)
_PRICE_DIGITS: Final = 10
_RELEASE_MINUTES: Final = 1.0
_RELEASE_SHARE: Final = 0.25
_SPIKE_SHARE: Final = 0.6
_NO_SLIP_SHARE: Final = 0.45
_BUY_SHARE: Final = 0.5
_MANUAL_ABOVE: Final = 0.93


@dataclass(frozen=True, slots=True)
class _Provider:
    provider_id: str
    win_share: float
    reward_to_risk: float
    slips: float  # scale of its broker's slippage; 0 fills every stop at its level
    latency_ms: float


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    price: float
    pip_size: float
    tick_size: float
    slips: float
    money_per_pip_lot: float


@dataclass(frozen=True, slots=True)
class SimulatedMarket:
    """Trades by close time and the fills of their stops and targets; all simulated."""

    trades: list[Trade]
    fills: list[StopFill]


_PROVIDERS: Final = (
    _Provider("sim_exact", 0.55, 1.5, 0.0, 20.0),
    _Provider("sim_calm", 0.50, 2.0, 0.6, 45.0),
    _Provider("sim_usual", 0.45, 1.6, 1.0, 80.0),
    _Provider("sim_rough", 0.38, 1.2, 1.8, 160.0),
)
_SYMBOLS: Final = (
    _Symbol("EURUSD", 1.1000, 0.0001, 0.00001, 0.7, 10.0),
    _Symbol("USDJPY", 148.00, 0.01, 0.001, 1.0, 6.7),
    _Symbol("XAUUSD", 2050.00, 0.1, 0.01, 1.6, 10.0),
)


def simulate_market(seed: int = DEFAULT_SEED, trade_count: int = DEFAULT_TRADES) -> SimulatedMarket:
    """Return the same simulated trades and fills for the same seed and count.

    Args:
        seed: Any non-negative integer.
        trade_count: Trades in total, >= 1.
    """
    generator = np.random.default_rng(seed)
    prices = {symbol.name: symbol.price for symbol in _SYMBOLS}
    numbers = dict.fromkeys((provider.provider_id for provider in _PROVIDERS), 0)
    trades: list[Trade] = []
    fills: list[StopFill] = []
    moment = _START
    while len(trades) < trade_count:
        moment += _STEP * float(generator.uniform(0.3, 1.7))
        close_ts = _pick_close(generator, moment + timedelta(minutes=40))
        if Session.NONE in (find_session(moment), find_session(close_ts)):
            continue
        provider = _PROVIDERS[int(generator.integers(len(_PROVIDERS)))]
        symbol = _SYMBOLS[int(generator.integers(len(_SYMBOLS)))]
        prices[symbol.name] *= float(np.exp(generator.normal(0, 0.0008)))
        number = numbers[provider.provider_id]
        numbers[provider.provider_id] = number + 1
        trade, fill = _simulate_trade(
            generator, provider, symbol, number, prices[symbol.name], (moment, close_ts)
        )
        trades.append(trade)
        if fill is not None:
            fills.append(fill)
    trades.sort(key=lambda trade: (trade.close_ts, trade.provider_id, trade.trade_no))
    fills.sort(key=lambda fill: (fill.ts, fill.provider_id, fill.trade_no))
    return SimulatedMarket(trades, fills)


def write_market(market: SimulatedMarket, folder: Path) -> list[Path]:
    """Write both tables as Parquet files whose names say that they are simulated.

    Returns:
        The files written.
    """
    written = []
    tables: tuple[tuple[str, Sequence[Trade | StopFill]], ...] = (
        ("trades", market.trades),
        ("stop_fills", market.fills),
    )
    for kind, rows in tables:
        path = folder / kind / f"simulated_{kind}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, list[Any]] = {
            name: [getattr(row, name) for row in rows] for name in type(rows[0]).__slots__
        }
        pyarrow.parquet.write_table(pa.table(columns), path, compression="zstd")
        written.append(path)
    return written


def _pick_close(generator: np.random.Generator, earliest: datetime) -> datetime:
    close_ts = earliest + timedelta(seconds=float(generator.uniform(0, 7_200)))
    if generator.random() >= _RELEASE_SHARE:
        return close_ts.replace(microsecond=0)
    # A quarter of the exits cluster on the half hour, where releases move prices through stops.
    on_release = close_ts.replace(minute=30, second=0, microsecond=0)
    return on_release + timedelta(seconds=int(generator.integers(0, 50)))


def _simulate_trade(
    generator: np.random.Generator,
    provider: _Provider,
    symbol: _Symbol,
    number: int,
    price: float,
    times: tuple[datetime, datetime],
) -> tuple[Trade, StopFill | None]:
    side: Side = "buy" if generator.random() < _BUY_SHARE else "sell"
    direction = 1 if side == "buy" else -1
    stop_pips = float(generator.integers(12, 60))
    lots = round(float(generator.integers(1, 50)) / 100, 2)
    entry = _snap(price, symbol)
    stop = _snap(entry - direction * stop_pips * symbol.pip_size, symbol)
    target = _snap(
        entry + direction * stop_pips * provider.reward_to_risk * symbol.pip_size, symbol
    )
    draw = float(generator.random())
    stopped = draw >= provider.win_share
    manual = draw > _MANUAL_ABOVE
    slip_pips = 0.0
    if manual:
        level = _snap(entry + direction * float(generator.normal(0, 8)) * symbol.pip_size, symbol)
    elif stopped:
        level, slip_pips = stop, _draw_slippage(generator, provider, symbol, times[1])
    else:
        level = target
    exit_price = _snap(level - direction * slip_pips * symbol.pip_size, symbol)
    profit_pips = direction * (exit_price - entry) / symbol.pip_size
    trade = Trade(
        provider_id=provider.provider_id,
        provider_type="channel_source",
        trade_no=number,
        symbol=symbol.name,
        side=side,
        lots=lots,
        open_ts=times[0].replace(microsecond=0),
        open_price=entry,
        close_ts=times[1],
        close_price=exit_price,
        stop_loss=stop,
        take_profit=target,
        exit_reason="other" if manual else "sl" if stopped else "tp",
        commission=round(-7.0 * lots, 2),
        swap=0.0,
        profit=round(profit_pips * lots * symbol.money_per_pip_lot, 2),
        pip_size=symbol.pip_size,
    )
    if manual:
        return trade, None
    fill = StopFill(
        provider_id=provider.provider_id,
        provider_type="channel_source",
        trade_no=number,
        symbol=symbol.name,
        side=side,
        lots=lots,
        ts=times[1],
        exit_reason=trade.exit_reason,
        ref_price=level,
        fill_price=exit_price,
        pip_size=symbol.pip_size,
        slippage_pips=round(direction * (level - exit_price) / symbol.pip_size, 6) + 0.0,
        latency_ms=round(float(generator.gamma(4.0, provider.latency_ms / 4.0)), 1),
    )
    return trade, fill


def _draw_slippage(
    generator: np.random.Generator, provider: _Provider, symbol: _Symbol, ts: datetime
) -> float:
    usual = generator.random()
    size = float(generator.gamma(1.2, 0.35)) if usual > _NO_SLIP_SHARE else 0.0
    distance = measure_release_distance(int(ts.timestamp()) * 1_000_000)
    if distance < _RELEASE_MINUTES and generator.random() < _SPIKE_SHARE:
        size += float(generator.gamma(1.5, 2.0))
    return size * provider.slips * symbol.slips


def _snap(price: float, symbol: _Symbol) -> float:
    return round(round(price / symbol.tick_size) * symbol.tick_size, _PRICE_DIGITS)
