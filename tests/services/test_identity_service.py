"""IdentityService: entries over a real port, second factors as the caller of a call."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pyotp
import pytest

from riskgate.v1 import admin_pb2, identity_pb2_grpc, rights_pb2, state_pb2
from riskgate.v1 import identity_pb2 as pb
from server.errors import PreconditionError
from server.hotpath.layout import LAYOUT_VERSION
from server.record.admin_change import Note, admin_change
from server.record.identities import set_identity_status
from server.record.outbox import Outbox
from server.record.pool import connection
from server.record.reencode import reencode_outdated
from server.record.second_factor import check_code
from server.security.caller import Call, Caller, set_current_call
from server.security.one_time_codes import WRONG_CODES_MAX
from server.services.identity import IdentityService
from server.services.writing import Parts
from server.trust_errors import SecondFactorError
from tests.control_harness import Control, play, refusal, wait_until

TRADER = "spiffe://riskgate/trader/desk-1"
ANNA = "spiffe://riskgate/admin/anna"
BERT = "spiffe://riskgate/admin/bert"
WHY = admin_pb2.ChangeNote(actor="anna", reason="a test")
CREATED, UPDATED, UNCHANGED = (
    admin_pb2.CHANGE_OUTCOME_CREATED,
    admin_pb2.CHANGE_OUTCOME_UPDATED,
    admin_pb2.CHANGE_OUTCOME_UNCHANGED,
)


@pytest.fixture
def run(database_url: str, redis_url: str, tmp_path: Path) -> Callable[..., None]:
    """Play a scenario with a stub of the service."""

    def play_it(scenario: Callable[[Control, Any], Awaitable[None]]) -> None:
        async def with_stub(parts: Control) -> None:
            async with grpc.aio.insecure_channel(parts.address) as channel:
                await scenario(parts, identity_pb2_grpc.IdentityServiceStub(channel))

        play(database_url, redis_url, tmp_path, with_stub)

    return play_it


def put(**values: Any) -> pb.PutIdentityRequest:
    return pb.PutIdentityRequest(identity=pb.Identity(**({"uri": TRADER} | values)), note=WHY)


def revoke(uri: str = TRADER, *, freeze: bool = False) -> pb.RevokeIdentityRequest:
    return pb.RevokeIdentityRequest(uri=uri, freeze=freeze, note=WHY)


def restore(uri: str = TRADER) -> pb.RestoreIdentityRequest:
    return pb.RestoreIdentityRequest(uri=uri, note=WHY)


async def newest_rows(parts: Control) -> list[pb.Identity]:
    """Return what the outbox says of each identity now."""
    found = await Outbox(parts.pool).latest_of_each(state_pb2.CHANGE_KIND_IDENTITY, "", 1_000)
    changes = [state_pb2.StateChange.FromString(entry.change) for entry in found]
    assert all(change.layout_version == LAYOUT_VERSION for change in changes)
    return [pb.Identity.FromString(change.rows) for change in changes]


async def audited(parts: Control) -> list[tuple[str, str, str]]:
    query = "SELECT action, subject, subject_key FROM riskgate.audit_log ORDER BY audit_id"
    async with connection(parts.pool) as database:
        rows = await (await database.execute(query)).fetchall()
    return [(row["action"], row["subject"], row["subject_key"]) for row in rows]


def test_an_entry_that_was_put_is_told_to_the_engines_and_kept(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        answer = await identities.PutIdentity(
            put(accounts=["b", "a"], providers=["p"], calls_per_second=5, burst=9)
        )
        assert answer.outcome == CREATED
        assert (list(answer.identity.accounts), answer.identity.version) == (["a", "b"], 1)
        assert answer.identity.status == pb.IDENTITY_STATUS_ACTIVE
        assert await newest_rows(parts) == [answer.identity]
        await parts.published(answer.state_version)
        again = await identities.PutIdentity(
            put(accounts=["a", "b"], providers=["p"], calls_per_second=5, burst=9)
        )
        assert (again.outcome, again.state_version) == (UNCHANGED, answer.state_version)
        assert again.identity == answer.identity
        changed = await identities.PutIdentity(put(every_account=True))
        assert (changed.outcome, changed.identity.version) == (UPDATED, 2)
        assert not changed.identity.HasField("calls_per_second")
        found = await identities.GetIdentity(pb.GetIdentityRequest(uri=TRADER))
        assert found.identity == changed.identity
        rows = await audited(parts)
        assert ("create", "identity", TRADER) in rows
        assert ("update", "identity", TRADER) in rows

    run(scenario)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"uri": ""}, "identity.uri"),
        ({"uri": "spiffe://elsewhere/trader/x"}, "identity.uri"),
        ({"uri": "spiffe://riskgate/king/x"}, "identity.uri"),
        ({"uri": "spiffe://riskgate/trader/" + "x" * 40}, "identity.uri"),
        ({"uri": "spiffe://riskgate/trader/x\n"}, "identity.uri"),
        ({"accounts": [f"a{number}" for number in range(257)]}, "identity.accounts"),
        ({"accounts": ["a", "a"]}, "identity.accounts"),
        ({"accounts": ["a", ""]}, "identity.accounts[1]"),
        ({"accounts": ["x" * 65]}, "identity.accounts[0]"),
        ({"accounts": ["a"], "every_account": True}, "identity.accounts"),
        ({"providers": [f"p{number}" for number in range(257)]}, "identity.providers"),
        ({"providers": ["p", "p"]}, "identity.providers"),
        ({"calls_per_second": 0}, "identity.calls_per_second"),
        ({"calls_per_second": 1_000_001}, "identity.calls_per_second"),
        ({"burst": 0}, "identity.burst"),
        ({"burst": 1_000_001}, "identity.burst"),
    ],
)
def test_an_entry_out_of_bounds_is_refused_by_the_name_of_its_field(
    run: Any, values: dict[str, Any], field: str
) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        code, _, named = await refusal(identities.PutIdentity(put(**values)))
        assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field)
        assert await newest_rows(parts) == []

    run(scenario)


def test_the_largest_entry_goes_through_the_feed(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        names = [f"{number:064d}" for number in range(256)]
        answer = await identities.PutIdentity(
            put(accounts=names, providers=names, calls_per_second=1_000_000, burst=1_000_000)
        )
        assert await newest_rows(parts) == [answer.identity]
        await parts.published(answer.state_version)

    run(scenario)


def test_what_is_revoked_stays_so_until_it_is_restored(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        await identities.PutIdentity(put(accounts=["a"]))
        for request, status, outcome in [
            (revoke(freeze=True), pb.IDENTITY_STATUS_FROZEN, UPDATED),
            (revoke(freeze=True), pb.IDENTITY_STATUS_FROZEN, UNCHANGED),
            (revoke(), pb.IDENTITY_STATUS_REVOKED, UPDATED),
            (revoke(), pb.IDENTITY_STATUS_REVOKED, UNCHANGED),
            # Less than it is: nothing happens.
            (revoke(freeze=True), pb.IDENTITY_STATUS_REVOKED, UNCHANGED),
        ]:
            answer = await identities.RevokeIdentity(request)
            assert (answer.identity.status, answer.outcome) == (status, outcome)
            assert await newest_rows(parts) == [answer.identity]
        # A new entry gives nobody rights back.
        answer = await identities.PutIdentity(put(accounts=["b"]))
        assert answer.identity.status == pb.IDENTITY_STATUS_REVOKED
        answer = await identities.RestoreIdentity(restore())
        assert (answer.identity.status, answer.outcome) == (pb.IDENTITY_STATUS_ACTIVE, UPDATED)
        assert list(answer.identity.accounts) == ["b"]
        assert await newest_rows(parts) == [answer.identity]
        again = await identities.RestoreIdentity(restore())
        assert (again.outcome, again.state_version) == (UNCHANGED, answer.state_version)

    run(scenario)


def test_an_unknown_identity_that_is_revoked_gets_an_entry_without_accounts(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        answer = await identities.RevokeIdentity(revoke())
        assert (answer.outcome, answer.identity.status) == (CREATED, pb.IDENTITY_STATUS_REVOKED)
        answer = await identities.RestoreIdentity(restore())
        assert not answer.identity.accounts
        assert not answer.identity.every_account
        code, *_ = await refusal(identities.RestoreIdentity(restore(ANNA)))
        assert code == grpc.StatusCode.NOT_FOUND

    run(scenario)


def test_entries_are_listed_by_uri_in_pages(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        uris = [f"spiffe://riskgate/trader/t{number:02d}" for number in range(7)]
        for uri in reversed(uris):
            await identities.PutIdentity(put(uri=uri))
        seen, token = [], ""
        while True:
            page = await identities.ListIdentities(
                pb.ListIdentitiesRequest(page_size=3, page_token=token)
            )
            seen += [identity.uri for identity in page.identities]
            token = page.next_page_token
            if not token:
                break
        assert seen == uris
        code, *_ = await refusal(identities.GetIdentity(pb.GetIdentityRequest(uri=ANNA)))
        assert code == grpc.StatusCode.NOT_FOUND

    run(scenario)


def test_changes_without_a_reason_are_refused(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        for call in (
            identities.PutIdentity(pb.PutIdentityRequest(identity=pb.Identity(uri=TRADER))),
            identities.RevokeIdentity(pb.RevokeIdentityRequest(uri=TRADER)),
            identities.RestoreIdentity(pb.RestoreIdentityRequest(uri=TRADER)),
        ):
            code, _, field = await refusal(call)
            assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "note.reason")
        assert await newest_rows(parts) == []

    run(scenario)


def test_identities_are_encoded_anew_with_everything_else(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        await identities.PutIdentity(put(accounts=["a"]))
        answer = await identities.RevokeIdentity(revoke())
        async with connection(parts.pool) as database:
            await database.execute(
                "UPDATE riskgate.state_change SET layout_version = layout_version + 1"
            )
        assert await reencode_outdated(parts.pool) == 1
        assert await newest_rows(parts) == [answer.identity]
        await wait_until(lambda: parts.publisher.published_version == answer.state_version + 1)

    run(scenario)


def test_a_rule_can_freeze_an_identity_inside_its_own_change(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        async with admin_change(parts.pool, Note("rules", "too many denials")) as change:
            old, entry = await set_identity_status(change, TRADER, "frozen")
        assert (old, entry.status) == (None, "frozen")
        assert [row.status for row in await newest_rows(parts)] == [pb.IDENTITY_STATUS_FROZEN]
        assert ("freeze", "identity", TRADER) in await audited(parts)

    run(scenario)


class _Context:
    """What a handler asks of its call."""

    def __init__(self, code: str = "") -> None:
        self._code = code

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("riskgate-otp", self._code),) if self._code else ()


@contextmanager
def calling(
    uri: str, role: rights_pb2.Role = rights_pb2.ROLE_ADMIN, **values: Any
) -> Iterator[None]:
    set_current_call(Call(Caller(uri=uri, role=role, **values), "/a/test"))
    try:
        yield
    finally:
        set_current_call(None)


def service(parts: Control) -> IdentityService:
    return IdentityService(Parts(parts.pool, parts.publisher), "riskgate")


async def enroll(parts: Control, code: str = "") -> pyotp.TOTP:
    answer = await service(parts).EnrollSecondFactor(pb.EnrollSecondFactorRequest(), _Context(code))
    codes = pyotp.parse_uri(answer.otpauth_uri)
    assert isinstance(codes, pyotp.TOTP)
    return codes


def test_who_has_a_second_factor_needs_it_to_make_another(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        with calling(ANNA):
            first = await enroll(parts)
            for code in ("", "000000", "not a code"):
                with pytest.raises(SecondFactorError):
                    await enroll(parts, code)
            now_s = time.time()
            second = await enroll(parts, first.at(int(now_s)))
            with pytest.raises(SecondFactorError):
                await check_code(parts.pool, ANNA, first.at(int(now_s) + 30), now_s=now_s)
            await check_code(parts.pool, ANNA, second.at(int(now_s) + 60), now_s=now_s + 60)
        rows = await audited(parts)
        assert rows.count(("enroll", "second factor", ANNA)) == 2

    run(scenario)


def test_of_two_who_enroll_at_once_one_is_told_no(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        with calling(ANNA):
            done = await asyncio.gather(*(enroll(parts) for _ in range(6)), return_exceptions=True)
            made = [each for each in done if isinstance(each, pyotp.TOTP)]
            assert len(made) == 1
            assert all(isinstance(each, SecondFactorError) for each in done if each not in made)
            now_s = int(time.time())
            await check_code(parts.pool, ANNA, made[0].at(now_s), now_s=now_s)

    run(scenario)


def test_without_a_certificate_there_is_no_second_factor(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        code, *_ = await refusal(identities.EnrollSecondFactor(pb.EnrollSecondFactorRequest()))
        assert code == grpc.StatusCode.FAILED_PRECONDITION
        with calling("server"), pytest.raises(PreconditionError):
            await enroll(parts)

    run(scenario)


def test_a_locked_second_factor_is_unlocked_by_restoring_its_identity(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        with calling(ANNA):
            codes = await enroll(parts)
        now_s = int(time.time())
        for _ in range(WRONG_CODES_MAX):
            with pytest.raises(SecondFactorError):
                await check_code(parts.pool, ANNA, codes.at(now_s + 3_600), now_s=now_s)
        with pytest.raises(SecondFactorError, match="locked"):
            await check_code(parts.pool, ANNA, codes.at(now_s), now_s=now_s)
        answer = await identities.RestoreIdentity(restore(ANNA))
        assert answer.outcome == UPDATED
        assert answer.identity.has_second_factor
        await check_code(parts.pool, ANNA, codes.at(now_s), now_s=now_s)
        assert ("unlock", "second factor", ANNA) in await audited(parts)

    run(scenario)


def test_who_am_i_says_what_the_caller_may_do(run: Any) -> None:
    async def scenario(parts: Control, identities: Any) -> None:
        asked = pb.WhoAmIRequest()
        loopback = await identities.WhoAmI(asked)
        assert (loopback.uri, loopback.every_account) == ("insecure-loopback", True)
        with calling(
            TRADER,
            rights_pb2.ROLE_TRADER,
            accounts=frozenset({"a"}),
            providers=frozenset({"p"}),
            not_after_ns=1_800_000_000_000_000_000,
        ):
            trader = await service(parts).WhoAmI(asked, _Context())
        assert (trader.uri, trader.role) == (TRADER, rights_pb2.ROLE_TRADER)
        assert (list(trader.accounts), list(trader.providers)) == (["a"], ["p"])
        assert not trader.every_account
        assert trader.not_after.seconds == 1_800_000_000
        assert "/riskgate.v1.IdentityService/WhoAmI" in trader.methods
        assert set(trader.methods) < set(loopback.methods)
        assert not any(name.endswith("/PutIdentity") for name in trader.methods)
        assert not any("DecisionService" in name for name in loopback.methods)

    run(scenario)
