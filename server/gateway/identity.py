"""Who sends a request: what gRPC's context says of its connection, said of an HTTP connection.

The judge is `services/peer.py` for both. libssl has verified the chain at the handshake here too.
"""

import ssl
from asyncio import BaseTransport
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from server.services.access_checks import OTP_KEY

OTP_HEADER: Final = "X-OTP"
# Where a connection's facts stand in the state of each of its requests.
FACTS: Final = "connection"


class TlsFacts(NamedTuple):
    """What a handshake has brought.

    Attributes:
        version: Such as TLSv1.3.
        certificate_pem: The client's own certificate.
    """

    version: str
    certificate_pem: bytes


def read_facts(transport: BaseTransport) -> TlsFacts | None:
    """Return what is known of a connection; None: plaintext."""
    secured: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if secured is None:
        return None
    der = secured.getpeercert(binary_form=True)
    pem = ssl.DER_cert_to_PEM_cert(der).encode() if der else b""
    return TlsFacts(secured.version() or "", pem)


class RequestContext:
    """Answers what `AccessChecks` asks of a call."""

    def __init__(self, request: Request) -> None:
        self._facts: TlsFacts | None = request.scope["state"].get(FACTS)
        self._client = request.client
        self._code = request.headers.get(OTP_HEADER, "")

    def peer(self) -> str:
        """Return the network address in gRPC's form."""
        if self._client is None:
            return ""
        host, port = self._client
        return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return the version of TLS and the certificate under gRPC's names."""
        if self._facts is None:
            return {}
        pems = [self._facts.certificate_pem] if self._facts.certificate_pem else []
        return {"ssl_tls_version": [self._facts.version.encode()], "x509_pem_cert": pems}

    def invocation_metadata(self) -> Any:
        """Return the one-time code under its name in gRPC's metadata."""
        return ((OTP_KEY, self._code),)
