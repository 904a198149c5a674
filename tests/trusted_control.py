"""A control port with certificates for tests: real PostgreSQL, real TLS, callers of every kind."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from grpc_health.v1._async import HealthServicer

from server import control
from server.entities import IdentityEntry
from server.publisher import Publisher, open_redis
from server.record.identities import IdentityRepository
from server.record.pool import Pool, open_pool
from server.security.feed_seal import FeedSeal
from server.services.writing import Parts
from server.settings import Settings
from tests.certificates import Authority, Issued
from tests.control_harness import reset, wait_until

ADMIN: Final = "spiffe://riskgate/admin/ann"
ANALYST: Final = "spiffe://riskgate/risk_analyst/rob"
TRADER: Final = "spiffe://riskgate/trader/tom"
AUDITOR: Final = "spiffe://riskgate/auditor/oda"


@dataclass
class TrustedControl:
    """A running control port, the authority behind it, and how far its clock of days runs ahead."""

    pool: Pool
    address: str
    folder: Path
    authority: Authority
    ahead: timedelta = timedelta()
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    def issue(self, uri: str) -> Issued:
        return self.authority.issue_client(uri)

    def channel(self, caller: Issued | str, *, server_name: str = "") -> grpc.aio.Channel:
        """Return a connection of its own for a caller, closed with the control port."""
        issued = self.issue(caller) if isinstance(caller, str) else caller
        certificate, key = issued.write(self.folder, f"client-{len(self._channels)}")
        credentials = grpc.ssl_channel_credentials(
            (self.folder / "ca.pem").read_bytes(), key.read_bytes(), certificate.read_bytes()
        )
        options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        channel = grpc.aio.secure_channel(self.address, credentials, options)
        self._channels.append(channel)
        return channel

    def revoke(self, *issued: Issued, signer: Authority | None = None) -> None:
        """Write the list of revoked certificates anew."""
        authority, now = (signer or self.authority).issued, datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=1))
        )
        for entry in issued:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(entry.certificate.serial_number)
                .revocation_date(now)
                .build()
            )
        content = builder.sign(authority.key, SHA256()).public_bytes(Encoding.PEM)
        aside = self.folder / "ca.crl.new"
        aside.write_bytes(content)
        aside.replace(self.folder / "ca.crl")

    async def put_identity(self, uri: str, **values: Any) -> None:
        async with self.pool.connection() as database:
            await IdentityRepository().put(database, IdentityEntry(uri=uri, **values))

    async def audited(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of every row of the audit log, oldest first."""
        async with self.pool.connection() as database:
            named = ", ".join(f"{column} AS c{place}" for place, column in enumerate(columns))
            query = f"SELECT {named} FROM riskgate.audit_log ORDER BY audit_id"  # noqa: S608 - columns of the test
            rows = await (await database.execute(query)).fetchall()
        return [tuple(row.values()) for row in rows]

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close(None)


Scenario = Callable[[TrustedControl], Coroutine[Any, Any, None]]


@asynccontextmanager
async def trusted_control(
    database_url: str, redis_url: str, folder: Path, **options: Any
) -> AsyncIterator[TrustedControl]:
    authority = Authority()
    authority.issued.write(folder, "ca")
    authority.issue_server().write(folder, "server")
    settings = Settings(
        data_dir=folder,
        insecure_loopback=False,
        control_listen="127.0.0.1:0",
        tls_certificate=folder / "server.pem",
        tls_key=folder / "server.key",
        tls_client_ca=folder / "ca.pem",
        tls_crl=folder / "ca.crl",
    )
    async with open_pool(database_url) as pool, open_redis(redis_url) as client:
        parts = TrustedControl(pool, "", folder, authority)
        parts.revoke()
        seal = FeedSeal.ensure(folder / "keys")
        publisher = Publisher(pool, client, seal, heartbeat_interval_ms=500)
        reader = control.peer_reader(settings)
        assert reader is not None
        reader._read_clock_ns = lambda: time.time_ns() + int(parts.ahead.total_seconds() * 1e9)
        with patch.object(control, "peer_reader", lambda _: reader):
            server = control.build_server(
                Parts(pool, publisher, redis_url), HealthServicer(), settings, **options
            )
        parts.address = f"localhost:{control.open_port(server, settings)}"
        running = asyncio.create_task(publisher.run())
        await server.start()
        try:
            await wait_until(lambda: publisher.is_aligned)
            yield parts
        finally:
            await parts.close()
            await server.stop(1)
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def play_trusted(
    database_url: str, redis_url: str, folder: Path, scenario: Scenario, **options: Any
) -> None:
    """Run a scenario on a control port over empty services."""
    reset(database_url, redis_url)

    async def run() -> None:
        async with trusted_control(database_url, redis_url, folder, **options) as parts:
            await scenario(parts)

    asyncio.run(run())


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something that must be asked for holds."""
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


async def until_refused(call: Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, str, float]:
    """Call until that is refused; return code, words, and seconds until the last accepted call."""
    begun_s = last_s = time.monotonic()
    async with asyncio.timeout(30):
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details() or "", last_s - begun_s
            last_s = time.monotonic()


async def serve(database_url: str, redis_url: str, folder: str) -> None:
    """Serve until the end of the input, for tests that need a process; says its address."""
    reset(database_url, redis_url)
    async with trusted_control(database_url, redis_url, Path(folder)) as parts:
        parts.issue(ADMIN).write(parts.folder, "admin")
        sys.stdout.write(f"{parts.address}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
