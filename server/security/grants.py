"""Who may do what on the decision port: identities and certificates as records that a lane reads.

Role and group come from the certificate, everything else from the identity's entry in the record. A
trader without an entry may use no account. Records are never moved or freed; a SCOPE that was
replaced is kept for longer than a lane may stand still.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from riskgate.v1 import identity_pb2, rights_pb2
from server.errors import UnavailableError
from server.hotpath.lane import structs
from server.hotpath.layout import ID_WORDS, words
from server.hotpath.wire.grant_record import (
    D_CERTIFICATE_REVOKED,
    D_IDENTITY_REVOKED,
    D_NO_CERTIFICATE,
    D_NONE,
    DENIAL_NAMES,
    DENIALS,
    GRANT,
    HOLDER,
    METHODS_MAX,
    SCOPE,
)
from server.hotpath.wire.grants import publish_scope_nb
from server.security.identity_name import IdentityName, parse_identity
from server.security.revoked_certificates import RevokedCertificates
from server.security.rights import RIGHTS

log = logging.getLogger(__name__)

CALLS_PER_SECOND_DEFAULT: Final = 10_000
_BURST_SECONDS_DEFAULT: Final = 2
# Longer than the watchdog of a lane lets it stand still (`lane_stall_ms`).
_RETIRED_NS: Final = 120_000_000_000
_SECOND_NS: Final = 1_000_000_000
_SERVICE: Final = "/riskgate.v1.DecisionService"
_HEALTH: Final = "/grpc.health.v1.Health"
# Path of each method by its number in the lane.
METHOD_PATHS: Final = {
    structs.METHOD_DECIDE: f"{_SERVICE}/Decide",
    structs.METHOD_DECIDE_BATCH: f"{_SERVICE}/DecideBatch",
    structs.METHOD_DECIDE_STREAM: f"{_SERVICE}/DecideStream",
    structs.METHOD_REPORT_EXECUTION: f"{_SERVICE}/ReportExecution",
    structs.METHOD_SYNC_ACCOUNT: f"{_SERVICE}/SyncAccount",
    structs.METHOD_WATCH_DIRECTIVES: f"{_SERVICE}/WatchDirectives",
    structs.METHOD_ACK_DIRECTIVE: f"{_SERVICE}/AckDirective",
    structs.METHOD_HEALTH_CHECK: f"{_HEALTH}/Check",
    structs.METHOD_HEALTH_WATCH: f"{_HEALTH}/Watch",
    structs.METHOD_KILL: "/riskgate.v1.KillService/Kill",
}
_EVERY_METHOD: Final = sum(1 << method for method in METHOD_PATHS)
_ACTIVE: Final = frozenset(
    {identity_pb2.IDENTITY_STATUS_UNSPECIFIED, identity_pb2.IDENTITY_STATUS_ACTIVE}
)

Record = np.ndarray[Any, np.dtype[Any]]


class DenialCount(NamedTuple):
    """Calls or connections that were denied alike.

    Attributes:
        identity: SAN URI; empty: nothing is known about the caller.
        method: Path of the method; empty: the connection was refused.
        reason: One of DENIAL_NAMES, or a finding of the judge of certificates.
        count: How many, ≥ 1.
    """

    identity: str
    method: str
    reason: str
    count: int  # type: ignore[assignment] # not the method of a tuple


class _Scope(NamedTuple):
    """A SCOPE and the lists that it points to."""

    record: Record
    accounts: Record
    providers: Record


class _Holder:
    """One identity: its HOLDER, the scope in force, and what of its denials was told."""

    def __init__(self, identity: str, scope: _Scope) -> None:
        self.identity = identity
        self.scope = scope
        self.record: Record = np.zeros(1, HOLDER)
        self.record["identity"][0] = words(identity)
        self.record["identity_bytes"] = len(identity)
        self.record["scope"] = scope.record.ctypes.data
        self._told = np.zeros(METHODS_MAX * DENIALS, np.int64)

    def replace_scope(self, scope: _Scope) -> _Scope:
        """Let another scope count from now on; returns the one before."""
        replaced, self.scope = self.scope, scope
        publish_scope_nb(self.record.ctypes.data, scope.record.ctypes.data)
        return replaced

    def take_denials(self) -> Iterable[DenialCount]:
        """Return what was denied since the last call."""
        counts = self.record["denials"][0].copy()
        fresh, self._told = counts - self._told, counts
        for place in np.flatnonzero(fresh).tolist():
            method, denial = divmod(place, DENIALS)
            path = METHOD_PATHS.get(method, "")
            yield DenialCount(self.identity, path, DENIAL_NAMES[denial], int(fresh[place]))


class _Certificate(NamedTuple):
    record: Record  # GRANT[1]
    serial: int


class Grants:
    """Makes and keeps the records. Any thread.

    Args:
        trust_domain: That identities are of.
        revoked: The authority's list; None: nothing is revoked.
        read_clock_ns: Monotonic nanoseconds.

    Attributes:
        totals: What `denials` has told so far, by reason.
    """

    def __init__(
        self,
        trust_domain: str,
        revoked: RevokedCertificates | None = None,
        *,
        read_clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.trust_domain = trust_domain
        self.totals: Counter[str] = Counter()
        self._revoked = revoked
        self._read_clock_ns = read_clock_ns
        self._lock = threading.Lock()
        self._entries: dict[str, identity_pb2.Identity] = {}
        self._holders: dict[str, _Holder] = {}
        self._certificates: dict[tuple[str, int, int], _Certificate] = {}
        self._retired: list[tuple[int, _Scope]] = []
        self._refused: Counter[tuple[str, str]] = Counter()
        self._open = _Holder("", _build_scope(methods=_EVERY_METHOD))
        self._open_grant = _build_grant(self._open, 0)

    @property
    def open_address(self) -> int:
        """Address of the GRANT with every right, for callers that nothing is known about."""
        return int(self._open_grant.ctypes.data)

    def put(self, identity: identity_pb2.Identity) -> None:
        """Take in an entry of the record; it counts for the next call of each live connection.

        One whose URI is none of ours is logged and left out: no certificate can name it.
        """
        try:
            name = parse_identity(identity.uri, self.trust_domain)
        except ValueError as error:
            log.warning("an identity is left out: %s", error)
            return
        with self._lock:
            if self._entries.get(identity.uri) == identity:
                return
            self._rebuild(name, identity)
            # Last: an entry that cannot be used is not taken for one that counts already.
            self._entries[identity.uri] = identity

    def put_rows(self, uri: str, rows: bytes) -> None:
        """Take in the rows of a CHANGE_KIND_IDENTITY; without any the entry is dropped."""
        if rows:
            self.put(identity_pb2.Identity.FromString(rows))
        else:
            self.forget(uri)

    def forget(self, uri: str) -> None:
        """Drop the entry of an identity: it is as if there had never been one."""
        with self._lock:
            if self._entries.pop(uri, None) is not None:
                self._rebuild(parse_identity(uri, self.trust_domain), None)

    def row_for(self, uri: str, not_after_ns: int, certificate_serial: int) -> int:
        """Return the address of the GRANT of one certificate, the same for each of its connections.

        Args:
            uri: Its SAN URI.
            not_after_ns: Its last moment, Unix nanoseconds.
            certificate_serial: Number that the authority's list would name.

        Raises:
            ValueError: The URI is none of this trust domain.
        """
        name = parse_identity(uri, self.trust_domain)
        with self._lock:
            key = (uri, not_after_ns, certificate_serial)
            if key not in self._certificates:
                holder = self._holders.get(uri)
                if holder is None:
                    holder = _Holder(uri, _scope_of(name, self._entries.get(uri)))
                    self._holders[uri] = holder
                grant = _build_grant(holder, not_after_ns)
                self._certificates[key] = _Certificate(grant, certificate_serial)
            found = self._certificates[key]
            self._judge_again(found)
            return int(found.record.ctypes.data)

    def is_barred(self, certificate_serial: int) -> bool:
        """Tell whether a certificate is on the authority's list, or the list cannot be used."""
        with self._lock:
            return self._find_bar(certificate_serial) != D_NONE

    def look_at_crl(self) -> None:
        """Let the authority's list count as it is now, for live connections too."""
        with self._lock:
            for certificate in self._certificates.values():
                self._judge_again(certificate)

    def note_refused(self, identity: str, reason: str) -> None:
        """Count a connection that was refused for its certificate."""
        with self._lock:
            self._refused[identity, reason] += 1

    def denials(self) -> list[DenialCount]:
        """Return what was denied since the last call."""
        with self._lock:
            found = [
                DenialCount(identity, "", reason, count)
                for (identity, reason), count in self._refused.items()
            ]
            self._refused.clear()
            for holder in (self._open, *self._holders.values()):
                found.extend(holder.take_denials())
            for denial in found:
                self.totals[denial.reason] += denial.count
            return found

    def _judge_again(self, certificate: _Certificate) -> None:
        certificate.record["bar"] = self._find_bar(certificate.serial)

    def _find_bar(self, serial: int) -> int:
        try:
            is_revoked = self._revoked is not None and self._revoked.holds(serial)
        except UnavailableError:
            return D_NO_CERTIFICATE
        return D_CERTIFICATE_REVOKED if is_revoked else D_NONE

    def _rebuild(self, name: IdentityName, entry: identity_pb2.Identity | None) -> None:
        now_ns = self._read_clock_ns()
        self._retired = [item for item in self._retired if now_ns - item[0] < _RETIRED_NS]
        holder = self._holders.get(name.uri)
        if holder is not None:
            self._retired.append((now_ns, holder.replace_scope(_scope_of(name, entry))))


