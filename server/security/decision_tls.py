"""TLS of the decision port: the current OpenSSL context, and a new one when a file has changed.

The address of the current context stands in a cell that the lane reads whenever it accepts a
connection. A context that was replaced serves its connections to their end, since each of them
holds a reference; ours is dropped once the lane has begun two more turns, because it reads the cell
and makes the connection within one. Files that cannot be used leave the context as it is.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from server.errors import ConfigurationError
from server.security.openssl_context import TlsFiles, build_context, free_context
from server.settings import Settings

log = logging.getLogger(__name__)

POLL_INTERVAL_S: Final = 1.0
_GRACE_TURNS: Final = 2

Cell = np.ndarray[Any, np.dtype[np.int64]]
# Of one file: device, inode, size, modified and changed in nanoseconds; None: it is not there.
Fingerprint = tuple[tuple[int, ...] | None, ...]


def find_tls_files(settings: Settings) -> TlsFiles | None:
    """Return the files that the settings name; None: the port speaks plaintext."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        return None
    return TlsFiles(certificate, key, settings.tls_client_ca)


class DecisionTls:
    """Publishes the context that new connections use.

    Args:
        files: What to serve from.
        cell: int64[1]; holds the context's address from here on.
        read_turns: Returns how many turns the lane has begun so far.

    Raises:
        ConfigurationError: A file cannot be used; names the setting and it.
    """

    def __init__(self, files: TlsFiles, cell: Cell, read_turns: Callable[[], int]) -> None:
        self.reloads = 0
        self.refusals = 0
        self._files = files
        self._cell = cell
        self._read_turns = read_turns
        # Taken before the files are read: what changes meanwhile is seen at the next look.
        self._fingerprint = _fingerprint(files)
        self._retired: list[tuple[int, int]] = []  # address, turns when it was replaced
        self._lock = threading.Lock()
        self._stop_asked = threading.Event()
        self._thread: threading.Thread | None = None
        cell[0] = build_context(files)

    @property
    def context(self) -> int:
        """Address of the current context."""
        return int(self._cell[0])

    @property
    def wants_certificates(self) -> bool:
        """Whether clients must show a certificate."""
        return self._files.client_ca is not None

    @property
    def retired(self) -> int:
        """Replaced contexts that are not freed yet."""
        return len(self._retired)

    def reload(self) -> bool:
        """Build a new context when a file has changed; return whether it is in use now.

        Safe from any thread. A refused file is logged and counted, and tried again when it changes.
        """
        with self._lock:
            self._free_retired()
            found = _fingerprint(self._files)
            if found == self._fingerprint:
                return False
            self._fingerprint = found
            try:
                context = build_context(self._files)
            except ConfigurationError as error:
                self.refusals += 1
                log.error("TLS goes on with the files it had: %s", "; ".join(error.problems))  # noqa: TRY400 - the reason is in the text
                return False
            replaced = self.context
            self._cell[0] = context
            self._retired.append((replaced, self._read_turns()))
            self.reloads += 1
            log.info("TLS serves new connections from the changed files")
            return True

    def start(self) -> None:
        """Look at the files every second, in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="tls files", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop_asked.set()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Free every context; only when the lane has ended."""
        with self._lock:
            for context, _ in self._retired:
                free_context(context)
            self._retired.clear()
            if self.context:
                free_context(self.context)
                self._cell[0] = 0

    def _watch(self) -> None:
        while not self._stop_asked.wait(POLL_INTERVAL_S):
            try:
                self.reload()
            except Exception:
                log.exception("TLS files could not be looked at")

    def _free_retired(self) -> None:
        turns = self._read_turns()
        kept = [entry for entry in self._retired if turns < entry[1] + _GRACE_TURNS]
        for entry in self._retired:
            if entry not in kept:
                free_context(entry[0])
        self._retired = kept


def _fingerprint(files: TlsFiles) -> Fingerprint:
    found: list[tuple[int, ...] | None] = []
    for path in (files.certificate, files.key, files.client_ca):
        try:
            status = path.stat() if path is not None else None
        except OSError:
            status = None
        found.append(
            status
            and (
                status.st_dev,
                status.st_ino,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
        )
    return tuple(found)
