"""Whether a call of the grpcio decision port may be made: the same records and kernels as the lane.

A certificate is judged once and remembered by its bytes; its grant is looked at for each call.
"""

import logging
import time
from typing import Any, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.hotpath.wire.grant_record import (
    D_CERTIFICATE_EXPIRED,
    D_CERTIFICATE_REVOKED,
    D_IDENTITY_REVOKED,
    D_METHOD,
    D_NO_CERTIFICATE,
    D_NONE,
    D_RATE,
    DENIAL_NAMES,
)
from server.hotpath.wire.grants import count_call_denial_nb, find_denial_nb, take_call_nb
from server.security.grants import Grants
from server.security.peer_certificate import PeerRefusedError, judge
from server.services.refusal import TOO_MANY_CALLS, Refusal
from server.trust_errors import (
    CertificateRevokedError,
    IdentityRevokedError,
    MethodDeniedError,
    UnauthenticatedError,
)

log = logging.getLogger(__name__)

NO_GRANT: Final = 0
_TLS_VERSION: Final = b"TLSv1.3"
_CERTIFICATES_MAX: Final = 4_096
_MILLISECOND_NS: Final = 1_000_000
_UNAUTHENTICATED: Final = grpc.StatusCode.UNAUTHENTICATED
_DENIED: Final = grpc.StatusCode.PERMISSION_DENIED
# Why a call is denied, by D_*.
DENIED_AS: Final = {
    D_NO_CERTIFICATE: Refusal(_UNAUTHENTICATED, "", UnauthenticatedError.public_text),
    D_CERTIFICATE_EXPIRED: Refusal(_UNAUTHENTICATED, "", "the client certificate has expired"),
    D_CERTIFICATE_REVOKED: Refusal(_UNAUTHENTICATED, "", CertificateRevokedError.public_text),
    D_IDENTITY_REVOKED: Refusal(_DENIED, "", IdentityRevokedError.public_text),
    D_METHOD: Refusal(_DENIED, "", MethodDeniedError.public_text),
    D_RATE: TOO_MANY_CALLS,
}


class CallAccess:
    """Finds the grants of callers and asks them.

    Args:
        grants: Of the port.
        is_open: The port speaks plaintext, and whoever reaches it has every right.
    """

    def __init__(self, grants: Grants, *, is_open: bool) -> None:
        self._grants = grants
        self._is_open = is_open
        self._known: dict[bytes, int] = {}

    def find_grant(self, context: Any) -> int:
        """Return the address of a caller's GRANT; NO_GRANT: it has none."""
        if self._is_open:
            return self._grants.open_address
        facts = context.auth_context()
        pems = list(facts.get("x509_pem_cert", ()))
        # The second lock, should the one in server/__init__.py not have taken hold.
        if list(facts.get("ssl_tls_version", ())) != [_TLS_VERSION] or len(pems) != 1:
            self._grants.note_refused("", DENIAL_NAMES[D_NO_CERTIFICATE])
            return NO_GRANT
        grant = self._known.get(pems[0])
        if grant is None:
            grant = self._judge(pems[0])
            if grant != NO_GRANT:
                if len(self._known) >= _CERTIFICATES_MAX:
                    self._known.clear()
                self._known[pems[0]] = grant
        return grant

    def find_refusal(self, grant: int, method: int, *, calls: int = 1) -> Refusal | None:
        """Return why a call may not be made; None: it may, and is taken out of the bucket.

        Args:
            grant: As `find_grant` returned it.
            method: METHOD_* of the lane.
            calls: 0: for the opening of a stream, whose messages are calls.
        """
        denial = find_denial_nb(grant, method, time.time_ns())
        wait_ns = 0
        if denial == D_NONE and calls:
            wait_ns = take_call_nb(grant, time.monotonic_ns())
            denial = D_RATE if wait_ns > 0 else D_NONE
        if denial == D_NONE:
            return None
        count_call_denial_nb(grant, method, denial)
        return DENIED_AS[denial]._replace(pushback_ms=-(-wait_ns // _MILLISECOND_NS))

    def _judge(self, pem: bytes) -> int:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            peer = judge(certificate.public_bytes(Encoding.DER), time.time_ns())
            return self._grants.row_for(peer.uri, peer.not_after_ns, peer.serial)
        except PeerRefusedError as error:
            reason = error.finding.name.lower()
        except ValueError as error:
            reason = "unusable_identity"
            log.warning("a client's certificate is refused: %s", error)
        self._grants.note_refused("", reason)
        return NO_GRANT
