"""TLS of the control port: certificates are asked of every caller, and read anew when they change.

The oldest version is not for gRPC's interface to say: see `server/__init__.py` for the first lock
and `services/peer.py` for the second.
"""

import logging
import os
import time
from pathlib import Path
from typing import Final

import grpc

from server.errors import ConfigurationError
from server.settings import Settings

log = logging.getLogger(__name__)

_LOOK_INTERVAL_S: Final = 1.0
_NAMES: Final = ("tls_certificate", "tls_key", "tls_client_ca")

# Of each file: inode, size, modified in nanoseconds.
Fingerprint = tuple[tuple[int, int, int], ...]


class ControlTls:
    """The files that the control port serves from.

    Args:
        certificate: PEM of the server and its chain.
        key: Its private key.
        client_ca: PEM of who may sign the certificates of callers.

    Raises:
        ConfigurationError: A file cannot be read.
    """

    def __init__(self, certificate: Path, key: Path, client_ca: Path) -> None:
        self.reloads = 0
        self._paths = (certificate, key, client_ca)
        self._looked_at_s = time.monotonic()
        self._fingerprint = self._take_fingerprint()
        self._first = self._read()

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """What the port is opened with; each handshake then asks for changed files."""
        return grpc.dynamic_ssl_server_credentials(
            self._first,
            self.changed,  # type: ignore[arg-type] # None is an answer, whatever the stubs say
            require_client_authentication=True,
        )

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return what new connections use from now on; None: what the last ones used.

        Files that cannot be read leave everything as it is.
        """
        now_s = time.monotonic()
        if now_s - self._looked_at_s < _LOOK_INTERVAL_S:
            return None
        self._looked_at_s = now_s
        try:
            found = self._take_fingerprint()
            if found == self._fingerprint:
                return None
            fresh = self._read()
        except ConfigurationError as error:
            log.error("the control port goes on with the certificate it had: %s", error)  # noqa: TRY400 - the reason is in the text
            return None
        self._fingerprint = found
        self.reloads += 1
        log.info("the control port serves new connections from the changed files")
        return fresh

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = map(_read_file, _NAMES, self._paths)
        return grpc.ssl_server_certificate_configuration(
            [(key, certificate)], root_certificates=client_ca
        )

    def _take_fingerprint(self) -> Fingerprint:
        found = map(_look_at_file, _NAMES, self._paths)
        return tuple((file.st_ino, file.st_size, file.st_mtime_ns) for file in found)


def find_control_tls(settings: Settings) -> ControlTls | None:
    """Return the TLS of the control port; None: plaintext, as `insecure_loopback` allows.

    Raises:
        ConfigurationError: There is neither a certificate nor `insecure_loopback`.
    """
    if settings.insecure_loopback:
        return None
    certificate, key, client_ca = (getattr(settings, name) for name in _NAMES)
    if certificate is None or key is None or client_ca is None:
        missing = [name for name in _NAMES if getattr(settings, name) is None]
        raise ConfigurationError(
            [f"{name}: is needed, or insecure_loopback on loopback" for name in missing]
        )
    return ControlTls(certificate, key, client_ca)


def _look_at_file(name: str, path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigurationError([f"{name}: {error}"]) from error


def _read_file(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{name}: {error}"]) from error
