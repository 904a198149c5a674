"""The keys of one data directory: which there are, and how they are made for development.

In production the keys of author, approvers and roots stand elsewhere, with the people who hold
them; what a data directory needs is the trust set, the key that signs rollback orders, and the keys
that vouch for the journal and the record. Nothing that exists is ever replaced.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.security.key_files import (
    ensure_key_pair,
    ensure_private_key,
    load_private_key,
    load_public_key,
)
from server.security.statements import sign_statement
from server.security.trust_files import trust_file, write_first
from server.security.trust_set import build_trust_set
from server.security.trusted_key import Group, Role, TrustedKey, TrustSet, compute_keyid
from server.trust_errors import TrustSetInvalidError

__all__ = [
    "APPROVER_RISK_KEY_FILE",
    "APPROVER_TECHNOLOGY_KEY_FILE",
    "AUTHOR_KEY_FILE",
    "AUTHOR_PUBLIC_KEY_FILE",
    "CHECKPOINT_KEY_FILE",
    "CHECKPOINT_PUBLIC_KEY_FILE",
    "CONTROL_KEY_FILE",
    "ROOT_KEY_FILE",
    "WITNESS_KEY_FILE",
    "WITNESS_PUBLIC_KEY_FILE",
    "TrustSet",
    "TrustedKey",
    "compute_keyid",
    "ensure_checkpoint_key",
    "ensure_development_keys",
    "ensure_witness_key",
    "load_private_key",
    "load_public_key",
    "name_key",
]

AUTHOR_KEY_FILE: Final = "author.pem"
AUTHOR_PUBLIC_KEY_FILE: Final = "author.pub.pem"
APPROVER_RISK_KEY_FILE: Final = "approver-risk.pem"
APPROVER_TECHNOLOGY_KEY_FILE: Final = "approver-technology.pem"
CONTROL_KEY_FILE: Final = "control.pem"
ROOT_KEY_FILE: Final = "root.pem"
CHECKPOINT_KEY_FILE: Final = "checkpoint.pem"
CHECKPOINT_PUBLIC_KEY_FILE: Final = "checkpoint.pub.pem"
WITNESS_KEY_FILE: Final = "witness.pem"
WITNESS_PUBLIC_KEY_FILE: Final = "witness.pub.pem"

_SEATS: Final[tuple[tuple[str, str, Role, Group], ...]] = (
    (AUTHOR_KEY_FILE, "development-author", "author", ""),
    (APPROVER_RISK_KEY_FILE, "development-risk", "approver", "risk"),
    (APPROVER_TECHNOLOGY_KEY_FILE, "development-technology", "approver", "technology"),
    (CONTROL_KEY_FILE, "development-control", "control", ""),
    (ROOT_KEY_FILE, "development-root", "root", ""),
)


def name_key(key: Ed25519PrivateKey, person: str, role: Role, group: Group = "") -> TrustedKey:
    """Return the entry of a key in a trust set."""
    raw = key.public_key().public_bytes_raw()
    return TrustedKey(
        keyid=compute_keyid(raw),
        person=person,
        role=role,
        group=group,
        public_key_hex=raw.hex(),
    )


def ensure_development_keys(keys_dir: Path) -> None:
    """Make one key for each role and a trust set that accepts them, unless there is a trust set.

    With a trust set that was made elsewhere no key is made that it would not know. An author key
    that exists is kept.

    Raises:
        TrustSetInvalidError: An existing private key is not an Ed25519 key.
    """
    ensure_witness_key(keys_dir)
    if trust_file(keys_dir, 1).exists():
        if (keys_dir / AUTHOR_KEY_FILE).exists():
            ensure_key_pair(keys_dir / AUTHOR_KEY_FILE, keys_dir / AUTHOR_PUBLIC_KEY_FILE)
        return
    ensure_key_pair(keys_dir / AUTHOR_KEY_FILE, keys_dir / AUTHOR_PUBLIC_KEY_FILE)
    keys = {
        person: name_key(ensure_private_key(keys_dir / file), person, role, group)
        for file, person, role, group in _SEATS
    }
    payload = build_trust_set(list(keys.values()), root_threshold=1)
    envelope = sign_statement(payload, "trust", load_private_key(keys_dir / ROOT_KEY_FILE))
    write_first(keys_dir, envelope, sha256(payload).hexdigest())


def ensure_checkpoint_key(keys_dir: Path) -> Ed25519PrivateKey:
    """Return the key that signs checkpoints of the journal; make it unless it is there.

    It is not the author's: who may release a model must not be able to rewrite the journal.

    Raises:
        TrustSetInvalidError: One of its files is no Ed25519 key, or the two do not belong together.
    """
    return _ensure_own_pair(keys_dir / CHECKPOINT_KEY_FILE, keys_dir / CHECKPOINT_PUBLIC_KEY_FILE)


def ensure_witness_key(keys_dir: Path) -> Ed25519PrivateKey:
    """Return the key that signs heads of audit chain and ledger; make it unless it is there.

    Raises:
        TrustSetInvalidError: One of its files is no Ed25519 key, or the two do not belong together.
    """
    return _ensure_own_pair(keys_dir / WITNESS_KEY_FILE, keys_dir / WITNESS_PUBLIC_KEY_FILE)


def _ensure_own_pair(private_path: Path, public_path: Path) -> Ed25519PrivateKey:
    key = ensure_key_pair(private_path, public_path)
    if load_public_key(public_path) != key.public_key():
        raise TrustSetInvalidError(f"{public_path} does not belong to {private_path.name}")
    return key
