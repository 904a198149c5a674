"""The decision port by grpc.aio: for platforms without libnghttp2, and the oracle of the other.

The event loop owns the engine.
"""

import asyncio
import logging
import os
from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client.core import Metric

from server.engine import Engine
from server.errors import UnavailableError
from server.listening import LOCAL_LISTEN_VARIABLE, bind_for_owner
from server.owner import LoopOwner
from server.security.control_tls import find_control_tls
from server.security.port_grants import open_grants
from server.services.call_access import CallAccess
from server.services.decision import SERVICE_NAME, DecisionService
from server.settings import Settings
from server.shards import Shard
from server.telemetry.decision_counts import DecisionCounts
from server.telemetry.denial_counts import read_denial_metrics
from server.warming import warm_kernels

log = logging.getLogger(__name__)

# A batch of 1,000 requests with every field full; single requests have a smaller limit.
PORT_BYTES_MAX: Final = 4 * 1024 * 1024
CONCURRENT_CALLS_MAX: Final = 4_096
METADATA_BYTES_MAX: Final = 8_192
# Who was let in shows its certificate anew after so long.
CONNECTION_AGE_MS_MAX: Final = 600_000
_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcioPort:
    """Serves one engine; made on the event loop that will own it.

    Attributes:
        number: Port that is bound; 0 before the start, and for a Unix socket.

    Raises:
        ConfigurationError: A TLS file cannot be used, or none is named and plaintext not allowed.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._owner = LoopOwner(engine, asyncio.get_running_loop())
        self._counts = DecisionCounts()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._is_ready = False
        self.number = 0
        self.grants, self._watch_grants = open_grants(settings, engine)
        self._tls = find_control_tls(settings)
        self._services: list[DecisionService] = []
        self._server = self._make_server(engine, is_open=self._tls is None)
        # Taken out of the environment: no child of ours is told.
        self._local_address = os.environ.pop(LOCAL_LISTEN_VARIABLE, "")
        # A server of its own, so that the listener alone tells who has every right.
        self._local = self._make_server(engine, is_open=True) if self._local_address else None

    def wake(self) -> None:
        """Let the loop look at the ring of changes."""
        self._owner.wake()

    def read_counts(self) -> DecisionCounts:
        """Return the live counts."""
        return self._counts

    def read_metrics(self) -> Iterable[Metric]:
        """Return what was denied: gRPC keeps its own counts to itself."""
        return read_denial_metrics(self.grants)

    async def start(self) -> None:
        """Bind the port and answer.

        Raises:
            UnavailableError: The port, or the socket beside it, cannot be bound.
        """
        await asyncio.to_thread(warm_kernels)
        await self._say(_NOT_SERVING)
        port = self._bind()
        self._watch_grants.start()
        for server in self._servers():
            await server.start()
        self.number = port
        log.info("decision port %d listens", port)

    async def say_serving(self) -> None:
        """Decide from now on."""
        self._is_ready = True
        await self._say(_SERVING)

    async def say_behind(self) -> None:
        """Say NOT_SERVING, and decide all the same."""
        self._is_ready = True
        await self._say(_NOT_SERVING)

    async def say_fenced(self) -> None:
        """Say NOT_SERVING; calls are denied by themselves, unless no journal is kept."""
        self._is_ready = self._settings.durability != "memory"
        await self._say(_NOT_SERVING)

    async def watch(self) -> None:
        """Keep the engine's clock going."""
        await self._owner.tick_forever()

    async def stop(self) -> None:
        """Take no new calls and give running ones their time."""
        await self._health.enter_graceful_shutdown()
        for service in self._services:
            service.stop_watches()
        grace_s = self._settings.shutdown_grace_ms / 1_000
        await asyncio.gather(*(server.stop(grace_s) for server in self._servers()))
        await asyncio.to_thread(self._watch_grants.stop)

    def _servers(self) -> list[grpc.aio.Server]:
        return [self._server] if self._local is None else [self._server, self._local]

    def _bind(self) -> int:
        """Bind both; return the number of the port."""
        address = self._settings.decision_listen
        try:
            if self._tls is None:
                port = bind_for_owner(address, self._server.add_insecure_port)
            else:
                credentials = self._tls.credentials
                port = bind_for_owner(
                    address, lambda named: self._server.add_secure_port(named, credentials)
                )
            if self._local is not None:
                address = self._local_address
                bind_for_owner(address, self._local.add_insecure_port)
        except (RuntimeError, OSError) as error:
            raise UnavailableError("decision port", address) from error
        return port

    def _make_server(self, engine: Engine, *, is_open: bool) -> grpc.aio.Server:
        settings = self._settings
        server = grpc.aio.server(
            maximum_concurrent_rpcs=CONCURRENT_CALLS_MAX,
            options=[
                ("grpc.max_receive_message_length", PORT_BYTES_MAX),
                # A batch with every check explained is larger than it was.
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", METADATA_BYTES_MAX),
                ("grpc.so_reuseport", 0),
                ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
            ],
        )
        service = DecisionService(
            engine,
            self._owner,
            self._counts,
            access=CallAccess(self.grants, is_open=is_open),
            is_ready=lambda: self._is_ready,
            state_wait_s=settings.state_wait_ms_max / 1_000,
            request_bytes_max=settings.request_bytes_max,
            shard=Shard.parse(settings.shard),
        )
        service.add_to(server)
        self._services.append(service)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    async def _say(self, status: Any) -> None:
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status)
