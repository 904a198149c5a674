"""Access to the control port beyond the matrix of rights: what changes while connections live."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from riskgate.v1 import (
    admin_pb2,
    breaker_pb2,
    breaker_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    provider_pb2,
    provider_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
    risk_config_pb2,
    risk_config_pb2_grpc,
    types_pb2,
)
from server.services.access import AccessInterceptor, Admission
from server.services.interceptors import ErrorInterceptor
from tests.certificates import Authority
from tests.control_harness import Control, low_risk, play, refusal
from tests.trusted_control import (
    ADMIN,
    ANALYST,
    AUDITOR,
    TRADER,
    TrustedControl,
    play_trusted,
    until_refused,
)

DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED
WHY = admin_pb2.ChangeNote(reason="limits of the desk")


def who(channel: grpc.aio.Channel) -> Any:
    """Call what every role may call, and what looks at nothing else."""
    return identity_pb2_grpc.IdentityServiceStub(channel).WhoAmI(identity_pb2.WhoAmIRequest())


async def put_accounts(channel: grpc.aio.Channel, *account_ids: str) -> None:
    """Make accounts, each with a configuration and a breaker."""
    for account_id in account_ids:
        account = reference_pb2.Account(account_id=account_id, currency="USD", equity=1_000)
        await reference_pb2_grpc.ReferenceServiceStub(channel).PutAccount(
            reference_pb2.PutAccountRequest(account=account)
        )
        await risk_config_pb2_grpc.RiskConfigServiceStub(channel).CreateRiskConfiguration(
            risk_config_pb2.CreateRiskConfigurationRequest(
                configuration=low_risk(account_id=account_id), note=WHY
            )
        )
        breaker = breaker_pb2.CircuitBreaker(
            name="drawdown",
            account_id=account_id,
            condition=types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
            action=types_pb2.BREAKER_ACTION_BLOCK,
            parameters=breaker_pb2.BreakerParameters(threshold=0.1),
        )
        await breaker_pb2_grpc.BreakerServiceStub(channel).CreateBreaker(
            breaker_pb2.CreateBreakerRequest(breaker=breaker, note=WHY)
        )


def test_a_certificate_that_is_revoked_ends_its_live_connection_within_a_second(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        stolen = parts.issue(ADMIN)
        thief, owner = parts.channel(stolen), parts.channel(ADMIN)
        await who(thief)
        parts.revoke(stolen)
        code, text, last_s = await until_refused(lambda: who(thief))
        assert (code, text) == (UNKNOWN, "this certificate is revoked")
        assert last_s <= 1
        # The identity itself goes on with another certificate.
        assert (await who(owner)).uri == ADMIN

    play_trusted(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize("status", ["frozen", "revoked"])
def test_an_identity_that_is_stopped_loses_its_live_connection_within_a_second(
    database_url: str, redis_url: str, tmp_path: Path, status: str
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channel = parts.channel(TRADER)
        await who(channel)
        await parts.put_identity(TRADER, status=status)
        code, text, last_s = await until_refused(lambda: who(channel))
        assert (code, text) == (DENIED, "this identity is frozen or revoked")
        assert last_s <= 1

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_certificate_that_expires_on_a_live_connection_is_refused(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channel = parts.channel(ADMIN)
        await who(channel)
        parts.ahead = timedelta(days=1, seconds=1)
        assert await refusal(who(channel)) == (
            UNKNOWN,
            "no acceptable client certificate: expired",
            "",
        )

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_list_of_revoked_certificates_that_nobody_signed_changes_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        first, second = parts.issue(ADMIN), parts.issue(ADMIN)
        channels = [parts.channel(first), parts.channel(second)]
        parts.revoke(first)
        assert (await until_refused(lambda: who(channels[0])))[0] == UNKNOWN
        # By somebody of the same name: neither lets the first in again nor locks the second out.
        parts.revoke(second, signer=Authority())
        await asyncio.sleep(0.3)
        assert (await refusal(who(channels[0])))[0] == UNKNOWN
        await who(channels[1])

    play_trusted(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"]
)
def test_nobody_is_let_in_before_there_is_a_usable_list(
    database_url: str, redis_url: str, tmp_path: Path, content: bytes
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        (tmp_path / "ca.crl").write_bytes(content)
        code, text, _ = await refusal(who(parts.channel(ADMIN)))
        assert code == grpc.StatusCode.UNAVAILABLE
        assert text == "temporarily unavailable: list of revoked certificates"

    play_trusted(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://elsewhere/admin/ann",
        "spiffe://riskgate/superuser/ann",
        "spiffe://riskgate/admin/finance/ann",
        "spiffe://riskgate/admin/",
        "https://riskgate/admin/ann",
    ],
)
def test_an_identity_that_is_none_of_ours_is_refused(
    database_url: str, redis_url: str, tmp_path: Path, uri: str
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        code, text, _ = await refusal(who(parts.channel(uri)))
        assert code == UNKNOWN
        assert text.startswith("no acceptable client certificate: ")

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_metadata_grants_nothing(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async def scenario(parts: TrustedControl) -> None:
        await parts.put_identity(TRADER, accounts=("own",))
        channel = parts.channel(TRADER)
        claims = [("role", "admin"), ("riskgate-role", "ROLE_ADMIN"), ("x-forwarded-user", ADMIN)]
        said = await identity_pb2_grpc.IdentityServiceStub(channel).WhoAmI(
            identity_pb2.WhoAmIRequest(), metadata=claims
        )
        assert (said.uri, said.role, list(said.accounts)) == (TRADER, 3, ["own"])

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_trader_sees_only_its_own_accounts_on_every_page(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        names = [f"account-{number:02}" for number in range(7)]
        await put_accounts(parts.channel(ADMIN), *names)
        own = (names[1], names[2], names[5])
        await parts.put_identity(TRADER, accounts=own)
        everything = "spiffe://riskgate/trader/all"
        await parts.put_identity(everything, every_account=True)
        callers = {TRADER: own, everything: names, AUDITOR: names, ANALYST: names}
        callers["spiffe://riskgate/trader/unknown"] = ()
        for uri, visible in callers.items():
            assert await _listed(parts.channel(uri)) == [list(visible)] * 3, uri

    play_trusted(database_url, redis_url, tmp_path, scenario)


async def _listed(channel: grpc.aio.Channel) -> list[list[str]]:
    """Return the accounts in all pages of each list that names accounts, two to a page."""
    reference = reference_pb2_grpc.ReferenceServiceStub(channel)
    risk = risk_config_pb2_grpc.RiskConfigServiceStub(channel)
    breakers = breaker_pb2_grpc.BreakerServiceStub(channel)
    lists = (
        (reference.ListAccounts, reference_pb2.ListAccountsRequest, "accounts"),
        (
            risk.ListRiskConfigurations,
            risk_config_pb2.ListRiskConfigurationsRequest,
            "configurations",
        ),
        (breakers.ListBreakers, breaker_pb2.ListBreakersRequest, "breakers"),
    )
    seen = []
    for call, request, name in lists:
        accounts, token = [], "first"
        while token:
            page = await call(request(page_size=2, page_token=token.removeprefix("first")))
            accounts += [entry.account_id for entry in getattr(page, name)]
            token = page.next_page_token
        seen.append(accounts)
    return seen


def test_a_trader_hears_the_same_of_anothers_breaker_as_of_none(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        await put_accounts(parts.channel(ADMIN), "own", "other")
        await parts.put_identity(TRADER, accounts=("own",))
        stub = breaker_pb2_grpc.BreakerServiceStub(parts.channel(TRADER))
        found = (await stub.ListBreakers(breaker_pb2.ListBreakersRequest())).breakers
        (own,) = (each.breaker_id for each in found)
        get = breaker_pb2.GetBreakerRequest
        assert (await stub.GetBreaker(get(breaker_id=own))).breaker.account_id == "own"
        for request in (
            get(breaker_id=str(int(own) + 1)),
            get(breaker_id="999999"),
            get(name="drawdown", account_id="other"),
            get(name="nothing", account_id="other"),
        ):
            assert await refusal(stub.GetBreaker(request)) == (
                DENIED,
                "this identity may not use this account or provider",
                "",
            )

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_trader_reads_only_the_providers_it_may_name(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        await parts.put_identity(TRADER, accounts=("own",), providers=("mine",))
        stub = provider_pb2_grpc.ProviderServiceStub(parts.channel(TRADER))
        kind = types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE
        request = provider_pb2.GetProviderRequest(provider_id="mine", provider_type=kind)
        assert (await refusal(stub.GetProvider(request)))[0] == grpc.StatusCode.NOT_FOUND
        request.provider_id = "another"
        assert (await refusal(stub.GetProvider(request)))[0] == DENIED

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_a_method_that_declares_no_right_is_for_nobody(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        async def open_door(_request: bytes, _context: Any) -> bytes:
            return b"open"

        server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), AccessInterceptor(Admission(parts.pool, None))]
        )
        handlers = {"Door": grpc.unary_unary_rpc_method_handler(open_door)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                door: Any = channel
                answer = await refusal(door.unary_unary("/a.B/Door")(b""))
                assert answer == (DENIED, "this role may not call this method", "")
        finally:
            await server.stop(0)

    play(database_url, redis_url, tmp_path, scenario)
