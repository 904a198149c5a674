"""Files that are written once: whole or not at all, and never over another."""

import os
from pathlib import Path


def write_new_file(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file unless there is one of that name.

    Written aside and linked into place: a crash leaves no half file, and of two that start together
    the first wins and neither overwrites.

    Args:
        path: Its folder exists.
        content: Of the file.
        mode: Of the file, before the umask.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink(missing_ok=True)
