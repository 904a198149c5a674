"""Sign a release: the other side of `envelope.py`, with the author's key from its file."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from server.security.canonical import encode_canonical
from server.security.envelope import PAYLOAD_TYPE, ReleaseStatement
from server.security.keys import compute_keyid
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
    return sign_payload(encode_canonical(statement.model_dump()), PAYLOAD_TYPE, key)


def sign_payload(payload: bytes, payload_type: str, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical envelope of any payload, with one signature."""
    raw = key.public_key().public_bytes_raw()
    public = SSlibKey(compute_keyid(raw), "ed25519", "ed25519", {"public": raw.hex()})
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(CryptoSigner(key, public))
    return encode_canonical(envelope.to_dict())
