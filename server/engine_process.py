"""The engine process: the one engine, its decision port, its feed, its calendar and its metrics.

Start: the port is bound at once and answers NOT_SERVING and UNAVAILABLE as soon as the kernels are
there, compiled or from the cache; then the state is loaded. Only when it is whole and a heartbeat
has vouched for it does the port serve. Without a publisher it serves all the same after a while:
new risk is then denied, exits are not. Losing Redis later does not end that: the age of the feed
decides then. When another engine has taken over, this one says NOT_SERVING and denies everything.
While it does not run the model and policy that the record says, because it refused one, it says
NOT_SERVING and goes on answering with what it has.
SIGTERM: NOT_SERVING, no new calls, running ones get their time, exit 0.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from server.decision_port import DecisionPort
from server.engine import Engine
from server.engine_start import Started, start_engine
from server.intake import Intake
from server.kill_port import KillPort
from server.known_engines import kill_socket_path
from server.loaders.activations import Activations
from server.loaders.calendar import Calendar
from server.loaders.redis_epoch import RedisEpoch
from server.loaders.redis_replica import RedisReplicas
from server.loaders.redis_state import RedisStateLoader
from server.replica_report import ReplicaReport, open_activations
from server.security.feed_seal import FeedSeal
from server.security.grants import Grants
from server.settings import Settings
from server.shards import JOURNAL_FOLDER, Shard
from server.standby.epoch_guard import EngineFence, EpochGuard
from server.telemetry.engine_metrics import EngineMetrics, serve_metrics

log = logging.getLogger(__name__)

_POLL_INTERVAL_S: Final = 0.01
# Twice the longest pause between two heartbeats.
HEARTBEAT_WAIT_S: Final = 2.0
SWITCH_INTERVAL_S: Final = 0.0005
_LOOK_INTERVAL_S: Final = 0.1


def run_engine(settings: Settings, begin: Callable[[Settings], Started] = start_engine) -> None:
    """Serve decisions until SIGTERM or SIGINT.

    Args:
        settings: Of this engine.
        begin: Returns the engine; a standby has it already.

    Raises:
        ConfigurationError: The epoch of the data directory cannot be taken, or no Redis is named.
        UnavailableError: A port cannot be bound.
    """
    # Loader and metrics threads must not keep the decision thread waiting for Python's usual 5 ms.
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    asyncio.run(EngineProcess(settings, begin).run())


class Feeds:
    """All that feeds one engine: Redis, models, calendar. Receives what the first one reads."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        intake: Intake,
        grants: Grants,
        *,
        kill_socket: str = "",
    ) -> None:
        seal = FeedSeal.load(settings.data_dir / "keys")
        self.put = intake.put
        self.put_identity = grants.put_rows
        self.complete = intake.complete
        self.calendar = Calendar(intake.put)
        self.activations = open_activations(settings, engine, intake.put)
        self.epoch = _watch_epoch(settings, engine)
        self.redis = RedisStateLoader(
            settings.redis_url_text(),
            self,
            seal,
            known_version=engine.state_version,
            may_beat=self.epoch.may_beat,
        )
        self.replica = ReplicaReport(
            settings,
            engine,
            self.activations,
            RedisReplicas(settings.redis_url_text(), seal),
            kill_socket=kill_socket,
        )
        self.activate = self.activations.activate
        self.add_timezone = self.calendar.add_timezone
        self._intake = intake

    def is_settled(self) -> bool:
        """Whether a whole state with its model has reached the engine."""
        is_loaded = (
            self.redis.is_current and self.activations.models.is_idle and self._intake.depth == 0
        )
        return is_loaded and self.epoch.is_named

    def start(self) -> None:
        """Start all threads."""
        self.calendar.start()
        self.activations.models.start()
        self.epoch.start()
        self.redis.start()
        self.replica.start()

    def stop(self) -> None:
        """End all threads; blocks for a moment."""
        self._intake.close()
        self.replica.stop()
        self.activations.models.stop()
        self.calendar.stop()
        self.redis.stop()
        self.epoch.stop()


