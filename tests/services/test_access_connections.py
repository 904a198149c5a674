"""Connections to the control port: how long they live, and who may hold how many."""

import asyncio
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from riskgate.v1 import (
    identity_pb2,
    identity_pb2_grpc,
)
from server.services.access_checks import CALLS_AT_ONCE_MAX
from tests.control_harness import refusal
from tests.trusted_control import (
    ADMIN,
    TRADER,
    TrustedControl,
    eventually,
    play_trusted,
    until_refused,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def identities(channel: grpc.aio.Channel) -> Any:
    return identity_pb2_grpc.IdentityServiceStub(channel)


def test_health_is_for_every_accepted_certificate_and_reflection_for_admins(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        async def reflect(channel: grpc.aio.Channel) -> list[str]:
            stub = reflection_pb2_grpc.ServerReflectionStub(channel)
            ask = reflection_pb2.ServerReflectionRequest(list_services="")
            answers = [each async for each in stub.ServerReflectionInfo(iter([ask]))]
            return [each.name for each in answers[0].list_services_response.service]

        check = health_pb2.HealthCheckRequest()
        trader, admin = parts.channel(TRADER), parts.channel(ADMIN)
        for channel in (trader, admin):
            stub = health_pb2_grpc.HealthStub(channel)
            assert (await stub.Check(check)).status == health_pb2.HealthCheckResponse.SERVING
            watched = stub.Watch(check)
            assert (await anext(aiter(watched))).status == health_pb2.HealthCheckResponse.SERVING
            watched.cancel()
        assert "riskgate.v1.ModelService" in await reflect(admin)
        assert (await refusal(reflect(trader)))[0] == DENIED

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_nobody_is_let_in_while_the_record_is_away_but_health_answers(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channel = parts.channel(ADMIN)
        await identities(channel).WhoAmI(identity_pb2.WhoAmIRequest())
        await parts.pool.close()
        # What was looked up just now may still be in use.
        ask = identities(channel).WhoAmI
        code, _, _ = await until_refused(lambda: ask(identity_pb2.WhoAmIRequest()))
        assert code == grpc.StatusCode.UNAVAILABLE
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_connection_takes_no_new_call_beyond_its_age(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channel = parts.channel(ADMIN)
        await identities(channel).WhoAmI(identity_pb2.WhoAmIRequest())
        assert channel.get_state() == grpc.ChannelConnectivity.READY
        async with asyncio.timeout(20):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        # A caller connects again by itself, and shows its certificate again.
        assert (await identities(channel).WhoAmI(identity_pb2.WhoAmIRequest())).uri == ADMIN

    play_trusted(database_url, redis_url, tmp_path, scenario, connection_age_ms=500)


def test_a_stream_does_not_keep_a_connection_beyond_its_age(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        watched = health_pb2_grpc.HealthStub(parts.channel(ADMIN)).Watch(
            health_pb2.HealthCheckRequest()
        )

        async def drain() -> list[Any]:
            return [each async for each in watched]

        async with asyncio.timeout(30):
            assert (await refusal(drain()))[0] == grpc.StatusCode.UNAVAILABLE

    options = {"connection_age_ms": 300, "connection_grace_ms": 300}
    play_trusted(database_url, redis_url, tmp_path, scenario, **options)


def test_who_never_finishes_a_handshake_is_disconnected(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        host, _, port = parts.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()

    with patch.dict(os.environ, RISKGATE_REQUEST_TIMEOUT_MS="300"):
        play_trusted(database_url, redis_url, tmp_path, scenario)


def test_nobody_takes_all_places_with_streams(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        trader = health_pb2_grpc.HealthStub(parts.channel(TRADER))
        check = health_pb2.HealthCheckRequest()
        watched = [trader.Watch(check) for _ in range(CALLS_AT_ONCE_MAX)]
        for each in watched:
            await anext(aiter(each))
        assert (await refusal(trader.Check(check)))[0] == EXHAUSTED
        await health_pb2_grpc.HealthStub(parts.channel(ADMIN)).Check(check)
        for each in watched:
            each.cancel()

        async def has_place() -> bool:
            try:
                await trader.Check(check)
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(has_place)

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_new_connections_see_a_renewed_certificate_of_the_server(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        await identities(parts.channel(ADMIN)).WhoAmI(identity_pb2.WhoAmIRequest())
        renewed = parts.authority.issue_server("renewed", hosts=["renewed.example"])
        renewed.write(tmp_path, "server")
        # It is for another name now: callers that look for the old one stop trusting it.
        code, _, _ = await until_refused(
            lambda: identities(parts.channel(ADMIN)).WhoAmI(identity_pb2.WhoAmIRequest())
        )
        assert code == grpc.StatusCode.UNAVAILABLE
        # Files that are no certificate leave the port as it is.
        (tmp_path / "server.pem").unlink()
        stub = identities(parts.channel(ADMIN, server_name="renewed.example"))
        assert (await stub.WhoAmI(identity_pb2.WhoAmIRequest())).uri == ADMIN

    play_trusted(database_url, redis_url, tmp_path, scenario)
