"""A disk that can lose its power: ext4 in an image file, of which a copy is what had arrived."""

import ctypes
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from server.journal.segments import list_segments
from tests.faults.mounts import run

DISK_BYTES: Final = 1 << 30
# Of a small image that only tells whether it works here.
_TRIAL_BYTES: Final = 1 << 23
_PAGE_BYTES: Final = 4_096
_WRITE_AND_WAIT: Final = 7  # SYNC_FILE_RANGE_*
_FIXED: Final = 1  # what e2fsck returns when it has mended something
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Disk:
    """An image file, and where it is mounted."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.image = image
        self.folder = folder

    def mount(self) -> None:
        """Let the folder show what is on it."""
        self.folder.mkdir()
        run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Take it away."""
        run("umount", str(self.folder))
        self.folder.rmdir()

    def copy(self, image: Path) -> None:
        """Copy what the disk holds at this moment, which is not what the file system knows."""
        run("cp", "--sparse=always", str(self.image), str(image))


@contextmanager
def new_disk(folder: Path, size_bytes: int = DISK_BYTES) -> Iterator[Disk]:
    """Make a disk with an empty file system, mounted for a while.

    Args:
        folder: For the image and the mount; best in memory.
        size_bytes: Of the disk.
    """
    disk = Disk(folder / "disk.image", folder / "disk")
    with disk.image.open("wb") as file:
        file.truncate(size_bytes)
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(disk.image))
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


@contextmanager
def after_power_cut(disk: Disk) -> Iterator[Path]:
    """Show the disk as it would be found if the power went now, repaired as at any boot."""
    copy = Disk(disk.image.with_name("cut.image"), disk.folder.with_name("cut"))
    disk.copy(copy.image)
    run("e2fsck", "-fy", str(copy.image), status_max=_FIXED)
    copy.mount()
    try:
        yield copy.folder
    finally:
        copy.unmount()
        copy.image.unlink()


def write_some_pages(journal: Path, dice: random.Random) -> None:
    """Bring some pages of the newest segment to the disk, in any order, as a kernel may."""
    path = list_segments(journal)[-1].path
    fd = os.open(path, os.O_RDWR)
    try:
        pages = os.fstat(fd).st_size // _PAGE_BYTES
        for page in dice.sample(range(pages), pages // 2):
            where = (ctypes.c_int64(page * _PAGE_BYTES), ctypes.c_int64(_PAGE_BYTES))
            assert _LIBC.sync_file_range(fd, *where, _WRITE_AND_WAIT) == 0
    finally:
        os.close(fd)
    # The file system notes that they were written when something else is synced.
    other = os.open(journal.parent / "other", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.write(other, b"x")
        os.fsync(other)
    finally:
        os.close(other)


@cache
def _has_loop_devices() -> bool:
    if shutil.which("mkfs.ext4") is None or shutil.which("e2fsck") is None:
        return False
    with TemporaryDirectory() as folder:
        try:
            with new_disk(Path(folder), _TRIAL_BYTES):
                return True
        except AssertionError:
            return False


def skip_without_loop_devices() -> None:
    """Skip the test, saying why, where no image can be mounted."""
    if not _has_loop_devices():
        pytest.skip("loop devices or mounting are refused here: this fault was not provoked")
