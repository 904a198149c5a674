"""An exclusive lock on a file; the kernel frees it when its holder dies, however that happens."""

import fcntl
import os
from pathlib import Path


class FileLock:
    """A non-blocking exclusive flock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    @property
    def held(self) -> bool:
        """Whether we hold it."""
        return self._descriptor >= 0

    def acquire(self) -> bool:
        """Take the lock; return False at once when somebody else has it.

        Raises:
            OSError: The file cannot be opened.
        """
        if self.held:
            return True
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Free the lock; the file stays, since removing it would race with the next holder."""
        if self.held:
            os.close(self._descriptor)
            self._descriptor = -1
