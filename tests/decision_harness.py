"""A small real engine, and the real decision port around it, for tests of the port.

The account and instrument are those of the worked example: EURUSD, a USD account with equity
10,000, half a percent risk per trade, wide limits, provider score 87.5.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import grpc
import grpc.aio

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from server import changes
from server.breaker_changes import breaker_rows
from server.engine import Engine
from server.entities import Account, CircuitBreaker, Instrument, Provider, RiskConfiguration
from server.hotpath.memory import Capacity
from server.intake import Intake
from server.loaders.calendar import Calendar
from server.owner import LoopOwner
from server.security.grants import Grants
from server.services.call_access import CallAccess
from server.services.decision import SERVICE_NAME, DecisionService
from server.shards import Shard
from server.telemetry.decision_counts import DecisionCounts
from server.warming import warm_kernels

EURUSD = Instrument(
    symbol="EURUSD",
    exchange="FX",
    base_currency="EUR",
    quote_currency="USD",
    tick_size=Decimal("0.00001"),
    pip_size=Decimal("0.0001"),
    tick_value=Decimal(1),
    lot_step=Decimal("0.01"),
    min_lot=Decimal("0.01"),
    max_lot=Decimal(1000),
    contract_size=Decimal(100_000),
)


def new_engine(**capacity: int) -> Engine:
    """Return an engine with the state of the worked example."""
    _warm()
    sizes = {**dict.fromkeys(Capacity._fields, 64), "answer_bytes": 1 << 22, **capacity}
    engine = Engine(Capacity(**sizes), epoch=7, started_at_ns=time.time_ns())
    Calendar(engine.submit).add_timezone("UTC")
    for version, (kind, key, rows) in enumerate(example_changes(), start=1):
        submit(engine, kind, key, rows, version=version)
    beat(engine, version=4)
    assert engine.drain(time.time_ns()) == 6
    return engine


def example_changes() -> list[tuple[Any, str, bytes]]:
    """Return kind, key and rows of each change that makes up the worked example."""
    now = datetime.now(UTC)
    account = Account(account_id="A", currency="USD", equity=Decimal(10_000), equity_as_of=now)
    configuration = RiskConfiguration(
        config_id="wide",
        account_id="A",
        position_max_drawdown_fraction=Decimal(1),
        position_trailing_stop_multiplier=Decimal(2),
        daily_max_drawdown_fraction=Decimal(1),
        weekly_max_drawdown_fraction=Decimal(1),
        monthly_max_drawdown_fraction=Decimal(1),
        max_position_size_fraction=Decimal(1000),
        max_correlated_exposure_fraction=Decimal(1000),
        risk_per_trade_fraction=Decimal("0.005"),
        volatility_adjustment_factor=Decimal(0),
        cooling_off_period_minutes=0,
        consecutive_loss_threshold=0,
    )
    provider = Provider(
        provider_id="channel_12345",
        provider_type="channel_source",
        performance_score=Decimal("87.5"),
        score_as_of=now,
    )
    return [
        (kinds.CHANGE_KIND_INSTRUMENT, "EURUSD", changes.instrument_rows(EURUSD)),
        (kinds.CHANGE_KIND_ACCOUNT, "A", changes.account_rows(account)),
        (
            kinds.CHANGE_KIND_RISK_CONFIGURATION,
            "A",
            changes.risk_configuration_rows(configuration),
        ),
        (
            kinds.CHANGE_KIND_PROVIDER,
            "channel_source:channel_12345",
            changes.provider_rows(provider),
        ),
    ]


@cache
def _warm() -> None:
    # In the test's own thread: a port whose loop compiles would answer nothing meanwhile.
    warm_kernels()


def submit(engine: Engine, kind: Any, key: str, rows: bytes, *, version: int = 0) -> None:
    """Put one change into the ring."""
    change = changes.state_change(kind, key, rows, version=version)
    assert engine.submit(change.SerializeToString())


def beat(engine: Engine, *, version: int) -> None:
    """Let the feed be fresh."""
    rows = changes.heartbeat_rows(version, record_away=False)
    submit(engine, kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)


def drawdown_breaker(*, enabled: bool = True) -> bytes:
    """Return the rows of a breaker that trips at a drawdown of 10 percent."""
    breaker = CircuitBreaker(
        name="max_drawdown_10_percent",
        account_id="A",
        condition="max_drawdown",
        action="block",
        threshold=Decimal("0.10"),
        enabled=enabled,
    )
    return breaker_rows(breaker, "breaker-1")


def good_request(**fields: Any) -> pb.DecideRequest:
    """Return the request of the worked example with some fields replaced; None takes one out."""
    values: dict[str, Any] = {
        "account_id": "A",
        "provider_id": "channel_12345",
        "provider_type": 1,
        "symbol": "EURUSD",
        "side": 1,
        "entry_price": 1.1,
        "stop_loss": 1.098,
        "atr": 0.001,
        "volatility_index": 50.0,
        **fields,
    }
    return pb.DecideRequest(**{name: value for name, value in values.items() if value is not None})


class PortCalls:
    """What tests ask of a decision port, whatever serves it.

    Attributes:
        engine: Owned by the port; only what is plain memory may be read.
        channel: A client channel.
        intake: The way of changes into the engine.
        is_ready: Whether decisions are made; may be set.
    """

    engine: Engine
    channel: Any
    intake: Intake
    is_ready: bool

    def beat(self, version: int = 4) -> None:
        """Let the feed be fresh, through the intake."""
        rows = changes.heartbeat_rows(version, record_away=False)
        change = changes.state_change(kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)
        self.intake.put(change.SerializeToString())

    def call(self, method: str, raw: bytes, timeout_s: float = 10.0) -> bytes:
        """Make a unary call with raw bytes."""
        answer = self.channel.unary_unary(f"/{SERVICE_NAME}/{method}")(raw, timeout=timeout_s)
        assert isinstance(answer, bytes)
        return answer

    def decide(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Ask for one decision."""
        return pb.DecideResponse.FromString(self.call("Decide", request.SerializeToString()))

    def batch(self, *requests: pb.DecideRequest, all_or_none: bool = False) -> Any:
        """Ask for several decisions."""
        message = pb.DecideBatchRequest(requests=requests, all_or_none=all_or_none)
        raw = self.call("DecideBatch", message.SerializeToString())
        return pb.DecideBatchResponse.FromString(raw).results

    def report(self, **fields: Any) -> pb.ReportExecutionResponse:
        """Report an execution."""
        message = pb.ReportExecutionRequest(report=pb.ExecutionReport(**fields))
        raw = self.call("ReportExecution", message.SerializeToString())
        return pb.ReportExecutionResponse.FromString(raw)


