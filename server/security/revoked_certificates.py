"""The authority's list of revoked certificates, looked at while connections live.

A certificate is named by its serial number. The list must be signed by the authority, and not be
older than the one in force; one that is refused, or cannot be read, leaves the last good one in
force, and before there is a good one nobody is let in.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from server.errors import UnavailableError

log = logging.getLogger(__name__)

LOOK_INTERVAL_NS: Final = 250_000_000

# Inode, size, modified in nanoseconds.
Fingerprint = tuple[int, int, int] | None


class RevokedCertificates:
    """Tells revoked certificates by their serial numbers.

    Args:
        path: PEM list; None: there is none, and nothing is revoked.
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
        # Of the list that was judged last; None: it is to be judged.
        self._fingerprint: Fingerprint = None
        self._made_at = datetime.min.replace(tzinfo=UTC)
        self._said = ""
        self._serials: frozenset[int] | None = frozenset() if path is None else None

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
        try:
            found = _take_fingerprint(self._path)
            if found != self._fingerprint:
                self._judge(self._path)
                self._fingerprint = found
                self._said = ""
        except OSError as error:
            # It may be readable the next time, though the file has not changed.
            self._fingerprint = None
            self._say(error)

    def _judge(self, path: Path) -> None:
        try:
            made_at, serials = _read(path, self._authority)
            if made_at < self._made_at:
                raise ValueError(f"it is of {made_at}, older than the one in force")
        except (ValueError, UnsupportedAlgorithm) as error:
            self._say(error)
        else:
            self._made_at, self._serials = made_at, serials

    def _say(self, error: Exception) -> None:
        if self._said != str(error):
            self._said = str(error)
            log.error("the list of revoked certificates cannot be used: %s", error)


def _read(path: Path, authority: Path | None) -> tuple[datetime, frozenset[int]]:
    crl = x509.load_pem_x509_crl(path.read_bytes())
    if authority is None:
        raise ValueError("tls_client_ca is not set, whose list it would be")
    signers = x509.load_pem_x509_certificates(authority.read_bytes())
    keys = [signer.public_key() for signer in signers if signer.subject == crl.issuer]
    if not any(crl.is_signature_valid(key) for key in keys):  # type: ignore[arg-type]
        raise ValueError("no authority of tls_client_ca has signed it")
    return crl.last_update_utc, frozenset(entry.serial_number for entry in crl)


def _take_fingerprint(path: Path) -> Fingerprint:
    file = path.stat()
    return file.st_ino, file.st_size, file.st_mtime_ns
