"""How often the engine of a data directory has started: the epoch of its answers.

Together with the sequence number the epoch makes a decision id unique for ever, so it must never
repeat: the file is replaced as a whole and synced before the new number is used.
"""

import os
from pathlib import Path
from typing import Final

from server.errors import ConfigurationError
from server.shards import WHOLE, Shard

EPOCH_FILE: Final = "epoch"
_EPOCH_MAX: Final = 2**62


def take_epoch(data_dir: Path, shard: Shard = WHOLE, *, above: int = 0) -> int:
    """Count one more start of this engine and return its number, 1 for the first.

    Args:
        data_dir: Of the stack.
        shard: Which engine.
        above: The number is larger than this one, whatever the file says.

    Raises:
        ConfigurationError: The file holds no number, or cannot be replaced.
    """
    path = shard.folder(data_dir, EPOCH_FILE)
    epoch = max(read_epoch(data_dir, shard), above) + 1
    try:
        _replace(path, f"{epoch}\n")
    except OSError as error:
        raise ConfigurationError([f"data_dir: {path}: {error.strerror}"]) from error
    return epoch


def read_epoch(data_dir: Path, shard: Shard = WHOLE) -> int:
    """Return the number of the newest start of this engine; 0: none.

    Raises:
        ConfigurationError: The file holds no number.
    """
    path = shard.folder(data_dir, EPOCH_FILE)
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return 0
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"data_dir: {path} cannot be read"]) from error
    if not text.isdecimal() or int(text) >= _EPOCH_MAX:
        raise ConfigurationError([f"data_dir: {path} holds no epoch"])
    return int(text)


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(aside, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