class Port(PortCalls):
    """The decision port of one engine, served from a thread with an event loop of its own.

    Attributes:
        engine: Owned by that loop; use `run` to touch it.
    """

    def __init__(self, engine: Engine, *, shard: str = "0/1") -> None:
        self.engine = engine
        self.shard = Shard.parse(shard)
        self.counts = DecisionCounts()
        self.grants = Grants("riskgate")
        self.is_ready = True
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start())
        # Any: the stubs demand serializers, and these calls are about raw bytes.
        self.channel: Any = grpc.insecure_channel(f"127.0.0.1:{self.number}")

    async def _start(self) -> None:
        self.server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", 4 * 1024 * 1024)]
        )
        self.owner = LoopOwner(self.engine, self.loop)
        self.intake = Intake(self.engine, self.owner.wake)
        self.service = DecisionService(
            self.engine,
            self.owner,
            self.counts,
            access=CallAccess(self.grants, is_open=True),
            is_ready=lambda: self.is_ready,
            shard=self.shard,
        )
        self.service.add_to(self.server)
        self.number = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop that owns the engine."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self) -> None:
        """Close the port and end the thread."""
        self.channel.close()
        self.intake.close()
        self.run(self.server.stop(None))
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@contextmanager
def open_port(engine: Engine | None = None, *, shard: str = "0/1") -> Iterator[Port]:
    """Serve an engine for a while."""
    port = Port(engine or new_engine(), shard=shard)
    try:
        yield port
    finally:
        port.stop()
