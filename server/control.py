"""The control process: composition of pool, publisher and services, from start to drained stop.

It serves while PostgreSQL or Redis is away: calls that need the missing part answer UNAVAILABLE,
and the publisher goes on by itself when it returns. SIGTERM: NOT_SERVING, no new calls, running
ones get their time, exit 0.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from typing import Final

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from riskgate.v1 import (
    audit_pb2,
    audit_pb2_grpc,
    breaker_pb2,
    breaker_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    kill_pb2,
    kill_pb2_grpc,
    market_pb2,
    market_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
    risk_config_pb2,
    risk_config_pb2_grpc,
)
from server.anomaly_watch import AnomalyWatch, freezer
from server.entities import ProviderFigures
from server.errors import UnavailableError
from server.gateway.endpoints import Backend
from server.gateway.listening import Gateway
from server.kill_merging import KillMerging
from server.policy import default_policy_row
from server.provider_score import score
from server.publisher import Publisher, open_redis
from server.record.pool import open_pool
from server.record.sealed_fields import use_ring
from server.security.caller import Call
from server.security.control_tls import find_control_tls
from server.security.feed_seal import FeedSeal
from server.security.field_encryption import KeyRing
from server.security.revoked_certificates import RevokedCertificates
from server.services.access import AccessInterceptor, Admission, finish_abandoned
from server.services.audit import AuditService
from server.services.breaker import BreakerService
from server.services.drill import DrillService
from server.services.identity import IdentityService
from server.services.interceptors import ErrorInterceptor
from server.services.kill import KillService
from server.services.market import MarketService
from server.services.model import ModelService
from server.services.peer import PeerReader
from server.services.provider import ProviderService
from server.services.reference import ReferenceService
from server.services.risk_config import RiskConfigService
from server.services.writing import Parts
from server.settings import Settings
from server.witness import open_witness

log = logging.getLogger(__name__)

# A model artifact of 16 MiB with its framing.
_MESSAGE_BYTES_MAX: Final = 17 * 1024 * 1024
_CONCURRENT_CALLS_MAX: Final = 256
_HEALTH_INTERVAL_S: Final = 0.2
# Redis may still hold nothing of ours: no first call shall be refused for that.
_FIRST_TRY_S: Final = 2.0
# A certificate is shown again after this at the latest; streams get the grace to end.
CONNECTION_AGE_MS_MAX: Final = 600_000
CONNECTION_GRACE_MS: Final = 60_000
_SERVICES: Final = (
    *audit_pb2.DESCRIPTOR.services_by_name.values(),
    *breaker_pb2.DESCRIPTOR.services_by_name.values(),
    *identity_pb2.DESCRIPTOR.services_by_name.values(),
    *kill_pb2.DESCRIPTOR.services_by_name.values(),
    *market_pb2.DESCRIPTOR.services_by_name.values(),
    *model_pb2.DESCRIPTOR.services_by_name.values(),
    *provider_pb2.DESCRIPTOR.services_by_name.values(),
    *reference_pb2.DESCRIPTOR.services_by_name.values(),
    *risk_config_pb2.DESCRIPTOR.services_by_name.values(),
)
SERVICE_NAMES: Final = ("", *(service.full_name for service in _SERVICES))


def run_control(settings: Settings) -> None:
    """Serve the control port until SIGTERM or SIGINT.

    Raises:
        UnavailableError: the control port cannot be bound.
    """
    asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    # Compiles the score's kernel, or loads it: no call shall wait for that later.
    score(ProviderFigures(), default_policy_row()[0])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        open_pool(settings.database_url_text()) as pool,
        open_redis(settings.redis_url_text()) as client,
    ):
        seal = FeedSeal.ensure(settings.data_dir / "keys")
        publisher = Publisher(
            pool, client, seal, heartbeat_interval_ms=settings.heartbeat_interval_ms
        )
        health_servicer = HealthServicer()
        freeze = freezer(pool, publisher.wake) if settings.freeze_on_anomaly else None
        watch = AnomalyWatch(pool, freeze)
        witness = open_witness(settings, pool, watch.watch_rows)
        parts = Parts(pool, publisher, settings.redis_url_text())
        backend = build_backend(parts, health_servicer, settings, watch.note_read)
        server = build_server(parts, health_servicer, settings, backend=backend)
        port = open_port(server, settings)
        gateway = Gateway(settings, backend) if settings.http_listen else None
        publishing = asyncio.create_task(publisher.run(), name="publisher")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_TRY_S):
                await publisher.wait_for_first_try()
        await server.start()
        log.info("control port %d listens%s", port, ", WITHOUT TLS" * settings.insecure_loopback)
        tasks = [
            publishing,
            asyncio.create_task(_report_health(publisher, health_servicer), name="health"),
            asyncio.create_task(witness.run(), name="witness"),
            asyncio.create_task(watch.run(), name="anomalies"),
            asyncio.create_task(KillMerging(pool, publisher).run(), name="kills"),
        ]
        if gateway is not None:
            log.info(
                "HTTP on port %d%s", gateway.port, ", WITHOUT TLS" * settings.insecure_loopback
            )
            tasks.append(asyncio.create_task(gateway.run(), name="http"))
        try:
            await _wait_first(stop, tasks)
        finally:
            tasks[1].cancel()
            await health_servicer.enter_graceful_shutdown()
            if gateway is not None:
                gateway.stop()
            await server.stop(settings.shutdown_grace_ms / 1_000)
            if gateway is not None:
                await asyncio.wait(tasks[-1:])
            await finish_abandoned()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            # What the last calls have left.
            await witness.advance()
            await watch.advance()
            log.info("control port is closed")


async def _wait_first(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Return when asked to stop; raise what a task raised."""
    stopped = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in done - {stopped}:
        task.result()


