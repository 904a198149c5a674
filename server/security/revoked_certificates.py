"""The authority's list of revoked certificates, looked at while connections live.

A certificate is named by its serial number. The list must be signed by the authority; one that is
not, or cannot be read, leaves the last good one in force, and before there is a good one nobody
is let in.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from server.errors import UnavailableError

log = logging.getLogger(__name__)

LOOK_INTERVAL_NS: Final = 250_000_000

# Inode, size, modified in nanoseconds; None: there is no such file.
Fingerprint = tuple[int, int, int] | None


class RevokedCertificates:
    """Tells revoked certificates by their serial numbers.

    Args:
        path: PEM list; None, or a file that was never there: nothing is revoked.
        authority: PEM of who signs the list.
        read_clock_ns: Monotonic nanoseconds.
    """

    def __init__(
        self,
        path: Path | None,
        authority: Path | None,
        *,
        read_clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._path = path
        self._authority = authority
        self._read_clock_ns = read_clock_ns
        self._look_after_ns = 0
        self._fingerprint: Fingerprint = None
        self._is_one_read = False
        self._serials: frozenset[int] | None = frozenset()

    def holds(self, serial: int) -> bool:
        """Tell whether a certificate is revoked, by a list that is at most 250 ms old.

        Raises:
            UnavailableError: There is a list, and none could be used so far.
        """
        now_ns = self._read_clock_ns()
        if now_ns >= self._look_after_ns:
            self._look_after_ns = now_ns + LOOK_INTERVAL_NS
            self._look()
        if self._serials is None:
            raise UnavailableError("list of revoked certificates")
        return serial in self._serials

    def _look(self) -> None:
        if self._path is None:
            return
        found = _take_fingerprint(self._path)
        if found == self._fingerprint:
            return
        self._fingerprint = found
        try:
            self._serials = _read(self._path, self._authority)
            self._is_one_read = True
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            log.error("the list of revoked certificates cannot be used: %s", error)  # noqa: TRY400 - the reason is in the text
            if not self._is_one_read:
                self._serials = None


def _read(path: Path, authority: Path | None) -> frozenset[int]:
    crl = x509.load_pem_x509_crl(path.read_bytes())
    if authority is None:
        raise ValueError("tls_client_ca is not set, whose list it would be")
    signers = x509.load_pem_x509_certificates(authority.read_bytes())
    keys = [signer.public_key() for signer in signers if signer.subject == crl.issuer]
    if not any(crl.is_signature_valid(key) for key in keys):  # type: ignore[arg-type]
        raise ValueError("no authority of tls_client_ca has signed it")
    return frozenset(entry.serial_number for entry in crl)


def _take_fingerprint(path: Path) -> Fingerprint:
    try:
        file = path.stat()
    except OSError:
        return None
    return file.st_ino, file.st_size, file.st_mtime_ns
