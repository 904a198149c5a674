"""Why an artifact may speak: what each engine, and control, checks for itself.

Neither believes the other, nor the record between them: a change that activates an artifact carries
what people have signed.
"""

from collections.abc import Callable

from riskgate.v1 import state_pb2
from server.security.activation import ActivationStatement, verify_activation
from server.security.rollback_order import verify_rollback
from server.security.trusted_key import TrustedKey, TrustSet
from server.statement_errors import (
    ProofDigestError,
    ProofMissingError,
    ProofNotNewerError,
    ProofPurposeError,
    ProofSerialError,
)


def check_proof(
    proof: state_pb2.ActivationProof,
    *,
    purpose: str,
    digest: bytes,
    serial: int,
    active_serial: int,
    trust: TrustSet,
    find_author: Callable[[str], TrustedKey],
) -> ActivationStatement:
    """Check that people have approved this artifact with this serial, or falling back to it.

    Args:
        proof: As it came. Its `activated_at_ns` is the moment at which `activation` was activated,
            in a rollback too.
        purpose: Of the change.
        digest: 32 bytes; empty or zeros: no artifact, which only a rollback may bring.
        serial: Of the change.
        active_serial: Of the artifact in use; 0: none was ever.
        trust: The accepted keys.
        find_author: Returns who released the artifact of a digest (64 hex digits): of `digest` and
            of nothing else. What it raises goes through.

    Returns:
        The activation; in a rollback the one whose fallback is gone back to.

    Raises:
        StatementError: One subclass for each reason, in the order of `statement_errors.py`; a
            serial that is passed is refused before anything is verified.
    """
    if not proof.activation:
        raise ProofMissingError
    if serial <= active_serial:
        raise ProofNotNewerError(f"serial {serial} is not above {active_serial}")
    wanted = digest.hex() if any(digest) else ""
    author = find_author(wanted) if wanted else None
    if proof.rollback:
        order, activation = verify_rollback(
            proof.rollback,
            proof.activation,
            trust,
            author_of_fallback=author,
            now_ns=proof.activated_at_ns,
        )
        said = (order.purpose, order.digest, order.serial)
    else:
        if author is None:
            raise ProofDigestError("only a rollback may end without an artifact")
        activation = verify_activation(
            proof.activation, trust, author=author, now_ns=proof.activated_at_ns
        )
        said = (activation.purpose, activation.digest, activation.serial)
    if said[0] != purpose:
        raise ProofPurposeError(f"of {said[0]}, not of {purpose}")
    if said[1] != wanted:
        raise ProofDigestError(f"of {said[1] or 'none'}, not of {wanted or 'none'}")
    if said[2] != serial:
        raise ProofSerialError(f"of serial {said[2]}, not of {serial}")
    return activation
