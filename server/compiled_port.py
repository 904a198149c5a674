"""The decision port by the compiled lane: the lane itself, its TLS, its judge and its watchdog.

The lane's thread owns the engine; the event loop here only starts, watches and stops it.
"""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import Final

from prometheus_client.core import Metric

from riskgate.v1.decision_pb2 import RequestError
from server.engine import Engine
from server.errors import UnavailableError
from server.hotpath.lane.memory import LaneBounds
from server.lane import Errands, Lane
from server.listening import (
    LOCAL_FD_VARIABLE,
    close_listener,
    inherited_listener,
    open_listener,
)
from server.prefault import Prefault
from server.security.certificate_judge import CertificateJudge
from server.security.decision_tls import DecisionTls, find_tls_files
from server.security.port_grants import NO_GRANT, open_grants
from server.settings import Settings
from server.shards import Shard
from server.telemetry.decision_counts import DecisionCounts
from server.telemetry.denial_counts import read_denial_metrics
from server.telemetry.lane_counts import read_lane_counts, read_lane_metrics

log = logging.getLogger(__name__)

PORT_BYTES_MAX: Final = 4 * 1024 * 1024
_WATCH_INTERVAL_S: Final = 0.1
# Callers wait in the supervisor's backlog so long for a state that is current; then they are told.
HOLD_NS_MAX: Final = 2_000_000_000


class CompiledPort:
    """Serves one engine.

    Raises:
        ConfigurationError: The address or a TLS file cannot be used.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        inherited = inherited_listener()
        self._is_inherited = inherited is not None
        self._listener = inherited or open_listener(settings.decision_listen)
        self._local = inherited_listener(LOCAL_FD_VARIABLE)
        shard = Shard.parse(settings.shard)
        self.grants, self._watch_grants = open_grants(settings, engine)
        self.lane = Lane(
            engine,
            self._listener,
            _bounds_of(settings),
            Errands(partial(_sync, engine, shard), partial(_kill, engine, shard)),
            open_grant=self.grants.open_address if settings.insecure_loopback else NO_GRANT,
            local=self._local,
            local_grant=self.grants.open_address,
            shard=(shard.index, shard.count),
        )
        if self._is_inherited:
            self.lane.hold()
        self._tls: DecisionTls | None = None
        self._judge: CertificateJudge | None = None
        self._prefault = Prefault(engine)
        try:
            self._protect()
        except BaseException:
            self._close_sockets()
            raise

    def _protect(self) -> None:
        files = find_tls_files(self._settings)
        if files is None:
            return
        self._tls = DecisionTls(files, self.lane.tls_cell, lambda: self.lane.turns)
        if self._tls.wants_certificates:
            self._judge = CertificateJudge(self.grants, self.lane.wake)
            self.lane.judge_certificates(self._judge.board_address)

    def wake(self) -> None:
        """Let the lane look at the ring of changes."""
        self.lane.wake()

    def read_counts(self) -> DecisionCounts:
        """Return a copy of the lane's counts."""
        return read_lane_counts(self.lane)

    def read_metrics(self) -> Iterable[Metric]:
        """Return the lane's own counters, and what was denied."""
        return chain(read_lane_metrics(self.lane), read_denial_metrics(self.grants))

    async def start(self) -> None:
        """Answer from now on; compiled code is loaded first, or compiled."""
        if self._judge is not None:
            self._judge.start()
        if self._tls is not None:
            self._tls.start()
        self._watch_grants.start()
        self._prefault.start()
        self.lane.start()
        while self.lane.turns == 0:
            if not self.lane.is_running:
                raise UnavailableError("decision port", "the lane did not start")
            await asyncio.sleep(0.01)
        log.info("the compiled lane serves the decision port")

    async def say_serving(self) -> None:
        """Decide from now on."""
        self.lane.say(ready=True, serving=True)
        self.lane.listen()

    async def say_behind(self) -> None:
        """Say NOT_SERVING, and decide all the same."""
        self.lane.say(ready=True, serving=False)
        self.lane.listen()

    async def say_fenced(self) -> None:
        """Say NOT_SERVING; the lane denies by itself, unless it keeps no journal."""
        self.lane.say(ready=self._settings.durability != "memory", serving=False)

    async def watch(self) -> None:
        """Kill the process when the lane stands still: a compiled loop cannot be interrupted.

        Raises:
            UnavailableError: The lane's thread has ended.
        """
        stall_ns = self._settings.lane_stall_ms * 1_000_000
        looked_ns = started_ns = time.monotonic_ns()
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if looked_ns - started_ns > HOLD_NS_MAX:
                self.lane.listen()
            if not self.lane.is_running:
                raise UnavailableError("decision port", "the lane has ended")
            now_ns = time.monotonic_ns()
            # When this loop itself was held up (a stopped process), the lane was too.
            was_held_up = now_ns - looked_ns > stall_ns
            looked_ns = now_ns
            if not was_held_up and now_ns - self.lane.beat_ns > stall_ns:
                log.critical("the lane has stood still for %d ms", stall_ns // 1_000_000)
                os.kill(os.getpid(), signal.SIGKILL)

    async def stop(self) -> None:
        """Say NOT_SERVING and GOAWAY, finish the calls that run, end."""
        await asyncio.to_thread(self.lane.stop)
        await asyncio.to_thread(self._prefault.stop)
        await asyncio.to_thread(self._watch_grants.stop)
        if self._judge is not None:
            self._judge.stop()
        if self._tls is not None:
            self._tls.stop()
            self._tls.close()
        self._close_sockets()

    def _close_sockets(self) -> None:
        self.lane.close()
        if self._local is not None:
            self._local.close()
        if self._is_inherited:
            self._listener.close()
        else:
            close_listener(self._listener)


def _bounds_of(settings: Settings) -> LaneBounds:
    return LaneBounds(
        connections=settings.connections_max,
        idle_ms=settings.connection_idle_ms_max,
        request_ms=settings.request_timeout_ms,
        drain_ms=settings.shutdown_grace_ms,
        state_wait_ms=settings.state_wait_ms_max,
        busy_poll_us=settings.busy_poll_us,
        request_bytes=settings.request_bytes_max,
        port_bytes=max(PORT_BYTES_MAX, settings.request_bytes_max),
    )


def _sync(
    engine: Engine, shard: Shard, raw: bytes, received_ns: int, may_use: Callable[[int], bool]
) -> bytes | RequestError:
    # Loaded when it is first needed: no decision waits for it, and a start does not either.
    from server.services.sync_errand import try_sync_account  # noqa: PLC0415

    return try_sync_account(engine, raw, received_ns, shard, may_use)


def _kill(
    engine: Engine, shard: Shard, raw: bytes, received_ns: int, caller: str
) -> bytes | RequestError:
    # The kill port beside this one loads it at start; without that port the first kill does.
    from server.services.kill_errand import try_kill  # noqa: PLC0415

    return try_kill(engine, raw, received_ns, caller, shard)
