"""A real engine with a journal behind the real compiled port, and two router processes at it."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from riskgate.v1 import state_pb2 as kinds
from server.changes import heartbeat_rows, state_change
from server.engine import Engine
from server.hotpath.journal.journal_record import MODE_PROCESS
from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_INSTRUMENT,
    CHANGE_PROVIDER,
    CHANGE_RISK_CONFIGURATION,
    MICROS,
    NOT_SET,
    PICOS,
    SECOND_NS,
    currency_word,
    words,
)
from server.hotpath.memory import Capacity
from server.journal.keeper import JournalKeeper
from server.journal.segments import Origin
from server.journal.writer import append_start, new_start
from server.loaders.calendar import Calendar
from server.replays.replayer import begin_epoch
from server.warming import warm_kernels
from tests.lane_harness import LanePort
from tests.reservations.books import Books, Market
from tests.reservations.router import ACCOUNT, NETTED, PRICES

EQUITY: Final = 1_000_000
COMMISSION: Final = 7
TTL_NS: Final = 2 * SECOND_NS
RESERVATIONS: Final = 1_024
QUOTA: Final = RESERVATIONS // 8
LOWEST: Final = {symbol: centre - 500 for symbol, (centre, _) in PRICES.items()}
MARKETS: Final = {
    symbol: Market(scale, "metal" if symbol == NETTED else "fx")
    for symbol, (_, scale) in PRICES.items()
}
# Each of these limits is the tightest for a while.
WIDE: Final = {
    "max_position_size_ppm": 6_000_000,
    "max_leverage_ppm": 12_000_000,
    "max_correlated_exposure_ppm": 10_000_000,
    "daily_max_drawdown_ppm": 60_000,
    "weekly_max_drawdown_ppm": 60_000,
    "monthly_max_drawdown_ppm": 60_000,
    "position_max_drawdown_ppm": NOT_SET,
    "position_trailing_stop_ppm": NOT_SET,
    "min_provider_score_micropoints": NOT_SET,
    "risk_per_trade_ppm": 20_000,
    # With a limit on strategies each order belongs to one from the begin.
    "max_strategy_notional_micros": 10**18,
}
TIGHT: Final[tuple[dict[str, int], ...]] = (
    # First: what others close stays in a strategy as long as the account has as much open, so later
    # it may hold far more than this.
    {"max_strategy_notional_micros": 600_000 * MICROS},
    {"max_position_size_ppm": 800_000},
    {"max_leverage_ppm": 1_500_000},
    {"max_correlated_exposure_ppm": 1_000_000},
    {"daily_max_drawdown_ppm": 5_000},
    {"weekly_max_drawdown_ppm": 4_000},
    {"monthly_max_drawdown_ppm": 6_000},
    {"max_notional_micros": 1_200_000 * MICROS},
    {"max_long_microlots": 6 * MICROS, "max_short_microlots": 5 * MICROS},
    {},
)
_BEAT_S: Final = 0.25
_SEGMENT_BYTES: Final = 64 << 20
_ANSWER_BYTES: Final = 1 << 28


def new_books() -> Books:
    """Return the books of the account before anything has happened."""
    return Books(equity=EQUITY * MICROS, markets=MARKETS, commission=COMMISSION)


def configuration_rows(columns: dict[str, int]) -> bytes:
    row = np.zeros(1, CHANGE_RISK_CONFIGURATION)
    row["account_id"] = words(ACCOUNT)
    for name, value in {**WIDE, **columns}.items():
        row[name] = value
    return row.tobytes()


def _instrument_rows(symbol: str) -> bytes:
    _, scale = PRICES[symbol]
    row = np.zeros(1, CHANGE_INSTRUMENT)
    row["symbol"] = words(symbol, 4)
    row["correlation_group"] = words(MARKETS[symbol].group, 4)
    row["quote_currency"] = currency_word("USD")
    row["tick_size"], row["tick_mantissa"], row["tick_scale"] = 1 / scale, 1, scale
    row["ticks_per_pip"] = 10
    row["tick_value_picos"] = row["tick_notional_picos"] = PICOS
    row["lot_mantissa"], row["lot_scale"] = 1, 100
    row["min_lot_steps"], row["max_lot_steps"] = 1, 100_000
    row["default_slippage_micropips"] = MICROS
    row["commission_per_lot_micros"] = COMMISSION * MICROS
    return row.tobytes()


def _account_rows() -> bytes:
    row = np.zeros(1, CHANGE_ACCOUNT)
    row["account_id"] = words(ACCOUNT)
    row["timezone"] = words("UTC", 4)
    row["currency"] = currency_word("USD")
    row["equity_micros"] = EQUITY * MICROS
    row["equity_at_ns"] = time.time_ns()
    row["equity_max_age_ns"] = NOT_SET
    row["reservation_ttl_ns"] = TTL_NS
    row["trading_state"] = 1
    return row.tobytes()


def _provider_rows() -> bytes:
    row = np.zeros(1, CHANGE_PROVIDER)
    row["provider_id"] = words("channel_12345")
    row["provider_type"] = 1
    row["score_micropoints"] = 50 * MICROS
    row["calculated_at_ns"] = time.time_ns()
    return row.tobytes()


def _submit(engine: Engine, kind: Any, key: str, rows: bytes) -> None:
    assert engine.submit(state_change(kind, key, rows).SerializeToString())


class Floor:
    """The engine behind its port; `limit` and the heartbeat go through its intake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        warm_kernels()
        sizes = {**dict.fromkeys(Capacity._fields, 64), "answer_bytes": _ANSWER_BYTES}
        sizes |= {"reservations": RESERVATIONS, "idempotency": 1 << 19, "positions": 4_096}
        engine = Engine(Capacity(**sizes), epoch=0)
        engine.journal["mode"] = MODE_PROCESS
        engine.journal["epoch"] = 1
        self._keeper = JournalKeeper(engine.journal, folder, _SEGMENT_BYTES, Origin(epoch=1))
        self._keeper.open()
        start = new_start(
            engine, epoch=1, started_at_ns=time.time_ns(), restarted=False,
            idempotency_min_age_ns=SECOND_NS, request_bytes_max=65_536,
        )  # fmt: skip
        begin_epoch(engine, start[0])
        append_start(engine, start)
        self._keeper.start()
        Calendar(engine.submit).add_timezone("UTC")
        for symbol in PRICES:
            _submit(engine, kinds.CHANGE_KIND_INSTRUMENT, symbol, _instrument_rows(symbol))
        _submit(engine, kinds.CHANGE_KIND_ACCOUNT, ACCOUNT, _account_rows())
        _submit(engine, kinds.CHANGE_KIND_PROVIDER, "p", _provider_rows())
        self.engine = engine
        self.port = LanePort(engine, ready=False)
        self.beat()

    def put(self, kind: Any, key: str, rows: bytes) -> None:
        self.port.intake.put(state_change(kind, key, rows).SerializeToString())

    def beat(self) -> None:
        rows = heartbeat_rows(1, record_away=False)
        self.put(kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)

    def limit(self, columns: dict[str, int]) -> None:
        """Set the account's limits: the wide ones, with these in their place."""
        rows = configuration_rows(columns)
        self.put(kinds.CHANGE_KIND_RISK_CONFIGURATION, ACCOUNT, rows)

    def stop(self) -> None:
        self.port.stop()
        self._keeper.stop()


