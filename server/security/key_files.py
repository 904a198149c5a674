"""Ed25519 keys in PEM files."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from server.security.new_file import write_new_file
from server.trust_errors import TrustSetInvalidError


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


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key (PKCS8 PEM, not encrypted).

    Raises:
        TrustSetInvalidError: It is missing, unreadable, or of another kind.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrustSetInvalidError(f"the {path.stem} key {path} cannot be read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustSetInvalidError(f"the {path.stem} key {path} is not an Ed25519 key")
    return key


def ensure_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key of a file; make it (mode 0600) unless it is there.

    Raises:
        TrustSetInvalidError: What is there is no Ed25519 key.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        write_new_file(path, pem, mode=0o600)
    return load_private_key(path)


def ensure_key_pair(private_path: Path, public_path: Path) -> Ed25519PrivateKey:
    """Like `ensure_private_key`, with the public key in a file beside it; never replaced either.

    Raises:
        TrustSetInvalidError: What is there is no Ed25519 key.
    """
    key = ensure_private_key(private_path)
    if not public_path.exists():
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_new_file(public_path, pem, mode=0o644)
    return key
