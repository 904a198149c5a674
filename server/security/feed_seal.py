"""What control has written into Redis, and nobody else: HMAC-SHA-256, the key never goes there.

A MAC and not a signature, because an engine loads a million entities when it starts: 2 µs each
instead of 100. The key file holds one key per line, the newest first; a reader accepts all of them,
so that a new key can be given to the readers before it is used.
"""

import hmac
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from server.errors import ConfigurationError
from server.security.new_file import write_new_file

FEED_KEY_FILE: Final = "feed.key"
CHANGE: Final = "change"
EPOCH: Final = "epoch"
JOURNAL: Final = "journal"
REPLICA: Final = "replica"

KEY_BYTES: Final = 32
_KEYID_BYTES: Final = 8
TAG_BYTES: Final = _KEYID_BYTES + 32
# StateChange.authenticator as protobuf writes it: field 15, length-delimited, 40 bytes.
_FIELD: Final = bytes([15 << 3 | 2, TAG_BYTES])
_KEY_BYTES_MAX: Final = 65_536


class FeedSealError(ValueError):
    """What stands in Redis was not written by control; the text says how that shows."""


class FeedSeal:
    """Seals and opens what goes through Redis.

    Args:
        keys: Of 32 bytes each, the one that seals first.

    Raises:
        ValueError: No key, or one of another size.
    """

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"keys of {KEY_BYTES} bytes are needed")
        self._keys = {sha256(key).digest()[:_KEYID_BYTES]: key for key in keys}
        self._keyid = next(iter(self._keys))

    @classmethod
    def load(cls, keys_dir: Path) -> Self:
        """Read the keys of a data directory.

        Raises:
            ConfigurationError: There is none, or the file is not well formed.
        """
        path = keys_dir / FEED_KEY_FILE
        try:
            with path.open("rb") as file:
                lines = file.read(_KEY_BYTES_MAX).decode("ascii").split()
            return cls(*map(bytes.fromhex, lines))
        except OSError as error:
            raise ConfigurationError(
                [f"{path}: the key of the state feed is missing; copy it from the control process"]
            ) from error
        except ValueError as error:
            raise ConfigurationError([f"{path}: not a file of keys, 64 hex digits each"]) from error

    @classmethod
    def ensure(cls, keys_dir: Path) -> Self:
        """Make a key (mode 0600) unless there is one, and read it."""
        path = keys_dir / FEED_KEY_FILE
        if not path.exists():
            keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new_file(path, f"{secrets.token_hex(KEY_BYTES)}\n".encode(), mode=0o600)
        return cls.load(keys_dir)

    @classmethod
    def share(cls, theirs: Path, ours: Path) -> Self:
        """Read the keys of our data directory, which gets those of another one if it has none.

        Raises:
            ConfigurationError: Neither has usable keys.
        """
        source, path = theirs / FEED_KEY_FILE, ours / FEED_KEY_FILE
        if not path.exists() and source.exists():
            ours.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new_file(path, source.read_bytes(), mode=0o600)
        return cls.load(ours)

    def tag(self, label: str, *parts: bytes) -> bytes:
        """Return key id and MAC (40 bytes) of some parts, which cannot be moved against each other.

        Args:
            label: What the parts are; a tag of one label is none of another.
            parts: What is vouched for.
        """
        return self._keyid + _mac(self._keys[self._keyid], label, parts)

    def check(self, tag: bytes, label: str, *parts: bytes) -> None:
        """Do nothing if the tag belongs to the parts.

        Raises:
            FeedSealError: It is missing, of another key, or of other parts.
        """
        if len(tag) != TAG_BYTES:
            raise FeedSealError("not signed")
        key = self._keys.get(tag[:_KEYID_BYTES])
        if key is None:
            raise FeedSealError("signed with a foreign key")
        if not hmac.compare_digest(_mac(key, label, parts), tag[_KEYID_BYTES:]):
            raise FeedSealError("its signature does not belong to it")

    def seal(self, change: bytes) -> bytes:
        """Return a serialised StateChange with its authenticator, which is its last field."""
        return change + _FIELD + self.tag(CHANGE, change)

    def open(self, sealed: bytes) -> None:
        """Do nothing if these are the very bytes that `seal` returned.

        Raises:
            FeedSealError: They are not.
        """
        cut = len(sealed) - TAG_BYTES
        if sealed[max(0, cut - len(_FIELD)) : max(0, cut)] != _FIELD:
            raise FeedSealError("not signed")
        self.check(sealed[cut:], CHANGE, sealed[: cut - len(_FIELD)])


def _mac(key: bytes, label: str, parts: tuple[bytes, ...]) -> bytes:
    lengths = ",".join(str(len(part)) for part in parts)
    head = f"riskgate {label} {lengths}\n".encode("ascii")
    return hmac.digest(key, head + b"".join(parts), "sha256")
