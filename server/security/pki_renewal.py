"""The certificates of a stack: made before it starts, and renewed once an hour while it runs."""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from server.addresses import UNIX_PREFIX, split_address
from server.embedded.place import prepare_data_dir
from server.errors import ConfigurationError, RiskgateError
from server.security.pki import Pki
from server.settings import PKI_FOLDER, Settings, uses_development_pki

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 3_600.0
# As in riskgate/credentials.py, which loads gRPC.
_CLIENT_VARIABLES: Final = ("RISKGATE_CERTIFICATE", "RISKGATE_KEY", "RISKGATE_CA")


def ensure_pki(settings: Settings, hosts: Sequence[str] = ()) -> Pki:
    """Make the development authority of the data directory and what it vouches for, or renew it.

    Args:
        settings: Complete settings; where the ports listen is what callers dial.
        hosts: More names and addresses that callers dial.

    Raises:
        ConfigurationError: The data directory or a file in it cannot be used.
    """
    prepare_data_dir(settings.data_dir)
    pki = Pki(settings.data_dir / PKI_FOLDER)
    found = [*hosts, socket.gethostname(), *_listening_hosts(settings)]
    if pki.ensure(found, operator_uri(settings.trust_domain)):
        log.info("certificates were made in %s", pki.folder)
    return pki


def operator_uri(trust_domain: str) -> str:
    """Return who commands of the data directory's owner are."""
    # Written out: what knows about roles loads gRPC, which the supervisor must not.
    return f"spiffe://{trust_domain}/admin/operator"


def prepare_certificates(settings: Settings) -> bool:
    """See to it that the ports and whoever asks them have certificates.

    Returns:
        Whether they are ours to renew.

    Raises:
        ConfigurationError: As `ensure_pki`; or the files are the operator's own, and none is named
            by which this machine may ask the ports how they are.
    """
    if uses_development_pki(settings):
        ensure_pki(settings)
        return True
    if not all(os.environ.get(name) for name in _CLIENT_VARIABLES):
        names = ", ".join(_CLIENT_VARIABLES)
        raise ConfigurationError(
            [f"tls_client_ca: set {names} too: a client certificate to ask the ports' health with"]
        )
    return False


class PkiRenewal:
    """A thread that renews in time.

    Args:
        settings: As for `ensure_pki`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop_asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pki", daemon=True)

    def start(self) -> None:
        """Look once an hour from now on; the ports notice changed files by themselves."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop_asked.wait(_INTERVAL_S):
            try:
                ensure_pki(self._settings)
            except RiskgateError as error:
                log.error("certificates could not be renewed: %s", error)  # noqa: TRY400 - it says why


def _listening_hosts(settings: Settings) -> list[str]:
    addresses = (settings.decision_listen, settings.control_listen, settings.http_listen)
    hosts = [
        split_address(each)[0] for each in addresses if each and not each.startswith(UNIX_PREFIX)
    ]
    if settings.http_names:
        hosts += settings.http_names.split(",")
    return [host for host in hosts if not _is_unspecified(host)]


def _is_unspecified(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