@contextmanager
def open_floor(folder: Path) -> Iterator[Floor]:
    floor = Floor(folder)
    try:
        yield floor
    finally:
        floor.stop()


def trade(floor: Floor, requests: int, seed: int, turns: tuple[dict[str, int], ...]) -> list[Any]:
    """Let two routers place so many orders each, with other limits every so often.

    Returns what each of them counted, behind the time in which holds end by themselves.
    """
    floor.limit(turns[0])
    floor.beat()
    floor.port.is_ready = True
    words = [sys.executable, "-m", "tests.reservations.router", floor.port.address]
    routers = [
        subprocess.Popen(
            [*words, str(index), str(requests), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for index in range(2)
    ]  # fmt: skip
    done = threading.Event()
    keeper = threading.Thread(target=_turn_limits, args=(floor, done, turns))
    keeper.start()
    try:
        for router in routers:
            assert router.stdout is not None
            assert router.stdout.readline() == "TRADED\n"
        time.sleep(2 * TTL_NS / SECOND_NS)
        return [json.loads(router.communicate("\n")[0]) for router in routers]
    finally:
        done.set()
        keeper.join()
        for router in routers:
            router.kill()
            router.wait()


def _turn_limits(floor: Floor, done: threading.Event, turns: tuple[dict[str, int], ...]) -> None:
    turn = 0
    while not done.wait(_BEAT_S):
        floor.beat()
        turn += 1
        floor.limit(turns[turn % len(turns)])
