"""The engine process: the one engine, its decision port, its feed, its calendar and its metrics.

Start: the ports are bound at once and answer NOT_SERVING and UNAVAILABLE, the kernels are compiled
or taken from the cache, then the state is loaded; only when it is whole and a heartbeat has vouched
for it does the port serve. Without a publisher it serves all the same after a while: new risk is
then denied, exits are not. Losing Redis later does not end that: the age of the feed decides then.
SIGTERM: NOT_SERVING, no new calls, running ones get their time, exit 0.
"""

import asyncio
import logging
import signal
import sys
import time
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from riskgate.v1.decision_pb2 import DecideRequest
from riskgate.v1.state_pb2 import StateChange
from server.engine import Engine
from server.epoch import take_epoch
from server.errors import UnavailableError
from server.hotpath.layout import CHANGE_ROWS, LAYOUT_VERSION, MILLISECOND_NS
from server.hotpath.memory import Capacity
from server.intake import Intake
from server.loaders.calendar import Calendar
from server.loaders.model_loader import Activation, ModelLoader
from server.loaders.redis_state import RedisStateLoader
from server.services.decision import SERVICE_NAME, DecisionService
from server.services.judge import Judge
from server.settings import Settings
from server.telemetry.decision_counts import DecisionCounts
from server.telemetry.engine_metrics import EngineMetrics, serve_metrics

log = logging.getLogger(__name__)

# A batch of 1,000 requests with every field full; single requests have a smaller limit.
PORT_BYTES_MAX: Final = 4 * 1024 * 1024
CONCURRENT_CALLS_MAX: Final = 4_096
METADATA_BYTES_MAX: Final = 8_192
_HEALTH_INTERVAL_S: Final = 0.05
# Twice the longest pause between two heartbeats.
HEARTBEAT_WAIT_S: Final = 2.0
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
SWITCH_INTERVAL_S: Final = 0.0005
_SMALL: Final = Capacity(**dict.fromkeys(Capacity._fields, 16))._replace(answer_bytes=1 << 20)


def run_engine(settings: Settings) -> None:
    """Serve decisions until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: The epoch of the data directory cannot be taken, or no Redis is named.
        UnavailableError: A port cannot be bound.
    """
    # Loader and metrics threads must not keep the decision thread waiting for Python's usual 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    asyncio.run(EngineProcess(settings).run())


def warm_kernels() -> None:
    """Compile every kernel that the engine calls, or load it from the cache."""
    engine = Engine(_SMALL, started_at_ns=1)
    Judge(engine, DecisionCounts()).judge(DecideRequest(), 1)
    engine.report(2)
    engine.tick(3)
    for kind, dtype in CHANGE_ROWS.items():
        rows = bytes(dtype.itemsize)
        change = StateChange(kind=kind, rows=rows, layout_version=LAYOUT_VERSION)  # type: ignore[arg-type]
        engine.submit(change.SerializeToString())
    engine.drain(4)
    engine.warm()


class Feeds:
    """All that feeds one engine: Redis, models, calendar. Receives what the first one reads."""

    def __init__(self, settings: Settings, engine: Engine, intake: Intake) -> None:
        self.put = intake.put
        self.calendar = Calendar(intake.put)
        self.models = ModelLoader(settings.data_dir, engine.state, intake.put)
        self.redis = RedisStateLoader(settings.redis_url_text(), self)
        self.add_timezone = self.calendar.add_timezone
        self._intake = intake

    def activate(self, activation: Activation) -> None:
        """Load a model, then hand its change on."""
        self.models.activate(activation)

    def is_settled(self) -> bool:
        """Whether a whole state with its model has reached the engine."""
        return self.redis.is_current and self.models.is_idle and self._intake.depth == 0

    def start(self) -> None:
        """Start all threads."""
        self.calendar.start()
        self.models.start()
        self.redis.start()

    def stop(self) -> None:
        """End all threads; blocks for a moment."""
        self._intake.close()
        self.models.stop()
        self.calendar.stop()
        self.redis.stop()


