"""Sign and check the release statement of an artifact: DSSE over Ed25519, by securesystemslib.

The statement binds purpose, version and the digest of the exact manifest bytes; the manifest pins
every other file. The key id is the SHA-256 of the 32 raw public key bytes.
"""

import binascii
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from trainer.canonical import compute_digest, encode_canonical
from trainer.errors import ArtifactReadError, AuthorKeyError

PAYLOAD_TYPE: Final = "application/vnd.riskgate.release+json"
STATEMENT: Final = "riskgate.release.v1"


def load_author_key(path: Path) -> Ed25519PrivateKey:
    """Read the signing key (PKCS8 PEM, not encrypted).

    Raises:
        AuthorKeyError: It is missing, unreadable, or of another kind.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as error:
        raise AuthorKeyError(
            f"no author key at {path}: `riskgate serve` makes one in its data directory, "
            "or name another with --key FILE"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise AuthorKeyError(f"the author key at {path} cannot be read") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthorKeyError(f"the author key at {path} is not an Ed25519 key")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read an author's public key (PEM).

    Raises:
        AuthorKeyError: It is missing, unreadable, or of another kind.
    """
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AuthorKeyError(f"the public key at {path} cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise AuthorKeyError(f"the public key at {path} is not an Ed25519 key")
    return key


def sign_release(manifest: bytes, purpose: str, version: str, key: Ed25519PrivateKey) -> bytes:
    """Return the canonical envelope of a release.

    Args:
        manifest: The exact bytes of `manifest.json`.
        purpose: As in the manifest.
        version: As in the manifest.
        key: The author's key.
    """
    statement = {
        "statement": STATEMENT,
        "purpose": purpose,
        "version": version,
        "manifest_sha256": compute_digest(manifest),
    }
    envelope = Envelope(encode_canonical(statement), PAYLOAD_TYPE, {})
    envelope.sign(CryptoSigner(key, _name_key(key.public_key())))
    return encode_canonical(envelope.to_dict())


def verify_release(envelope: bytes, manifest: bytes, key: Ed25519PublicKey) -> None:
    """Check that an author signed exactly this manifest.

    Raises:
        ArtifactReadError: The envelope is malformed, signed by another key, or speaks of other
            bytes.
    """
    try:
        parsed = Envelope.from_dict(json.loads(envelope))
        parsed.verify([_name_key(key)], threshold=1)
        statement = json.loads(parsed.payload)
        claimed = statement["manifest_sha256"]
    except VerificationError as error:
        raise ArtifactReadError("the signature does not verify") from error
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ArtifactReadError("the envelope cannot be read") from error
    canonical = encode_canonical(parsed.to_dict()) == envelope
    if not canonical or parsed.payload_type != PAYLOAD_TYPE or statement["statement"] != STATEMENT:
        raise ArtifactReadError("the envelope is not a canonical release")
    if claimed != compute_digest(manifest):
        raise ArtifactReadError("the signature is of another manifest")


def _name_key(key: Ed25519PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key, keyid=sha256(key.public_bytes_raw()).hexdigest())
