"""Sign a release: the other side of `envelope.py`, with the author's key from its file."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from server.security.canonical import encode_canonical
from server.security.envelope import ReleaseStatement
from server.security.statements import sign_statement
from server.trust_errors import AuthorKeyError


def load_author_key(path: Path) -> Ed25519PrivateKey:
    """Read the signing key (PKCS8 PEM, not encrypted).

    Raises:
        AuthorKeyError: It is missing, unreadable, or of another kind.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise AuthorKeyError(
            f"no usable author key at {path}: `riskgate serve` makes one in its data directory, "
            "or name another with --key FILE"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthorKeyError(f"the author key at {path} is not an Ed25519 key")
    return key


def sign_release(statement: ReleaseStatement, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical envelope of a release, `envelope.dsse.json`."""
    return sign_statement(encode_canonical(statement.model_dump()), "release", key)
