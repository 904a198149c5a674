"""Values that are stored encrypted: AES-256-GCM under a key that PostgreSQL never sees.

A sealed value is bound to its place (table, row, column): moved anywhere else it cannot be opened.
It names its key, so that a new key can be put first while old values are still read. The file
`keys/data.keys` (0600) holds one key per line, the newest first: 64 hex digits and the Unix second
in which it was made. A ring reads it again whenever it has changed, so processes that run need no
restart.
"""

import json
import os
import secrets
import time
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.security.new_file import write_new_file
from server.trust_errors import KeyRingError, SealedValueError

DATA_KEYS_FILE: Final = "data.keys"
KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
# What the record takes for one, sealed.
SEALED_BYTES_MAX: Final = 8 << 20

_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = len(_FORMAT) + KEY_ID_BYTES + _NONCE_BYTES
SEALED_BYTES_ADDED: Final = _HEAD_BYTES + _TAG_BYTES
_FILE_BYTES_MAX: Final = 65_536
_OTHERS: Final = 0o077


class Place(NamedTuple):
    """Where a value belongs: table, primary key of the row, column."""

    table: str
    key: tuple[str, ...]
    column: str


class DataKey(NamedTuple):
    """One key of the ring; `made_at_s` in Unix seconds."""

    secret: bytes
    made_at_s: int

    @property
    def key_id(self) -> bytes:
        """Return the id that stands with each value: it tells nothing about the key."""
        return sha256(b"riskgate data key" + self.secret).digest()[:KEY_ID_BYTES]

    def __repr__(self) -> str:
        return f"DataKey({self.key_id.hex()})"


class KeyRing:
    """The keys of one data directory; of one thread or task at a time.

    Args:
        path: Of the key file.

    Raises (every method):
        KeyRingError: The file is missing, open to others, or not well formed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = (0, 0, 0)
        self._keys: dict[bytes, DataKey] = {}
        self.list_keys()

    @classmethod
    def load(cls, keys_dir: Path) -> Self:
        """Read the keys of a data directory."""
        return cls(keys_dir / DATA_KEYS_FILE)

    @classmethod
    def ensure(cls, keys_dir: Path) -> Self:
        """Make a first key unless there is one, and read it."""
        path = keys_dir / DATA_KEYS_FILE
        if not path.exists():
            keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new_file(path, _format([_new_key()]), mode=0o600)
        return cls(path)

    def list_keys(self) -> tuple[DataKey, ...]:
        """Return every key, the newest first."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._keys = _parse(self._path)
                self._seen = seen
        except OSError as error:
            raise KeyRingError(
                f"the key file {self._path} cannot be read: {error.strerror}"
            ) from error
        return tuple(self._keys.values())

    def seal(self, place: Place, value: bytes) -> bytes:
        """Encrypt a value for one place with the newest key.

        Raises:
            SealedValueError: It is longer than 8 MiB less what sealing adds.
        """
        if len(value) > SEALED_BYTES_MAX - SEALED_BYTES_ADDED:
            raise SealedValueError(_name(place), "is too long")
        key = self.list_keys()[0]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = AESGCM(key.secret).encrypt(nonce, value, _associated(key.key_id, place))
        return _FORMAT + key.key_id + nonce + box

    def open(self, place: Place, sealed: bytes) -> bytes:
        """Return the value that was sealed for this place.

        Raises:
            SealedValueError: It was changed, belongs to another place, or its key is gone.
        """
        if len(sealed) < SEALED_BYTES_ADDED or not sealed.startswith(_FORMAT):
            raise SealedValueError(_name(place), "is no sealed value")
        self.list_keys()
        key = self._keys.get(read_key_id(sealed))
        if key is None:
            raise SealedValueError(_name(place), "is sealed with an unknown key")
        nonce = sealed[len(_FORMAT) + KEY_ID_BYTES : _HEAD_BYTES]
        try:
            associated = _associated(key.key_id, place)
            return AESGCM(key.secret).decrypt(nonce, sealed[_HEAD_BYTES:], associated)
        except InvalidTag as error:
            raise SealedValueError(
                _name(place), "was changed, or sealed for another place"
            ) from error

    def add_key(self) -> DataKey:
        """Put a new key first; everything is sealed with it from now on."""
        key = _new_key()
        self._replace([key, *self.list_keys()])
        return key

    def forget(self, key_ids: Collection[bytes]) -> None:
        """Remove keys; what is still sealed with them cannot be opened any more."""
        kept = [key for key in self.list_keys() if key.key_id not in key_ids]
        if not kept:
            raise KeyRingError("the last key is never removed")
        self._replace(kept)

    def _replace(self, keys: list[DataKey]) -> None:
        aside = self._path.with_name(f".{self._path.name}.next")
        aside.unlink(missing_ok=True)
        write_new_file(aside, _format(keys), mode=0o600)
        aside.rename(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # A key that is lost with the power would take its values along.
            os.fsync(folder)
        finally:
            os.close(folder)
        self.list_keys()


def read_key_id(sealed: bytes) -> bytes:
    """Return which key a sealed value names."""
    return sealed[len(_FORMAT) : len(_FORMAT) + KEY_ID_BYTES]


def _associated(key_id: bytes, place: Place) -> bytes:
    # A JSON list: no two places read the same.
    return b"riskgate sealed 1 " + key_id + json.dumps(place, ensure_ascii=True).encode()


def _name(place: Place) -> str:
    return f"{place.column} of {place.table}"


def _new_key() -> DataKey:
    return DataKey(secrets.token_bytes(KEY_BYTES), int(time.time()))


def _format(keys: list[DataKey]) -> bytes:
    return "".join(f"{key.secret.hex()} {key.made_at_s}\n" for key in keys).encode("ascii")


def _parse(path: Path) -> dict[bytes, DataKey]:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise KeyRingError(f"{path} must be readable by its owner only: chmod 600")
        lines = file.read(_FILE_BYTES_MAX).decode("ascii", "replace").splitlines()
    keys: dict[bytes, DataKey] = {}
    for line in lines:
        try:
            secret, made_at_s = line.split(" ")
            key = DataKey(bytes.fromhex(secret), int(made_at_s))
        except ValueError:
            key = DataKey(b"", 0)
        if len(key.secret) != KEY_BYTES or key.key_id in keys:
            # Never the line itself, and no cause that quotes it.
            raise KeyRingError(f"{path}, line {len(keys) + 1}: not a key, or one that is repeated")
        keys[key.key_id] = key
    if not keys:
        raise KeyRingError(f"{path} holds no key")
    return keys
