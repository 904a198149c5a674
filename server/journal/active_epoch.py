"""The epoch that may answer, as one number in a file that all processes of a journal map.

Whoever takes over raises it there; the lane of the engine before sees that before its next answer,
however long it was stopped, without asking anybody.
"""

import mmap
import os
from pathlib import Path
from typing import Final

import numpy as np

from server.journal.segments import sync_folder

ACTIVE_EPOCH_FILE: Final = "active-epoch"


class ActiveEpoch:
    """The number of one journal's folder, mapped until `close`.

    Args:
        folder: Of the journal; must exist.

    Attributes:
        address: Where the number is mapped.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / ACTIVE_EPOCH_FILE
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        if os.fstat(self._fd).st_size < mmap.PAGESIZE:
            os.ftruncate(self._fd, mmap.PAGESIZE)
            sync_folder(folder)
        self._memory = mmap.mmap(self._fd, mmap.PAGESIZE)
        self._word = np.frombuffer(self._memory, np.int64, 1)
        self.address = int(self._word.ctypes.data)

    @property
    def value(self) -> int:
        """The epoch that may answer; 0: none was ever named."""
        return int(self._word[0])

    def raise_to(self, epoch: int) -> None:
        """Let only this epoch and later ones answer; it is on disk when this returns."""
        if epoch > self.value:
            self._word[0] = epoch
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Give the mapping back; `address` must not be used any more."""
        del self._word
        self._memory.close()
        os.close(self._fd)
