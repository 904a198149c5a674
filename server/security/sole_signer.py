"""Open an envelope that exactly one known key must have signed: checkpoints and heads."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.security.statements import Kind, open_statement, verify_all
from server.security.trusted_key import compute_keyid
from server.statement_errors import StatementError


def open_signed(raw: bytes, kind: Kind, key: Ed25519PublicKey, key_name: str) -> bytes:
    """Verify an envelope over the very bytes that were read and return its payload.

    Args:
        raw: The envelope.
        kind: What statement it must be.
        key: Whose signature it must carry, and no other.
        key_name: What an operator calls that key.

    Raises:
        ValueError: It is no envelope in canonical form, of another kind, or not signed by the key
            alone; the text says which.
    """
    public = key.public_bytes_raw()
    keyid = compute_keyid(public)
    try:
        envelope = open_statement(raw, kind)
    except StatementError as error:
        raise ValueError("no envelope of its kind in canonical form") from error
    if list(envelope.signatures) != [keyid]:
        raise ValueError(f"not signed by the {key_name} key")
    try:
        verify_all(envelope, {keyid: public.hex()})
    except StatementError as error:
        raise ValueError("the signature does not verify") from error
    return bytes(envelope.payload)
