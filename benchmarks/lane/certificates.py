"""Certificates for the measurements over TLS, as a stack makes them for itself."""

from pathlib import Path
from typing import Final

from server.security.pki import Pki

AUTHORITY: Final = "ca.crt"
SERVER: Final = "server.crt"
SERVER_KEY: Final = "server.key"
CLIENT: Final = "operator.crt"
CLIENT_KEY: Final = "operator.key"
CLIENT_URI: Final = "spiffe://riskgate/trader/benchmark"


def write_certificates(folder: Path) -> None:
    """Write authority, server and client certificates with their keys."""
    Pki(folder).ensure([], CLIENT_URI)
