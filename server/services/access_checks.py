"""Whether a call may go on: asked before each call of the control port, in this order.

 1. TLS 1.3, and a certificate that we accept (`peer.py`)
 2. the identity's entry on record: neither frozen nor revoked
 3. the certificate is not on the authority's list of revoked ones
 4. role and group have the right that the contract declares for the method
 5. the identity has calls left, in its window and at once
 6. the account that the request names is one of its own
 7. the change is justified
 8. the one-time code is right, which uses it up: asked last

Each refusal has a class of its own. What this cannot see in a request, such as whose breaker an id
stands for, the services ask of `current_call()`.

Plaintext, which `insecure_loopback` allows, says nothing about a caller: there, the contract and
the justification are all that is asked for.
"""

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from riskgate.v1 import rights_pb2 as pb
from server.entities import IdentityEntry
from server.errors import UnavailableError
from server.record.pool import Pool
from server.record.second_factor import check_code
from server.security.caller import INSECURE_LOOPBACK, Call, Caller, set_current_call
from server.security.rate_limits import RateLimits
from server.security.rights import RIGHTS
from server.services.identity_cache import IdentityCache
from server.services.peer import Peer, PeerReader, read_address
from server.trust_errors import (
    GroupDeniedError,
    IdentityRevokedError,
    JustificationMissingError,
    MethodDeniedError,
    RateLimitedError,
)

# Where a one-time code comes in the metadata of a call.
OTP_KEY: Final = "riskgate-otp"
# Streams among them: nobody may take all the places that there are for everybody.
CALLS_AT_ONCE_MAX: Final = 64
_PLACE_WAIT_MS: Final = 1_000

_HEALTH: Final = health_pb2.DESCRIPTOR.services_by_name["Health"]
_REFLECTION: Final = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
# Health is for everybody with an accepted certificate, and must answer while the record is away,
# so it looks at no entry.
HEALTH_METHODS: Final = frozenset(f"/{_HEALTH.full_name}/{each.name}" for each in _HEALTH.methods)
# What others have written, whose protos declare no rights.
FOREIGN_RIGHTS: Final = {
    path: pb.Right(roles=[pb.ROLE_ADMIN, pb.ROLE_RISK_ANALYST, pb.ROLE_TRADER, pb.ROLE_AUDITOR])
    for path in HEALTH_METHODS
} | {
    f"/{_REFLECTION.full_name}/{each.name}": pb.Right(roles=[pb.ROLE_ADMIN])
    for each in _REFLECTION.methods
}
_NOBODY: Final = Caller(uri="", role=pb.ROLE_UNSPECIFIED, accounts=frozenset())


@dataclass(slots=True)
class Visit:
    """One call on its way through the checks, with what is known about it by then.

    Attributes:
        method: Its path.
        caller: Who calls, as far as that has been found out.
        peer: What its certificate says; None: not known, or plaintext.
        entry: Its entry on record; None: it has none.
        reason: Justification that the request gives.
        right: What the contract asks for; empty before that has been looked up.
        is_running: It has taken one of the places of its identity.
    """

    method: str
    caller: Caller = _NOBODY
    peer: Peer | None = None
    entry: IdentityEntry | None = None
    reason: str = ""
    right: pb.Right = field(default_factory=pb.Right)
    is_running: bool = False

    @property
    def call(self) -> Call:
        """What services and the audit log see of it."""
        return Call(self.caller, self.method)


