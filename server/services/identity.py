"""IdentityService: who may call beyond what certificates say, and one-time codes."""

import time
from typing import Any, Final

from riskgate.v1 import decision_pb2, identity_pb2_grpc, rights_pb2
from riskgate.v1 import identity_pb2 as pb
from server.changes import identity_message
from server.entities import IdentityEntry
from server.errors import NotFoundError, PreconditionError
from server.forms import fields
from server.forms.identity import read_identity, read_identity_uri
from server.record.admin_change import Note, admin_change
from server.record.identities import (
    KIND,
    IdentityRepository,
    put_identity,
    set_identity_status,
)
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import connection
from server.record.sealed_fields import ring_of
from server.record.second_factor import SecondFactorRepository, check_code
from server.security.caller import Caller, current_call
from server.security.one_time_codes import format_otpauth, make_secret
from server.security.rights import RIGHTS
from server.services.access_checks import read_code
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts, outcome_word
from server.trust_errors import SecondFactorError

_DECISION_SERVICES: Final = tuple(
    f"/{service.full_name}/" for service in decision_pb2.DESCRIPTOR.services_by_name.values()
)


class IdentityService(identity_pb2_grpc.IdentityServiceServicer):
    """Identity entries and second factors; see protos/riskgate/v1/identity.proto."""

    def __init__(self, parts: Parts, trust_domain: str) -> None:
        self._parts = parts
        self._trust_domain = trust_domain
        self._identities = IdentityRepository()
        self._factors = SecondFactorRepository()

    async def PutIdentity(
        self, request: pb.PutIdentityRequest, context: Any
    ) -> pb.PutIdentityResponse:
        """Create or replace an entry; its status stays."""
        message = fields.require(request, "identity")
        uri = read_identity_uri(message.uri, self._trust_domain, path="identity.uri")
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            old = await self._identities.find(change.database, uri)
            entry = read_identity(message, old, self._trust_domain)
            outcome = CREATED if old is None else UPDATED
            if old == entry:
                outcome = UNCHANGED
            else:
                entry = await put_identity(change, old, entry, outcome_word(outcome))
        self._parts.publisher.wake()
        return pb.PutIdentityResponse(
            identity=identity_message(entry), outcome=outcome, state_version=change.version
        )

    async def GetIdentity(
        self, request: pb.GetIdentityRequest, context: Any
    ) -> pb.GetIdentityResponse:
        """Return one entry."""
        uri = fields.identifier(request.uri, "uri")
        async with connection(self._parts.pool) as database:
            entry = await self._identities.find(database, uri)
        if entry is None:
            raise NotFoundError(KIND, uri)
        return pb.GetIdentityResponse(identity=identity_message(entry))

    async def ListIdentities(
        self, request: pb.ListIdentitiesRequest, context: Any
    ) -> pb.ListIdentitiesResponse:
        """Return a page of entries."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        async with connection(self._parts.pool) as database:
            found = await self._identities.page(database, after=after, limit=limit)
        return pb.ListIdentitiesResponse(
            identities=map(identity_message, found),
            next_page_token=encode_token([found[-1].uri]) if len(found) == limit else "",
        )

    async def RevokeIdentity(
        self, request: pb.RevokeIdentityRequest, context: Any
    ) -> pb.RevokeIdentityResponse:
        """Revoke or freeze an identity, known or not."""
        uri = read_identity_uri(request.uri, self._trust_domain)
        status: Any = "frozen" if request.freeze else "revoked"
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            old, entry = await set_identity_status(change, uri, status)
        self._parts.publisher.wake()
        return pb.RevokeIdentityResponse(
            identity=identity_message(entry),
            outcome=_outcome(old, entry),
            state_version=change.version,
        )

    async def RestoreIdentity(
        self, request: pb.RestoreIdentityRequest, context: Any
    ) -> pb.RestoreIdentityResponse:
        """Give an identity its rights back, and unlock its second factor."""
        uri = read_identity_uri(request.uri, self._trust_domain)
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            unlocked = await self._factors.unlock(change.database, uri)
            if unlocked:
                await change.audit("unlock", "second factor", uri)
            if await self._identities.find(change.database, uri) is not None:
                old, entry = await set_identity_status(change, uri, "active")
                outcome = UPDATED if unlocked else _outcome(old, entry)
            elif unlocked:
                entry, outcome = IdentityEntry(uri=uri, has_second_factor=True), UPDATED
            else:
                raise NotFoundError(KIND, uri)
        self._parts.publisher.wake()
        return pb.RestoreIdentityResponse(
            identity=identity_message(entry), outcome=outcome, state_version=change.version
        )

    async def EnrollSecondFactor(
        self, request: pb.EnrollSecondFactorRequest, context: Any
    ) -> pb.EnrollSecondFactorResponse:
        """Make a secret for the caller; it is in this answer and sealed in the record, no more."""
        caller = current_call().caller
        if caller.is_insecure or not caller.uri.startswith("spiffe://"):
            raise PreconditionError("only who has a certificate has a second factor")
        pool = self._parts.pool
        async with connection(pool) as database:
            had_one = await self._factors.is_enrolled(database, caller.uri)
        if had_one:
            await check_code(pool, caller.uri, read_code(context), now_s=time.time())
        secret = make_secret()
        async with admin_change(pool, Note()) as change:
            # Between the look and the lock another call of the same identity may have enrolled.
            if not had_one and await self._factors.is_enrolled(change.database, caller.uri):
                raise SecondFactorError(detail="one was enrolled meanwhile")
            await self._factors.enroll(change.database, ring_of(pool), caller.uri, secret)
            await change.audit("enroll", "second factor", caller.uri)
        return pb.EnrollSecondFactorResponse(otpauth_uri=format_otpauth(secret, caller.uri))

    async def WhoAmI(self, request: pb.WhoAmIRequest, context: Any) -> pb.WhoAmIResponse:
        """Say what is known about the caller."""
        caller = current_call().caller
        answer = pb.WhoAmIResponse(
            uri=caller.uri,
            role=caller.role,
            groups=sorted(caller.groups),
            every_account=caller.accounts is None,
            accounts=sorted(caller.accounts or ()),
            providers=sorted(caller.providers or ()),
            methods=sorted(
                path for path, right in RIGHTS.items() if _may_call(caller, path, right)
            ),
        )
        if caller.not_after_ns:
            answer.not_after.FromNanoseconds(caller.not_after_ns)
        return answer


def _may_call(caller: Caller, path: str, right: rights_pb2.Right) -> bool:
    if path.startswith(_DECISION_SERVICES):
        return False
    if caller.is_insecure:
        return True
    has_group = not right.groups or bool(caller.groups & set(right.groups))
    return caller.role in right.roles and has_group


def _outcome(old: IdentityEntry | None, new: IdentityEntry) -> Any:
    if old is None:
        return CREATED
    return UNCHANGED if old == new else UPDATED
