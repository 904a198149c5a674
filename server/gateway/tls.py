"""TLS of the gateway: version 1.3, a certificate asked of every client, files read when changed."""

import logging
import ssl
from pathlib import Path
from typing import Final

from server.errors import ConfigurationError
from server.security.control_tls import ControlTls, find_control_tls
from server.settings import Settings

log = logging.getLogger(__name__)

_PROTOCOLS: Final = ("http/1.1",)


class GatewayTls:
    """The context that handshakes use, built anew when one of the control port's files changes.

    Args:
        settings: Name the files.
        files: Tells when one has changed.

    Raises:
        ConfigurationError: A file cannot be used.
    """

    def __init__(self, settings: Settings, files: ControlTls) -> None:
        self._settings = settings
        self._files = files
        self._newest = self.context = _build(settings)
        self.context.sni_callback = self._choose

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: object) -> None:
        """Give a new connection the newest context; called at the start of each handshake."""
        if self._files.changed() is not None:
            try:
                self._newest = _build(self._settings)
            except ConfigurationError as error:
                log.error("HTTP goes on with the certificate it had: %s", error)  # noqa: TRY400 - the reason is in the text
        connection.context = self._newest


def find_gateway_tls(settings: Settings) -> GatewayTls | None:
    """Return the TLS of the gateway; None: plaintext, as `insecure_loopback` allows.

    Raises:
        ConfigurationError: There is nothing to serve with.
    """
    files = find_control_tls(settings)
    return None if files is None else GatewayTls(settings, files)


def _build(settings: Settings) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # No resumption: every connection shows its certificate anew.
    context.num_tickets = 0
    context.set_alpn_protocols(_PROTOCOLS)
    certificate, key = settings.tls_certificate, settings.tls_key
    try:
        # Without a password libssl would ask at the terminal.
        context.load_cert_chain(_path(certificate), _path(key), password=bytes)
        context.load_verify_locations(_path(settings.tls_client_ca))
    except (OSError, ValueError) as error:
        raise ConfigurationError([f"tls_certificate, tls_key, tls_client_ca: {error}"]) from error
    return context


def _path(path: Path | None) -> Path:
    if path is None:
        raise ValueError("not set")
    return path