class EngineProcess:
    """Composition of the engine process; `run` is its whole life."""

    def __init__(self, settings: Settings, begin: Callable[[Settings], Started]) -> None:
        self._settings = settings
        self._begin = begin

    async def run(self) -> None:
        """Start, serve, and stop when a signal asks for it."""
        settings = self._settings
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        started = self._begin(settings)
        engine = started.engine
        port = _open_port(settings, engine)
        intake = Intake(engine, port.wake)
        shard = Shard.parse(settings.shard)
        kills = KillPort(kill_socket_path(settings.data_dir, shard), engine, port.wake, shard)
        feeds = Feeds(settings, engine, intake, port.grants, kill_socket=kills.address)
        metrics = serve_metrics(
            settings.metrics_listen,
            EngineMetrics(engine, intake, port, feeds.redis, feeds.activations),
        )
        kills.start()
        work = asyncio.create_task(self._work(engine, feeds, port), name="engine")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
            await port.stop()
            await asyncio.to_thread(kills.stop)
            await asyncio.to_thread(feeds.stop)
            await asyncio.to_thread(metrics.shutdown)
            await asyncio.to_thread(started.close)
            log.info("decision port is closed")

    async def _work(self, engine: Engine, feeds: Feeds, port: DecisionPort) -> None:
        """Load kernels and state side by side, then keep the port alive for ever."""
        started_s = time.monotonic()
        feeds.start()
        await port.start()
        log.info("the port answers after %.2f s", time.monotonic() - started_s)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(port.watch(), name="port")
            while not feeds.is_settled():  # noqa: ASYNC110 - it waits for threads
                await asyncio.sleep(_POLL_INTERVAL_S)
            await _wait_for_heartbeat(engine)
            is_behind = await _say_health(port, feeds.activations)
            log.info("the state is current after %.2f s", time.monotonic() - started_s)
            while not engine.journal["fenced"][0]:  # the lane finds out
                await asyncio.sleep(_LOOK_INTERVAL_S)
                if feeds.activations.is_behind != is_behind:
                    is_behind = await _say_health(port, feeds.activations)
            await port.say_fenced()
            log.critical("another engine has taken over: this one denies everything")


def _watch_epoch(settings: Settings, engine: Engine) -> EpochGuard:
    shard = Shard.parse(settings.shard)
    keeps = settings.durability != "memory"
    return EpochGuard(
        RedisEpoch(settings.redis_url_text(), shard, FeedSeal.load(settings.data_dir / "keys")),
        int(engine.state.engine[0]["epoch"]),
        EngineFence(engine, shard.folder(settings.data_dir, JOURNAL_FOLDER) if keeps else None),
    )


def _open_port(settings: Settings, engine: Engine) -> DecisionPort:
    # Imported by choice: the compiled lane needs no gRPC, the other no libnghttp2.
    if settings.lane == "compiled":
        from server.compiled_port import CompiledPort  # noqa: PLC0415

        return CompiledPort(settings, engine)
    from server.grpcio_port import GrpcioPort  # noqa: PLC0415

    return GrpcioPort(settings, engine)


async def _say_health(port: DecisionPort, activations: Activations) -> bool:
    """Say whether this engine should be asked; return whether it is behind the record."""
    is_behind = activations.is_behind
    if is_behind:
        log.error("NOT_SERVING: this engine does not run what the record says")
        await port.say_behind()
    else:
        await port.say_serving()
    return is_behind


async def _wait_for_heartbeat(engine: Engine) -> None:
    """Wait a moment for a heartbeat of now: without one every new risk would be denied."""
    ends_at_s = time.monotonic() + HEARTBEAT_WAIT_S
    row = engine.state.engine[0]
    while row["heartbeat_at_ns"] < row["started_at_ns"]:
        if time.monotonic() >= ends_at_s:
            log.warning("no heartbeat: new risk is denied until the publisher is back")
            return
        await asyncio.sleep(_POLL_INTERVAL_S)
