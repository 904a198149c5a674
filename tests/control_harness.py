"""A whole control plane for tests: real PostgreSQL, real Redis, real port, one event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import psycopg
import redis
import redis.asyncio
from grpc_health.v1._async import HealthServicer

from riskgate.v1 import (
    breaker_pb2_grpc,
    market_pb2_grpc,
    model_pb2_grpc,
    provider_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
    risk_config_pb2,
    risk_config_pb2_grpc,
)
from server import feed
from server.control import build_server
from server.publisher import Publisher, open_redis
from server.record.migrate import migrate
from server.record.pool import Pool, open_pool
from server.security.feed_seal import FeedSeal
from server.services.writing import Parts
from server.settings import Settings
from tests.feed_harness import give_feed_key

HEARTBEAT_INTERVAL_MS = 50


@dataclass
class Control:
    """The parts of a running control plane, and a stub of each service."""

    pool: Pool
    publisher: Publisher
    redis: "redis.asyncio.Redis"
    reference: Any
    risk: Any
    breakers: Any
    providers: Any
    market: Any
    models: Any
    address: str

    async def published(self, version: int) -> None:
        await wait_until(lambda: self.publisher.published_version >= version)


def reset(database_url: str, redis_url: str) -> None:
    """Empty both services and migrate."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    client = redis.Redis.from_url(redis_url, socket_timeout=5)
    client.flushdb()
    client.close()


@asynccontextmanager
async def control(database_url: str, redis_url: str, data_dir: Path) -> AsyncIterator[Control]:
    settings = Settings(data_dir=data_dir, heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS)
    async with open_pool(database_url) as pool, open_redis(redis_url) as client:
        give_feed_key(data_dir)
        seal = FeedSeal.load(data_dir / "keys")
        publisher = Publisher(pool, client, seal, heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS)
        running = asyncio.create_task(publisher.run())
        server = build_server(Parts(pool, publisher, redis_url), HealthServicer(), settings)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            await wait_until(lambda: publisher.is_aligned)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Control(
                    pool,
                    publisher,
                    client,
                    reference_pb2_grpc.ReferenceServiceStub(channel),
                    risk_config_pb2_grpc.RiskConfigServiceStub(channel),
                    breaker_pb2_grpc.BreakerServiceStub(channel),
                    provider_pb2_grpc.ProviderServiceStub(channel),
                    market_pb2_grpc.MarketServiceStub(channel),
                    model_pb2_grpc.ModelServiceStub(channel),
                    f"127.0.0.1:{port}",
                )
        finally:
            await server.stop(1)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


Scenario = Callable[[Control], Coroutine[Any, Any, None]]


def play(database_url: str, redis_url: str, data_dir: Path, scenario: Scenario) -> None:
    """Run a scenario on a control plane over empty services."""
    reset(database_url, redis_url)

    async def run() -> None:
        async with control(database_url, redis_url, data_dir) as parts:
            await scenario(parts)

    asyncio.run(run())


async def wait_until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str, str]:
    """Return code, text and named field of a call that must be refused."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        metadata: Any = error.trailing_metadata() or ()
        trailing = dict(metadata)
        return error.code(), error.details() or "", str(trailing.get("riskgate-field", ""))
    raise AssertionError(f"not refused: {answer}")


async def stream_entries(client: "redis.asyncio.Redis") -> list[tuple[int, int, bytes]]:
    """Return generation, version and change of every stream entry."""
    entries: Any = await client.xrange(feed.STREAM_KEY)
    return [
        (int(entry[b"generation"]), int(entry[b"version"]), entry[b"change"])
        for _, entry in entries
    ]


def eurusd(**changes: Any) -> reference_pb2.Instrument:
    values: dict[str, Any] = {
        "symbol": "EURUSD",
        "base_currency": "EUR",
        "quote_currency": "USD",
        "tick_size": 0.00001,
        "pip_size": 0.0001,
        "tick_value": 1,
        "lot_step": 0.01,
        "min_lot": 0.01,
        "max_lot": 100,
        "contract_size": 100_000,
    }
    return reference_pb2.Instrument(**(values | changes))


def low_risk(**changes: Any) -> risk_config_pb2.RiskConfiguration:
    """The sample configuration of seed 003, field by field."""
    values: dict[str, Any] = {
        "config_id": "low_risk",
        "account_id": "account123",
        "position_max_drawdown_percentage": 3.0,
        "position_trailing_stop_multiplier": 1.5,
        "daily_max_drawdown_percentage": 2.0,
        "weekly_max_drawdown_percentage": 5.0,
        "monthly_max_drawdown_percentage": 10.0,
        "max_position_size_percentage": 5.0,
        "max_correlated_exposure_percentage": 10.0,
        "risk_per_trade_percentage": 0.5,
        "volatility_adjustment_factor": 0.8,
        "cooling_off_period_minutes": 120,
        "consecutive_loss_threshold": 2,
        "is_active": True,
        "symbol_configs": [
            risk_config_pb2.SymbolRiskConfiguration(
                symbol="BTCUSDT",
                max_position_size_percentage=3.0,
                max_leverage=5,
                position_max_drawdown_percentage=2.0,
                risk_per_trade_percentage=0.3,
            )
        ],
    }
    return risk_config_pb2.RiskConfiguration(**(values | changes))


async def put_account(parts: Control, account_id: str = "account123", **changes: Any) -> Any:
    values: dict[str, Any] = {"account_id": account_id, "currency": "USD", "equity": 10_000}
    account = reference_pb2.Account(**(values | changes))
    return await parts.reference.PutAccount(reference_pb2.PutAccountRequest(account=account))
