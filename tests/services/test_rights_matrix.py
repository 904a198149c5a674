"""Every method of the control port, called by everybody: who gets in is what the contract says.

What is expected is worked out here from the options in the protos and from the request alone; none
of the code that decides takes part.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from cryptography import x509
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from riskgate.v1 import (
    admin_pb2,
    breaker_pb2,
    breaker_pb2_grpc,
    identity_pb2,
    reference_pb2,
    rights_pb2,
    types_pb2,
)
from riskgate.v1 import reference_pb2_grpc as reference_grpc
from server.control import SERVICE_NAMES
from server.errors import BrokenInvariantError
from server.security.rights import CONTRACT, RIGHTS, read_rights
from tests.certificates import Authority, Issued
from tests.control_harness import refusal
from tests.trusted_control import TrustedControl, play_trusted

DECISIONS: Final = "riskgate.v1.DecisionService"
DRAWDOWN: Final = types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN
BLOCK: Final = types_pb2.BREAKER_ACTION_BLOCK
OWN, OTHER = "own-account", "other-account"
WHY: Final = admin_pb2.ChangeNote(reason="to see who may")
WHO_AM_I: Final = "/riskgate.v1.IdentityService/WhoAmI"
PERMITTED: Final = ("", "")
DENIED, UNKNOWN = "PERMISSION_DENIED", "UNAUTHENTICATED"
# What is no answer to a caller who is let in.
NEVER: Final = ("UNAVAILABLE", "INTERNAL", "UNKNOWN", "UNIMPLEMENTED", "DEADLINE_EXCEEDED")

METHODS: Final[dict[str, MethodDescriptor]] = {
    f"/{service.full_name}/{method.name}": method
    for file in CONTRACT
    for service in file.services_by_name.values()
    for method in service.methods
    if service.full_name != DECISIONS
}


@dataclass(frozen=True)
class Column:
    """A kind of caller: what its certificate names, and what is wrong with it."""

    role: str
    group: str = ""
    flaw: str = ""
    ends: timedelta = timedelta(days=1)

    @property
    def name(self) -> str:
        return "-".join(filter(None, (self.role, self.group, self.flaw)))

    @property
    def uri(self) -> str:
        parts = ("spiffe://riskgate", self.role, self.group, self.flaw or "ann")
        return "/".join(filter(None, parts))


COLUMNS: Final = (
    Column("admin"),
    Column("risk_analyst"),
    Column("trader"),
    Column("auditor"),
    Column("risk_analyst", "risk_senior"),
    Column("admin", "technology"),
    Column("", flaw="roleless"),
    Column("admin", flaw="revoked"),
    Column("admin", flaw="expired", ends=timedelta(hours=1)),
    Column("admin", flaw="frozen"),
)


def right_of(method: MethodDescriptor) -> rights_pb2.Right:
    option: Any = rights_pb2.right
    right: rights_pb2.Right = method.GetOptions().Extensions[option]
    return right


def expected(method: MethodDescriptor, column: Column, whose: str, request: Message) -> Any:
    """Return the code and the fixed words of the refusal that is due, or PERMITTED."""
    right = right_of(method)
    roles = {rights_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in right.roles}
    groups = {rights_pb2.Group.Name(group).removeprefix("GROUP_").lower() for group in right.groups}
    if column.flaw == "frozen":
        return DENIED, "this identity is frozen or revoked"
    if column.flaw == "revoked":
        return UNKNOWN, "this certificate is revoked"
    if column.flaw:
        return UNKNOWN, "no acceptable client certificate"
    if column.role not in roles:
        return DENIED, "this role may not call this method"
    if groups and column.group not in groups:
        return DENIED, "no group of this identity may call this method"
    if column.role == "trader" and whose == OTHER and any(_places(request)):
        return DENIED, "this identity may not use this account or provider"
    # Who has a second factor, as after the first of both calls, needs it to get another.
    if right.second_factor or (method.name == "EnrollSecondFactor" and whose == OTHER):
        return DENIED, "a valid one-time code is required"
    return PERMITTED


def build_request(method: MethodDescriptor, account_id: str, breaker_id: str) -> Message:
    """Return a request about an account, justified; a change is never one that could be made."""
    message_class: Any = GetMessageClass(method.input_type)
    request: Message = message_class()
    if "note" in method.input_type.fields_by_name:
        request.note.CopyFrom(WHY)  # type: ignore[attr-defined]
    for message, name in _places(request):
        is_breaker = name == "breaker_id"
        named = "999999" if right_of(method).mutates else breaker_id
        setattr(message, name, named if is_breaker else account_id)
    return request


def _places(request: Message) -> Iterator[tuple[Message, str]]:
    """Yield message and name of each field that names an account or a breaker of one."""
    fields = request.DESCRIPTOR.fields_by_name
    # A breaker that is found by its id needs no account.
    for name in ("breaker_id",) if "breaker_id" in fields else ("account_id",):
        if name in fields:
            yield request, name
    for field in request.DESCRIPTOR.fields:
        if field.message_type and not field.is_repeated and field.name != "note":
            inner = field.message_type.fields_by_name
            if "account_id" in inner:
                yield getattr(request, field.name), "account_id"


async def ask(channel: grpc.aio.Channel, path: str, request: Message) -> tuple[str, str]:
    """Return code and words of a refusal for who it is that calls, PERMITTED for all else."""
    raw = request.SerializeToString()
    call: Any
    if METHODS[path].client_streaming:
        call = channel.stream_unary(path)(iter([raw]))  # type: ignore[call-arg]
    else:
        call = channel.unary_unary(path)(raw)  # type: ignore[call-arg]
    try:
        await call
    except grpc.aio.AioRpcError as error:
        if error.code().name in {DENIED, UNKNOWN, *NEVER}:
            return error.code().name, (error.details() or "").partition(":")[0]
    return PERMITTED


def issue(authority: Authority, column: Column) -> Issued:
    names = [x509.UniformResourceIdentifier(column.uri)]
    return authority.issue(names=names, ends=column.ends)


async def prepare(parts: TrustedControl) -> dict[str, str]:
    """Make two accounts with a breaker each; return the ids of the breakers by account."""
    channel = parts.channel("spiffe://riskgate/admin/prepares")
    reference = reference_grpc.ReferenceServiceStub(channel)
    breakers = breaker_pb2_grpc.BreakerServiceStub(channel)
    found = {}
    for account_id in (OWN, OTHER):
        account = reference_pb2.Account(account_id=account_id, currency="USD", equity=1_000)
        await reference.PutAccount(reference_pb2.PutAccountRequest(account=account))
        breaker = breaker_pb2.CircuitBreaker(
            name="drawdown", account_id=account_id, condition=DRAWDOWN, action=BLOCK
        )
        breaker.parameters.threshold = 0.1
        request = breaker_pb2.CreateBreakerRequest(breaker=breaker, note=WHY)
        found[account_id] = (await breakers.CreateBreaker(request)).breaker.breaker_id
    return found


def test_every_cell_of_the_rights_matrix_is_as_the_contract_says(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        breaker_ids = await prepare(parts)
        issued = {column: issue(parts.authority, column) for column in COLUMNS}
        parts.revoke(*(issued[column] for column in COLUMNS if column.flaw == "revoked"))
        for column in COLUMNS:
            if column.role == "trader":
                await parts.put_identity(column.uri, accounts=(OWN,))
            if column.flaw == "frozen":
                await parts.put_identity(column.uri, status="frozen")
        channels = {column: parts.channel(each) for column, each in issued.items()}
        # The list of revoked certificates is looked at four times a second.
        (revoked,) = (channels[column] for column in COLUMNS if column.flaw == "revoked")
        async with asyncio.timeout(10):
            while await ask(revoked, WHO_AM_I, identity_pb2.WhoAmIRequest()) == PERMITTED:
                pass
        parts.ahead = timedelta(hours=2)
        wrong = {}
        cells = 0

        async def play_column(column: Column) -> None:
            nonlocal cells
            for (path, method), whose in product(METHODS.items(), (OWN, OTHER)):
                request = build_request(method, whose, breaker_ids[whose])
                due = expected(method, column, whose, request)
                found = await ask(channels[column], path, request)
                cells += 1
                if found != due:
                    wrong[path, column.name, whose] = (found, due)

        await asyncio.gather(*map(play_column, COLUMNS))
        assert wrong == {}
        assert cells == len(METHODS) * len(COLUMNS) * 2

    play_trusted(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_every_change_that_must_be_justified_is_refused_without_a_reason(
    database_url: str, redis_url: str, tmp_path: Path, reason: str
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        channels = {
            group: parts.channel(f"spiffe://riskgate/admin/{group}ann")
            for group in ("", "technology/", "risk_senior/")
        }
        asked = 0
        for path, method in METHODS.items():
            if not right_of(method).justification:
                continue
            request = build_request(method, OWN, "1")
            request.note.reason = reason  # type: ignore[attr-defined]
            groups = [rights_pb2.Group.Name(group) for group in right_of(method).groups]
            channel = channels[f"{groups[0].removeprefix('GROUP_').lower()}/" if groups else ""]
            raw = request.SerializeToString()
            answer = channel.unary_unary(path)(raw)  # type: ignore[call-arg]
            due = grpc.StatusCode.INVALID_ARGUMENT, "a reason is required: note.reason"
            assert await refusal(answer) == (*due, "note.reason"), path
            asked += 1
        assert asked >= 15
        assert set(await parts.audited("outcome")) == {("denied",)}

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_all_services_that_are_served_are_in_the_matrix() -> None:
    services = {path.split("/")[1] for path in METHODS}
    assert services == set(SERVICE_NAMES) - {""}
    assert set(METHODS) == {path for path in RIGHTS if not path.startswith(f"/{DECISIONS}/")}


def test_a_method_without_a_right_cannot_be_served() -> None:
    file = FileDescriptorProto(name="bare.proto", package="bare", syntax="proto3")
    file.message_type.add(name="Empty")
    service = file.service.add(name="Bare")
    service.method.add(name="Open", input_type=".bare.Empty", output_type=".bare.Empty")
    pool = DescriptorPool()
    pool.Add(file)
    with pytest.raises(BrokenInvariantError, match=r"/bare\.Bare/Open declares no right"):
        read_rights([pool.FindFileByName("bare.proto")])


@pytest.mark.parametrize("path", METHODS)
def test_what_a_right_points_at_is_in_the_request(path: str) -> None:
    method, right = METHODS[path], right_of(METHODS[path])
    fields = method.input_type.fields_by_name
    if right.justification:
        assert fields["note"].message_type is admin_pb2.ChangeNote.DESCRIPTOR
        assert right.mutates
    if right.account_field:
        assert right.account_field in fields
    if method.client_streaming:
        # A code can be used once, and a stream has many messages.
        assert not right.second_factor
        assert not right.justification