def build_server(
    parts: Parts,
    health_servicer: HealthServicer,
    settings: Settings,
    *,
    connection_age_ms: int = CONNECTION_AGE_MS_MAX,
    connection_grace_ms: int = CONNECTION_GRACE_MS,
    note_call: Callable[[Call], None] | None = None,
    backend: Backend | None = None,
) -> grpc.aio.Server:
    """Return a server with every control service, health and reflection; not yet bound.

    Args:
        parts: What services work with.
        health_servicer: Answers about health.
        settings: Of the process.
        connection_age_ms: After so long a connection takes no new call, give or take a tenth.
        connection_grace_ms: After so long again its streams are ended.
        note_call: Told of each call that may go on; for a backend made here.
        backend: What the HTTP gateway shares; None: there is no gateway.
    """
    backend = backend or build_backend(parts, health_servicer, settings, note_call)
    server = grpc.aio.server(
        interceptors=[ErrorInterceptor(), AccessInterceptor(backend.admission)],
        maximum_concurrent_rpcs=_CONCURRENT_CALLS_MAX,
        options=[
            ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
            ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
            ("grpc.so_reuseport", 0),
            ("grpc.max_metadata_size", 8_192),
            ("grpc.max_connection_age_ms", connection_age_ms),
            ("grpc.max_connection_age_grace_ms", connection_grace_ms),
            ("grpc.server_handshake_timeout_ms", settings.request_timeout_ms),
        ],
    )
    audit_pb2_grpc.add_AuditServiceServicer_to_server(AuditService(parts), server)
    reference_pb2_grpc.add_ReferenceServiceServicer_to_server(ReferenceService(parts), server)
    risk_config_pb2_grpc.add_RiskConfigServiceServicer_to_server(
        backend.risk_configurations, server
    )
    breaker_pb2_grpc.add_BreakerServiceServicer_to_server(backend.breakers, server)
    provider_pb2_grpc.add_ProviderServiceServicer_to_server(ProviderService(parts), server)
    market_pb2_grpc.add_MarketServiceServicer_to_server(MarketService(parts), server)
    kill_pb2_grpc.add_KillServiceServicer_to_server(KillService(parts), server)
    kill_pb2_grpc.add_DrillServiceServicer_to_server(DrillService(parts), server)
    models = ModelService(parts, settings.data_dir, settings.artifact_store_url)
    model_pb2_grpc.add_ModelServiceServicer_to_server(models, server)
    use_ring(parts.pool, KeyRing.ensure(settings.data_dir / "keys"))
    identities = IdentityService(parts, settings.trust_domain)
    identity_pb2_grpc.add_IdentityServiceServicer_to_server(identities, server)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = (*SERVICE_NAMES[1:], health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def build_backend(
    parts: Parts,
    health_servicer: HealthServicer,
    settings: Settings,
    note_call: Callable[[Call], None] | None = None,
) -> Backend:
    """Return what the control port and the HTTP gateway share.

    Args:
        parts: What services work with.
        health_servicer: Answers about health.
        settings: Of the process.
        note_call: Told of each call that may go on.
    """
    admission = Admission(parts.pool, peer_reader(settings), note_call)
    return Backend(admission, RiskConfigService(parts), BreakerService(parts), health_servicer)


def open_port(server: grpc.aio.Server, settings: Settings) -> int:
    """Bind the control port, with TLS unless `insecure_loopback` says otherwise; return it.

    Raises:
        ConfigurationError: There are no certificates to serve with.
        UnavailableError: It cannot be bound.
    """
    tls = find_control_tls(settings)
    try:
        if tls is None:
            port = server.add_insecure_port(settings.control_listen)
        else:
            port = server.add_secure_port(settings.control_listen, tls.credentials)
    except RuntimeError as error:
        raise UnavailableError("control port", f"{settings.control_listen}: {error}") from error
    if port == 0:
        raise UnavailableError("control port", settings.control_listen)
    return port


def peer_reader(settings: Settings) -> PeerReader | None:
    """Return what reads the certificates of callers; None: they show none."""
    if settings.insecure_loopback:
        return None
    revoked = RevokedCertificates(settings.tls_crl, settings.tls_client_ca)
    return PeerReader(settings.trust_domain, revoked)


async def _report_health(publisher: Publisher, health_servicer: HealthServicer) -> None:
    """Serve while the record answers and Redis holds its state; say so whenever that changes."""
    said: int | None = None
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            well = publisher.is_aligned and not publisher.is_record_away
            status = health_pb2.HealthCheckResponse.ServingStatus.Value(
                "SERVING" if well else "NOT_SERVING"
            )
            if status != said:
                for name in SERVICE_NAMES:
                    await health_servicer.set(name, status)
                said = status
            await asyncio.sleep(_HEALTH_INTERVAL_S)