def _build_grant(holder: _Holder, not_after_ns: int) -> Record:
    grant = np.zeros(1, GRANT)
    grant["not_after_ns"] = not_after_ns
    grant["holder"] = holder.record.ctypes.data
    return grant


def _scope_of(name: IdentityName, entry: identity_pb2.Identity | None) -> _Scope:
    """Return what an identity may do; without an entry a trader may use no account."""
    known = entry or identity_pb2.Identity()
    rate = known.calls_per_second or CALLS_PER_SECOND_DEFAULT
    is_trader = name.role == rights_pb2.ROLE_TRADER
    return _build_scope(
        methods=_methods_of(name),
        is_revoked=known.status not in _ACTIVE,
        accounts=known.accounts if is_trader and not known.every_account else None,
        providers=known.providers or None,
        calls_per_second=rate,
        burst=known.burst or rate * _BURST_SECONDS_DEFAULT,
    )


def _methods_of(name: IdentityName) -> int:
    mask = 0
    for method, path in METHOD_PATHS.items():
        right = RIGHTS.get(path)
        if right is None:
            mask |= 1 << method  # health, which everybody who may connect may ask
        elif name.role in right.roles and (not right.groups or name.groups & {*right.groups}):
            mask |= 1 << method
    return mask


def _build_scope(
    *,
    methods: int,
    is_revoked: bool = False,
    accounts: Iterable[str] | None = None,
    providers: Iterable[str] | None = None,
    calls_per_second: int = 0,
    burst: int = 0,
) -> _Scope:
    """Make a SCOPE; no list: every one, no rate: without limit."""
    scope = _Scope(np.zeros(1, SCOPE), _to_ids(accounts or ()), _to_ids(providers or ()))
    interval_ns = _SECOND_NS // calls_per_second if calls_per_second else 0
    values = {
        "bar": D_IDENTITY_REVOKED if is_revoked else D_NONE,
        "methods": methods,
        "interval_ns": interval_ns,
        "burst_ns": interval_ns * burst,
        "every_account": accounts is None,
        "accounts": scope.accounts.ctypes.data,
        "account_count": len(scope.accounts),
        "every_provider": providers is None,
        "providers": scope.providers.ctypes.data,
        "provider_count": len(scope.providers),
    }
    for column, value in values.items():
        scope.record[column] = value
    return scope


def _to_ids(names: Iterable[str]) -> Record:
    """Return ids in the order in which the lane searches them: word by word, as signed numbers."""
    packed = sorted(tuple(words(name).tolist()) for name in names)
    return np.array(packed, np.int64).reshape(-1, ID_WORDS)
