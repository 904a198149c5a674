"""What a MODEL or POLICY change of the feed asks for; nothing in it is believed yet."""

from hashlib import sha256
from typing import Final, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from riskgate.v1 import state_pb2
from server.errors import RiskgateError
from server.hotpath.layout import CHANGE_MODEL
from server.loaders.manifest import MANIFEST_FILE
from server.policy import RISK_POLICY
from server.security.canonical import decode_canonical
from server.security.statements import payload_of

NO_DIGEST: Final = bytes(32)
KINDS: Final = (state_pb2.CHANGE_KIND_MODEL, state_pb2.CHANGE_KIND_POLICY)


class Activation(NamedTuple):
    """One MODEL or POLICY change.

    Attributes:
        change: Its bytes.
        purpose: As its row says.
        digest: Same; of the artifact, 32 bytes; all zero: none.
        serial: Same; rises with each activation. Of a policy: as its proof says.
        rows: Its row.
        proof: Why the artifact may speak.
        is_partial: It is part of a load, which numbers the state in the end.
        is_known: The engine was given it before, but may have ended before it was active.
        kind: riskgate.v1.ChangeKind, MODEL or POLICY.
    """

    change: bytes
    purpose: str
    digest: bytes
    serial: int
    rows: bytes = b""
    proof: state_pb2.ActivationProof = state_pb2.ActivationProof()
    is_partial: bool = False
    is_known: bool = False
    kind: int = state_pb2.CHANGE_KIND_MODEL

    @property
    def files(self) -> dict[str, bytes]:
        """The files that travel with the change, by name: those of a policy."""
        return {file.name: file.content for file in self.proof.files}


def read_activation(message: state_pb2.StateChange, change: bytes) -> Activation:
    """Return the activation that a MODEL or POLICY change with one row carries."""
    proof = _read_proof(message.proof)
    if message.kind == state_pb2.CHANGE_KIND_POLICY:
        manifest = {file.name: file.content for file in proof.files}.get(MANIFEST_FILE)
        digest = NO_DIGEST if manifest is None else sha256(manifest).digest()
        serial = claimed_serial(proof)
        return Activation(
            change, RISK_POLICY, digest, serial, message.rows, proof, kind=message.kind
        )
    row = np.frombuffer(message.rows, CHANGE_MODEL)[0]
    # Not trusted yet: bytes that are no text simply name no purpose that is known here.
    purpose = row["purpose"].tobytes().rstrip(b"\0").decode(errors="replace")
    serial = int(row["serial"])
    return Activation(change, purpose, row["digest"].tobytes(), serial, message.rows, proof)


def claimed_serial(proof: state_pb2.ActivationProof) -> int:
    """Return the serial of the newest statement in a proof; 0: it cannot be read."""
    try:
        if proof.rollback:
            payload = payload_of(proof.rollback, "rollback")
        else:
            payload = payload_of(proof.activation)
        serial = decode_canonical(payload)["serial"]
    except (RiskgateError, ValueError, KeyError, TypeError):
        return 0
    return serial if isinstance(serial, int) else 0


def _read_proof(raw: bytes) -> state_pb2.ActivationProof:
    try:
        return state_pb2.ActivationProof.FromString(raw)
    except DecodeError:
        return state_pb2.ActivationProof()  # proves nothing