class AccessChecks:
    """Asks all of it.

    Args:
        pool: Of the record.
        reader: Of certificates; None: plaintext, by `insecure_loopback`.
    """

    def __init__(self, pool: Pool, reader: PeerReader | None) -> None:
        self._pool = pool
        self._reader = reader
        self._identities = IdentityCache(pool)
        self._rates = RateLimits()
        self._rights = {**RIGHTS, **FOREIGN_RIGHTS}
        self._running: Counter[str] = Counter()

    def mutates(self, method: str) -> bool:
        """Tell whether a method changes something."""
        right = self._rights.get(method)
        return right is not None and right.mutates

    async def admit(self, visit: Visit, context: Any) -> None:
        """Ask what needs no request, and say whose call the present task works for.

        Raises:
            AccessError: The call is denied.
            UnavailableError: PostgreSQL is away, so nobody knows.
        """
        right = self._rights.get(visit.method)
        visit.right = right or visit.right
        if self._reader is None:
            visit.caller = Caller(
                INSECURE_LOOPBACK, pb.ROLE_ADMIN, address=read_address(context), is_insecure=True
            )
        else:
            await self._identify(visit, self._reader, context)
        if right is None:
            raise MethodDeniedError
        if not visit.caller.is_insecure:
            _require_right(visit)
            self._take(visit)
            self._enter(visit)
        set_current_call(visit.call)

    def leave(self, visit: Visit) -> None:
        """Say that a call has ended, admitted or not."""
        if visit.is_running:
            self._running[visit.caller.uri] -= 1
            self._running += Counter()  # forgets who has none

    async def require(self, visit: Visit, request: Any, context: Any) -> None:
        """Ask what the request must fulfil.

        Raises:
            AccessError: The call is denied.
            UnavailableError: PostgreSQL is away, so nobody knows.
        """
        right = visit.right
        if right.justification or right.mutates:
            visit.reason = read_path(request, "note.reason")
        if right.account_field and (account_id := read_path(request, right.account_field)):
            visit.caller.require_account(account_id)
        if right.justification and not visit.reason.strip():
            raise JustificationMissingError
        if right.second_factor and not visit.caller.is_insecure:
            code = read_code(context)
            await check_code(self._pool, visit.caller.uri, code, now_s=time.time())

    async def require_still(self, visit: Visit) -> None:
        """Ask again before a further message of a stream, which waits where a call is refused.

        While the record is away, what it last said stands: the connection ends soon enough.

        Raises:
            AccessError: The stream is denied by now.
        """
        if self._reader is None or visit.peer is None:
            return
        if visit.method not in HEALTH_METHODS:
            with contextlib.suppress(UnavailableError):
                visit.entry = await self._identities.find(visit.caller.uri)
            _require_active(visit.entry)
        self._reader.require_current(visit.peer)
        while wait_ms := self._wait_ms(visit):  # noqa: ASYNC110 - its turn comes by time alone
            await asyncio.sleep(wait_ms / 1_000)

    async def _identify(self, visit: Visit, reader: PeerReader, context: Any) -> None:
        address = read_address(context)
        visit.caller = Caller("", pb.ROLE_UNSPECIFIED, accounts=frozenset(), address=address)
        visit.peer = peer = reader.read(context)
        visit.caller = _caller(peer, None, address)
        if visit.method not in HEALTH_METHODS:
            visit.entry = await self._identities.find(peer.name.uri)
            visit.caller = _caller(peer, visit.entry, address)
            _require_active(visit.entry)
        reader.require_current(peer)

    def _enter(self, visit: Visit) -> None:
        if self._running[visit.caller.uri] >= CALLS_AT_ONCE_MAX:
            raise RateLimitedError(_PLACE_WAIT_MS)
        self._running[visit.caller.uri] += 1
        visit.is_running = True

    def _wait_ms(self, visit: Visit) -> int:
        try:
            self._take(visit)
        except RateLimitedError as error:
            return error.retry_after_ms
        return 0

    def _take(self, visit: Visit) -> None:
        entry = visit.entry
        limits = (entry.calls_per_second, entry.burst) if entry else (None, None)
        self._rates.take(visit.caller.uri, *limits)


def read_code(context: Any) -> str:
    """Return the one-time code in a call's metadata; empty: there is none."""
    return str(dict(context.invocation_metadata() or ()).get(OTP_KEY, ""))


def read_path(message: Any, path: str) -> str:
    """Return the text at a dotted path; empty where a message on the way does not have it."""
    for name in path.split("."):
        message = getattr(message, name, "")
    return str(message)


def _caller(peer: Peer, entry: IdentityEntry | None, address: str) -> Caller:
    accounts: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    if peer.name.role == pb.ROLE_TRADER:
        if not (entry and entry.every_account):
            accounts = frozenset(entry.accounts if entry else ())
        if entry and entry.providers:
            providers = frozenset(entry.providers)
    return Caller(
        uri=peer.name.uri,
        role=peer.name.role,
        groups=peer.name.groups,
        accounts=accounts,
        providers=providers,
        address=address,
        not_after_ns=peer.not_after_ns,
    )


def _require_active(entry: IdentityEntry | None) -> None:
    if entry is not None and not entry.is_active:
        raise IdentityRevokedError


def _require_right(visit: Visit) -> None:
    if visit.caller.role not in visit.right.roles:
        raise MethodDeniedError
    if visit.right.groups and not visit.caller.groups & set(visit.right.groups):
        raise GroupDeniedError
