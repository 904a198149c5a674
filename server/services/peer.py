"""Who is at the other end of a connection to the control port, by its certificate alone.

gRPC has verified the chain, its dates and its purpose at the handshake. Asked again for each call:
connections outlive certificates.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.security.identity_name import IdentityName, parse_identity
from server.security.peer_certificate import PeerRefusedError, judge
from server.security.revoked_certificates import RevokedCertificates
from server.trust_errors import CertificateRevokedError, TlsVersionError, UnauthenticatedError

_TLS_VERSION: Final = b"TLSv1.3"


@dataclass(frozen=True, slots=True)
class Peer:
    """What a good certificate says.

    Attributes:
        name: Role, group and name.
        not_after_ns: End of the certificate, Unix nanoseconds.
        serial: Its number, which the authority's list of revoked ones names.
    """

    name: IdentityName
    not_after_ns: int
    serial: int


class PeerReader:
    """Reads and judges certificates.

    Args:
        trust_domain: That identities must be of.
        revoked: The authority's list.
        read_clock_ns: Unix nanoseconds.
    """

    def __init__(
        self,
        trust_domain: str,
        revoked: RevokedCertificates,
        *,
        read_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._trust_domain = trust_domain
        self._revoked = revoked
        self._read_clock_ns = read_clock_ns

    def read(self, context: Any) -> Peer:
        """Return who calls; its certificate may still be on the list, see `require_current`.

        Raises:
            TlsVersionError: The connection is older than TLS 1.3, or plaintext.
            UnauthenticatedError: The certificate is none that we accept.
        """
        facts = context.auth_context()
        # The second lock, should the one in server/__init__.py not have taken hold.
        if list(facts.get("ssl_tls_version", ())) != [_TLS_VERSION]:
            raise TlsVersionError
        pems = list(facts.get("x509_pem_cert", ()))
        if len(pems) != 1:
            raise UnauthenticatedError
        try:
            certificate = x509.load_pem_x509_certificate(pems[0])
            found = judge(certificate.public_bytes(Encoding.DER), self._read_clock_ns())
            name = parse_identity(found.uri, self._trust_domain)
        except PeerRefusedError as error:
            raise UnauthenticatedError(detail=str(error)) from error
        except ValueError as error:
            raise UnauthenticatedError(detail=str(error)) from error
        return Peer(name, found.not_after_ns, certificate.serial_number)

    def require_current(self, peer: Peer) -> None:
        """Do nothing for a certificate that has neither ended nor been revoked by now.

        Raises:
            CertificateRevokedError: It is on the list.
            UnauthenticatedError: It has expired.
            UnavailableError: There is a list, but it cannot be used.
        """
        if self._read_clock_ns() > peer.not_after_ns:
            raise UnauthenticatedError(detail="expired")
        if self._revoked.holds(peer.serial):
            raise CertificateRevokedError


def read_address(context: Any) -> str:
    """Return the network address of a caller without its port; empty: not over a network."""
    kind, _, place = str(context.peer()).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return unquote(place).rpartition(":")[0].strip("[]")