class EngineProcess:
    """Composition of the engine process; `run` is its whole life."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._is_ready = False
        self._counts = DecisionCounts()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]

    async def run(self) -> None:
        """Start, serve, and stop when a signal asks for it."""
        settings = self._settings
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        engine = _new_engine(settings)
        intake = Intake(engine, loop)
        feeds = Feeds(settings, engine, intake)
        server = await self._start_port(engine, intake)
        metrics = serve_metrics(
            settings.metrics_listen,
            EngineMetrics(engine, intake, self._counts, feeds.redis, feeds.models),
        )
        work = asyncio.create_task(self._work(engine, feeds, intake), name="engine")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await self._health.enter_graceful_shutdown()
            await server.stop(settings.shutdown_grace_ms / 1_000)
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            await asyncio.to_thread(feeds.stop)
            await asyncio.to_thread(metrics.shutdown)
            log.info("decision port is closed")

    async def _work(self, engine: Engine, feeds: Feeds, intake: Intake) -> None:
        """Warm up, load the state, then keep the engine supplied for ever."""
        started_s = time.monotonic()
        await asyncio.to_thread(warm_kernels)
        log.info("kernels are warm after %.1f s", time.monotonic() - started_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(intake.tick_forever(), name="ticks")
            feeds.start()
            while not feeds.is_settled():  # noqa: ASYNC110 - it waits for threads
                await asyncio.sleep(_HEALTH_INTERVAL_S)
            await _wait_for_heartbeat(engine)
            self._is_ready = True
            await self._say(_SERVING)
            log.info("the state is current after %.1f s", time.monotonic() - started_s)

    async def _start_port(self, engine: Engine, intake: Intake) -> grpc.aio.Server:
        settings = self._settings
        server = grpc.aio.server(
            maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
            options=[
                ("grpc.max_receive_message_length", PORT_BYTES_MAX),
                ("grpc.max_send_message_length", PORT_BYTES_MAX),
                ("grpc.max_metadata_size", METADATA_BYTES_MAX),
                ("grpc.so_reuseport", 0),
            ],
        )
        service = DecisionService(
            engine,
            intake,
            self._counts,
            is_ready=lambda: self._is_ready,
            state_wait_s=settings.state_wait_ms_max / 1_000,
            request_bytes_max=settings.request_bytes_max,
        )
        service.add_to(server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        await self._say(_NOT_SERVING)
        try:
            port = server.add_insecure_port(settings.decision_listen)
        except RuntimeError as error:
            raise UnavailableError("decision port", settings.decision_listen) from error
        await server.start()
        log.info("decision port %d listens", port)
        return server

    async def _say(self, status: Any) -> None:
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status)


async def _wait_for_heartbeat(engine: Engine) -> None:
    """Wait a moment for the first heartbeat: without one every new risk would be denied."""
    ends_at_s = time.monotonic() + HEARTBEAT_WAIT_S
    while not engine.state.engine[0]["heartbeat_at_ns"]:
        if time.monotonic() >= ends_at_s:
            log.warning("no heartbeat: new risk is denied until the publisher is back")
            return
        await asyncio.sleep(_HEALTH_INTERVAL_S)


def _new_engine(settings: Settings) -> Engine:
    epoch = take_epoch(settings.data_dir)
    return Engine(
        Capacity(
            instruments=settings.capacity_instruments,
            accounts=settings.capacity_accounts,
            providers=settings.capacity_providers,
            overrides=settings.capacity_symbol_limits,
            rates=settings.capacity_conversion_rates,
            breakers=settings.capacity_breakers,
            positions=settings.capacity_positions,
            exposures=settings.capacity_positions,
            identities=settings.capacity_identities,
            reservations=settings.capacity_reservations,
            idempotency=settings.capacity_idempotency,
        ),
        epoch=epoch,
        started_at_ns=time.time_ns(),
        restarted=epoch > 1,
        idempotency_min_age_ns=settings.idempotency_min_age_ms * MILLISECOND_NS,
    )
