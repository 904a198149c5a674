"""Filled engines for benchmarks.

Many accounts, providers and instruments, requests that hit them at random.

Everything here is made up and seeded; nothing looks like a market.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from server.engine import Engine
from server.hotpath.change_kinds import (
    ACCOUNT,
    HEARTBEAT,
    INSTRUMENT,
    MODEL,
    PROVIDER,
    RISK_CONFIGURATION,
    WINDOW,
)
from server.hotpath.layout import (
    CHANGE_ROWS,
    MICROS,
    NOT_SET,
    PICOS,
    SYMBOL_WORDS,
    currency_word,
    words,
)
from server.hotpath.lowered import EncodingLevel
from server.hotpath.memory import Capacity
from server.hotpath.model_tables import load_model
from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_VOLATILITY_INDEX,
    REQUEST,
)
from server.loaders.onnx_lowering import lower
from tests.onnx_builder import build_random_trees, build_tree_model

Rows = np.ndarray[Any, np.dtype[Any]]
NOW_NS = 1_800_000_000_000_000_000
_CHUNK = 50_000
_LIMITS = ("position_max_drawdown", "max_position_size", "max_leverage", "daily_max_drawdown",
           "weekly_max_drawdown", "monthly_max_drawdown", "max_correlated_exposure")  # fmt: skip


def names(prefix: str, count: int, width: int) -> Rows:
    """Return `count` different names as int64[count, width] words."""
    data = b"".join(
        f"{prefix}{number:08d}".encode().ljust(8 * width, b"\0") for number in range(count)
    )
    return np.frombuffer(data, "<i8").reshape(count, width)


def _apply(engine: Engine, kind: int, rows: Rows) -> None:
    if kind == RISK_CONFIGURATION:
        for row in range(len(rows)):
            engine.apply_rows(kind, 1, rows[row : row + 1], reading_ns=NOW_NS)
        return
    for start in range(0, len(rows), _CHUNK):
        engine.apply_rows(kind, 1, rows[start : start + _CHUNK], reading_ns=NOW_NS)


def _instruments(count: int) -> Rows:
    rows = np.zeros(count, CHANGE_ROWS[INSTRUMENT])
    rows["symbol"] = names("S", count, SYMBOL_WORDS)
    rows["correlation_group"] = words("fx", SYMBOL_WORDS)
    rows["quote_currency"] = currency_word("USD")
    rows["tick_size"], rows["tick_mantissa"], rows["tick_scale"] = 1e-5, 1, 100_000
    rows["ticks_per_pip"] = 10
    rows["tick_value_picos"] = rows["tick_notional_picos"] = PICOS
    rows["lot_mantissa"], rows["lot_scale"] = 1, 100
    rows["min_lot_steps"], rows["max_lot_steps"] = 1, 10_000
    return rows


def _accounts(count: int) -> Rows:
    rows = np.zeros(count, CHANGE_ROWS[ACCOUNT])
    rows["account_id"] = names("A", count, 8)
    rows["timezone"] = words("UTC", SYMBOL_WORDS)
    rows["currency"] = currency_word("USD")
    rows["equity_micros"] = 1_000_000_000 * MICROS
    rows["equity_at_ns"] = NOW_NS - 1
    rows["equity_max_age_ns"] = NOT_SET
    rows["reservation_ttl_ns"] = 1_000_000_000
    rows["trading_state"] = 1
    return rows


def _configurations(count: int) -> Rows:
    rows = np.zeros(count, CHANGE_ROWS[RISK_CONFIGURATION])
    rows["account_id"] = names("A", count, 8)
    for limit in _LIMITS:
        rows[f"{limit}_ppm"] = 1_000_000_000
    rows["risk_per_trade_ppm"] = 5_000
    rows["position_trailing_stop_ppm"] = 1_500_000
    rows["volatility_adjustment_ppm"] = 800_000
    rows["cooling_off_ns"] = 3_600_000_000_000
    rows["consecutive_loss_threshold"] = 5
    rows["min_provider_score_micropoints"] = 1 * MICROS
    return rows


def _providers(count: int) -> Rows:
    rows = np.zeros(count, CHANGE_ROWS[PROVIDER])
    rows["provider_id"] = names("P", count, 8)
    rows["provider_type"] = 1
    rows["score_micropoints"] = np.random.default_rng(3).integers(10 * MICROS, 100 * MICROS, count)
    rows["calculated_at_ns"] = NOW_NS
    return rows


def _unchanged(_kind: int, rows: Rows) -> Rows:
    return rows


def new_world(
    capacity: Capacity,
    edit: Callable[[int, Rows], Rows] = _unchanged,
    /,
    *,
    accounts: int,
    providers: int,
    instruments: int,
) -> Engine:
    """Return an engine with every limit of the account configured, all wide, and no model.

    Args:
        capacity: Rows per table.
        edit: Gets the kind and the rows of each change, and returns those that are put.
        accounts: How many.
        providers: How many.
        instruments: How many.
    """
    engine = Engine(capacity, started_at_ns=NOW_NS)
    for kind, rows in (
        (INSTRUMENT, _instruments(instruments)),
        (ACCOUNT, _accounts(accounts)),
        (RISK_CONFIGURATION, _configurations(accounts)),
        (PROVIDER, _providers(providers)),
    ):
        _apply(engine, kind, edit(kind, rows))
    window = np.zeros(1, CHANGE_ROWS[WINDOW])
    window["timezone"] = words("UTC", SYMBOL_WORDS)
    for name in ("day", "week", "month"):
        window[f"{name}_start_ns"], window[f"{name}_next_ns"] = NOW_NS - 1, NOW_NS + 10**14
    _apply(engine, WINDOW, window)
    beat = np.zeros(1, CHANGE_ROWS[HEARTBEAT])
    beat["published_at_ns"] = NOW_NS
    _apply(engine, HEARTBEAT, beat)
    return engine


def activate_trees(engine: Engine, trees: int = 100, depth: int = 6) -> None:
    """Give the engine a random tree ensemble of complete trees."""
    model = build_tree_model(build_random_trees(np.random.default_rng(5), trees, depth))
    level = EncodingLevel("", 0, "", 0.1, 1.0)
    load_model(engine.state.models, 0, lower(model), (level,), bytes(32), (1, 0, 0))
    row = np.zeros(1, CHANGE_ROWS[MODEL])
    row["digest"], row["serial"], row["slot"] = 1, 1, 0
    engine.apply_rows(MODEL, 2, row, reading_ns=NOW_NS)


def new_requests(count: int, *, accounts: int, providers: int, instruments: int) -> Rows:
    """Return REQUEST[count] with unique order ids over uniformly random accounts.

    Providers and instruments.
    """
    chance = np.random.default_rng(11)
    rows = np.zeros(count, REQUEST)
    rows["account_id"] = names("A", accounts, 8)[chance.integers(0, accounts, count)]
    rows["provider_id"] = names("P", providers, 8)[chance.integers(0, providers, count)]
    rows["provider_type"] = 1
    rows["symbol"] = names("S", instruments, SYMBOL_WORDS)[chance.integers(0, instruments, count)]
    rows["client_order_id"] = names("O", count, 8)
    rows["side"] = chance.integers(1, 3, count)
    entry = chance.integers(100_000, 120_000, count)
    distance = chance.integers(50, 500, count) * np.where(rows["side"] == 1, 1, -1)
    rows["entry_price"], rows["stop_loss"] = entry / 1e5, (entry - distance) / 1e5
    rows["requested_lots"] = chance.integers(1, 50, count) / 100
    rows["atr"] = chance.uniform(0.0005, 0.002, count)
    rows["volatility_index"] = chance.uniform(20, 80, count)
    rows["present"] = (
        HAS_ENTRY_PRICE | HAS_STOP_LOSS | HAS_REQUESTED_LOTS | HAS_ATR | HAS_VOLATILITY_INDEX
    )
    return rows
