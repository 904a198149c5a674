"""What a single call needs on the control port: a code, a free place in its window, and its row."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pyotp
import pytest

from riskgate.v1 import (
    admin_pb2,
    identity_pb2,
    identity_pb2_grpc,
    market_pb2,
    market_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)
from server.services.refused_calls import ROWS_MAX
from tests.control_harness import Control, eurusd, play, refusal
from tests.trusted_control import (
    ADMIN,
    AUDITOR,
    TRADER,
    TrustedControl,
    eventually,
    play_trusted,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
WHY = admin_pb2.ChangeNote(reason="joins the desk")


def identities(channel: grpc.aio.Channel) -> Any:
    return identity_pb2_grpc.IdentityServiceStub(channel)


def reference(channel: grpc.aio.Channel) -> Any:
    return reference_pb2_grpc.ReferenceServiceStub(channel)


def put_request() -> identity_pb2.PutIdentityRequest:
    return identity_pb2.PutIdentityRequest(identity=identity_pb2.Identity(uri=TRADER), note=WHY)


def test_a_change_of_rights_needs_a_code_that_works_once(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        stub = identities(parts.channel(ADMIN))
        put = stub.PutIdentity
        code, text, _ = await refusal(put(put_request()))
        assert (code, text) == (DENIED, "a valid one-time code is required: no code was sent")
        uri = (await stub.EnrollSecondFactor(identity_pb2.EnrollSecondFactorRequest())).otpauth_uri
        codes: Any = pyotp.parse_uri(uri)
        right = codes.now()
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        for sent in (wrong, "", "abcdef"):
            answer = put(put_request(), metadata=[("riskgate-otp", sent)])
            assert (await refusal(answer))[0] == DENIED
        # The right code is not used up by a call that is refused for something else.
        unjustified = identity_pb2.PutIdentityRequest(identity=identity_pb2.Identity(uri=TRADER))
        answer = put(unjustified, metadata=[("riskgate-otp", right)])
        assert (await refusal(answer))[0] == grpc.StatusCode.INVALID_ARGUMENT
        done = await put(put_request(), metadata=[("riskgate-otp", right)])
        assert done.outcome == admin_pb2.CHANGE_OUTCOME_CREATED
        code, text, _ = await refusal(put(put_request(), metadata=[("riskgate-otp", right)]))
        assert (code, text) == (
            DENIED,
            "a valid one-time code is required: the code was used before",
        )

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_calls_beyond_the_rate_are_refused_and_told_when_to_come_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        # Forty calls in forty seconds, over all connections of the identity.
        await parts.put_identity(AUDITOR, calls_per_second=1, burst=40)
        channels = [parts.channel(AUDITOR), parts.channel(AUDITOR)]
        request = identity_pb2.WhoAmIRequest()
        for _ in range(20):
            for channel in channels:
                await identities(channel).WhoAmI(request)
        call = identities(channels[0]).WhoAmI(request)
        code, text, _ = await refusal(call)
        wait_ms = int(dict(await call.trailing_metadata())["grpc-retry-pushback-ms"])
        assert (code, text) == (EXHAUSTED, f"too many calls: retry after {wait_ms} ms")
        assert 0 < wait_ms <= 40_000
        # Nobody else is held up.
        await identities(parts.channel(ADMIN)).WhoAmI(request)
        assert await parts.audited("identity", "outcome") == [(AUDITOR, "denied")]

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_stream_beyond_the_rate_waits_instead_of_failing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        await parts.put_identity(ADMIN, calls_per_second=10, burst=2)
        stub = market_pb2_grpc.MarketServiceStub(parts.channel(ADMIN))
        begun_s = time.monotonic()
        answer = await stub.Put(_measurements(12))
        assert answer.accepted + answer.superseded == 12
        # The call and its messages are thirteen, and the last of them is in the seventh fifth.
        assert time.monotonic() - begun_s >= 1

    play_trusted(database_url, redis_url, tmp_path, scenario)


async def _measurements(count: int) -> AsyncIterator[market_pb2.MarketServicePutRequest]:
    for number in range(count):
        rate = market_pb2.ConversionRate(
            from_currency="EUR", to_currency="USD", rate=1 + number / 100
        )
        yield market_pb2.MarketServicePutRequest(rate=rate)


@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        ("identity revoked", DENIED, "this identity is frozen or revoked"),
        ("certificate revoked", UNKNOWN, "this certificate is revoked"),
        ("certificate expired", UNKNOWN, "no acceptable client certificate: expired"),
    ],
)
def test_a_stream_ends_when_its_caller_is_no_longer_let_in(
    database_url: str, redis_url: str, tmp_path: Path, ending: str, code: Any, text: str
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        issued = parts.issue(ADMIN)
        stub = market_pb2_grpc.MarketServiceStub(parts.channel(issued))
        sent = 0

        async def endless() -> AsyncIterator[market_pb2.MarketServicePutRequest]:
            nonlocal sent
            while True:
                async for request in _measurements(1):
                    yield request
                sent += 1
                if sent == 5:
                    await end()
                await asyncio.sleep(0.02)

        async def end() -> None:
            if ending == "identity revoked":
                await parts.put_identity(ADMIN, status="revoked")
            elif ending == "certificate revoked":
                parts.revoke(issued)
            else:
                parts.ahead = timedelta(days=2)

        async with asyncio.timeout(20):
            await refusal(stub.Put(endless()))
        assert sent >= 5
        # The client may be writing just then, and its library says that instead of the status.
        said = ("action", "outcome", "new_value->>'code'", "new_value->>'problem'")
        opened, ended = await parts.audited(*said)
        assert opened[:2] == ("put", "done")
        assert ended == ("Put", "denied", code.name, text)

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_every_denied_call_and_every_failed_change_leaves_one_row(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        trader, admin = reference(parts.channel(TRADER)), reference(parts.channel(ADMIN))
        delete = reference_pb2.DeleteAccountRequest(account_id="none", note=WHY)
        await refusal(trader.DeleteAccount(delete))
        await refusal(trader.GetAccount(reference_pb2.GetAccountRequest(account_id="a")))
        await refusal(admin.DeleteAccount(delete))
        await refusal(admin.PutInstrument(reference_pb2.PutInstrumentRequest()))
        channel: Any = parts.channel(ADMIN)
        raw = channel.unary_unary("/riskgate.v1.ReferenceService/PutInstrument")
        await refusal(raw(b"\xff\xff"))
        # Reads that fail leave none: nothing was to change and nobody was denied.
        await refusal(admin.GetAccount(reference_pb2.GetAccountRequest(account_id="a")))
        service = "/riskgate.v1.ReferenceService"
        columns = ("identity", "address", "method", "outcome", "new_value->>'code'", "reason")
        assert [tuple(row) for row in await parts.audited(*columns)] == [
            (TRADER, "127.0.0.1", f"{service}/DeleteAccount", "denied", DENIED.name, ""),
            (TRADER, "127.0.0.1", f"{service}/GetAccount", "denied", DENIED.name, ""),
            (ADMIN, "127.0.0.1", f"{service}/DeleteAccount", "refused", "NOT_FOUND", WHY.reason),
            (ADMIN, "127.0.0.1", f"{service}/PutInstrument", "refused", "INVALID_ARGUMENT", ""),
            (ADMIN, "127.0.0.1", f"{service}/PutInstrument", "refused", "INVALID_ARGUMENT", ""),
        ]

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_flood_of_denied_calls_is_counted_and_fills_no_log(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        trader = reference(parts.channel(TRADER))
        request = reference_pb2.DeleteAccountRequest(account_id="none", note=WHY)
        for _ in range(ROWS_MAX + 25):
            assert (await refusal(trader.DeleteAccount(request)))[0] == DENIED
        counted = "coalesce((new_value->>'calls')::int, 1)"
        assert len(await parts.audited("audit_id")) == ROWS_MAX

        async def is_closed() -> bool:
            return len(await parts.audited(counted)) > ROWS_MAX

        await eventually(is_closed)
        assert await parts.audited(counted) == [(1,)] * ROWS_MAX + [(25,)]

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_change_goes_on_to_its_end_although_its_caller_goes_away(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        stub = reference(parts.channel(ADMIN))
        async with parts.pool.connection() as database:
            await database.execute("SELECT 1 FROM riskgate.state_version FOR UPDATE")
            call = stub.PutInstrument(reference_pb2.PutInstrumentRequest(instrument=eurusd()))
            await eventually(lambda: _waits_for_lock(parts))
            assert call.cancel()

        async def is_audited() -> bool:
            return bool(await parts.audited("audit_id"))

        await eventually(is_audited)
        assert await parts.audited("action", "subject_key", "outcome") == [
            ("create", "EURUSD", "done")
        ]

    play_trusted(database_url, redis_url, tmp_path, scenario)


async def _waits_for_lock(parts: TrustedControl) -> bool:
    async with parts.pool.connection() as database:
        query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return await (await database.execute(query)).fetchone() is not None


def test_without_tls_everything_is_allowed_except_changes_without_a_reason(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        delete = reference_pb2.DeleteInstrumentRequest(symbol="NONE")
        code, text, _ = await refusal(parts.reference.DeleteInstrument(delete))
        assert (code, text) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "a reason is required: note.reason",
        )
        async with grpc.aio.insecure_channel(parts.address) as channel:
            await identities(channel).PutIdentity(put_request())
            said = await identities(channel).WhoAmI(identity_pb2.WhoAmIRequest())
        assert (said.uri, said.every_account) == ("insecure-loopback", True)

    play(database_url, redis_url, tmp_path, scenario)
