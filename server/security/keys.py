"""Author keys and the trust set: who may sign a release.

A key id is the SHA-256 of the 32 raw public key bytes, so one key cannot appear under two names.
The trust set is read whole or refused whole. Development keys are made once per data directory and
never replaced.
"""

import json
import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.trust_errors import TrustSetInvalidError

AUTHOR_KEY_FILE = "author.pem"
AUTHOR_PUBLIC_KEY_FILE = "author.pub.pem"
TRUST_FILE = "trust.json"
CHECKPOINT_KEY_FILE = "checkpoint.pem"
CHECKPOINT_PUBLIC_KEY_FILE = "checkpoint.pub.pem"

TRUST_BYTES_MAX = 1 << 20

Role = Literal["author"]


class TrustedKey(BaseModel):
    """One public key that the trust set accepts for a role."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    name: str = Field(min_length=1, max_length=128)
    role: Role
    public_key_hex: str = Field(pattern=r"^[0-9a-f]{64}$")


class _TrustFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: int = Field(ge=1)
    keys: list[TrustedKey] = Field(min_length=1, max_length=64)


@dataclass(frozen=True, slots=True)
class TrustSet:
    """The accepted keys, by key id; built by `load_trust_set`."""

    version: int
    keys: dict[str, TrustedKey]


def compute_keyid(public_key: bytes) -> str:
    """Return the key id of a raw 32-byte Ed25519 public key."""
    return sha256(public_key).hexdigest()


def load_trust_set(path: Path) -> TrustSet:
    """Read and check a trust set.

    Raises:
        TrustSetInvalidError: Not readable, a field is missing or unknown, a key id does not belong
            to its key, or a public key or key id occurs twice.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(TRUST_BYTES_MAX + 1)
    except OSError as error:
        raise TrustSetInvalidError(f"cannot read the trust set: {error.strerror}") from error
    return parse_trust_set(raw)


def parse_trust_set(raw: bytes) -> TrustSet:
    """Check the bytes of a trust set; see `load_trust_set`.

    Raises:
        TrustSetInvalidError: As for `load_trust_set`.
    """
    if len(raw) > TRUST_BYTES_MAX:
        raise TrustSetInvalidError("the trust set is too large")
    try:
        # json.loads first: it can report a repeated field, which pydantic's own parser passes over.
        document = json.loads(raw, object_pairs_hook=_refuse_repeated)
        parsed = _TrustFile.model_validate(document)
    except (ValueError, RecursionError) as error:
        reasons = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise TrustSetInvalidError(f"the trust set is not well formed: {reasons}") from error
    keys: dict[str, TrustedKey] = {}
    for key in parsed.keys:
        if compute_keyid(bytes.fromhex(key.public_key_hex)) != key.keyid:
            raise TrustSetInvalidError(f"the key id of {key.name!r} does not belong to its key")
        # The key id is a function of the key, so this refuses a repeated public key too.
        if key.keyid in keys:
            raise TrustSetInvalidError(f"the key of {key.name!r} is listed twice")
        keys[key.keyid] = key
    return TrustSet(version=parsed.version, keys=keys)


def ensure_development_keys(keys_dir: Path) -> None:
    """Make an author key and a trust set that accepts it, unless they are there.

    What exists is kept: the public key and the trust set are derived again only when missing.

    Raises:
        TrustSetInvalidError: The existing private key is not an Ed25519 key.
    """
    private_key = _ensure_key_pair(keys_dir / AUTHOR_KEY_FILE, keys_dir / AUTHOR_PUBLIC_KEY_FILE)
    public_key = private_key.public_key()
    trust_path = keys_dir / TRUST_FILE
    if not trust_path.exists():
        raw = public_key.public_bytes_raw()
        key = TrustedKey(
            keyid=compute_keyid(raw),
            name="development author",
            role="author",
            public_key_hex=raw.hex(),
        )
        document = {"version": 1, "keys": [key.model_dump()]}
        _write_new(trust_path, json.dumps(document, indent=2).encode() + b"\n", mode=0o644)


def ensure_checkpoint_key(keys_dir: Path) -> Ed25519PrivateKey:
    """Return the key that signs checkpoints of the journal; make it unless it is there.

    It is not the author's: who may release a model must not be able to rewrite the journal.

    Raises:
        TrustSetInvalidError: One of its files is no Ed25519 key, or the two do not belong together.
    """
    public_path = keys_dir / CHECKPOINT_PUBLIC_KEY_FILE
    key = _ensure_key_pair(keys_dir / CHECKPOINT_KEY_FILE, public_path)
    if load_public_key(public_path) != key.public_key():
        raise TrustSetInvalidError(f"{public_path} does not belong to {CHECKPOINT_KEY_FILE}")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a public key (PEM).

    Raises:
        TrustSetInvalidError: It is missing, unreadable, or of another kind.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise TrustSetInvalidError(f"the public key {path} cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise TrustSetInvalidError(f"the public key {path} is not an Ed25519 key")
    return key


def _ensure_key_pair(private_path: Path, public_path: Path) -> Ed25519PrivateKey:
    private_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not private_path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        _write_new(private_path, pem, mode=0o600)
    private_key = _load_private_key(private_path)
    if not public_path.exists():
        public_pem = private_key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        _write_new(public_path, public_pem, mode=0o644)
    return private_key


def _load_private_key(path: Path) -> Ed25519PrivateKey:
    try:
        private_key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise TrustSetInvalidError(f"the {path.stem} key cannot be read") from error
    if not isinstance(private_key, Ed25519PrivateKey):
        raise TrustSetInvalidError(f"the {path.stem} key is not an Ed25519 key")
    return private_key


def _write_new(path: Path, content: bytes, mode: int) -> None:
    # Written aside and linked into place: a crash leaves no half file, and of two that start
    # together the first wins and neither overwrites.
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


def _refuse_repeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _value in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a field occurs twice")
    return dict(pairs)
