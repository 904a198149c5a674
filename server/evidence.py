"""One decision with everything that proves it, in one file that can be verified without us.

What is in it: the journal entry (request and answer as they were), the signed checkpoint that
covers it, the state it was made on (made again from the journal), the model's release, the approval
that let it speak, the entry of the ledger that logged that, and the signed head of the ledger. The
keys are in it too, for convenience: who verifies must have them from somewhere else.
`scripts/verify_evidence.py` verifies it, in a page, with nothing but a cryptography library.
"""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from riskgate.v1.state_pb2 import ActivationProof
from server.errors import NotFoundError, PreconditionError
from server.journal.checkpoint import Checkpoint, open_checkpoint
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.reader import Entry, read_entries
from server.loaders.artifact_store import ArtifactStore
from server.loaders.manifest import ENVELOPE_FILE, MANIFEST_FILE
from server.record.model_history import Activated, find_activation
from server.record.pool import connection, open_pool
from server.security.head_files import HEADS_FOLDER, HeadFiles
from server.security.key_files import load_public_key
from server.security.keys import CHECKPOINT_PUBLIC_KEY_FILE, WITNESS_PUBLIC_KEY_FILE
from server.security.ledger_tree import LedgerTree
from server.security.trust_files import read_pin, read_trust_files
from server.shards import CHECKPOINT_FOLDER, JOURNAL_FOLDER, Shard

FORMAT: Final = "riskgate.evidence.v1"


async def collect_evidence(
    data_dir: Path,
    shard: Shard,
    database_url: str,
    entry_number: int,
    model_digest: bytes,
) -> dict[str, Any]:
    """Return what proves one journal entry and the model that spoke in it.

    Args:
        data_dir: Of the stack.
        shard: Whose journal.
        database_url: Of the record.
        entry_number: Of the journal entry.
        model_digest: 32 bytes; empty: no model spoke.

    Raises:
        NotFoundError: The entry, or the artifact, is not there any more.
        PreconditionError: No signed checkpoint, or no signed head, covers it yet.
        RiskgateError: Something that should prove it is forged, or the record is away.
    """
    keys = data_dir / "keys"
    entry = _read_entry(shard.folder(data_dir, JOURNAL_FOLDER), entry_number)
    checkpoint_key = load_public_key(keys / CHECKPOINT_PUBLIC_KEY_FILE)
    evidence: dict[str, Any] = {
        "format": FORMAT,
        "collected_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "entry": _text(entry.raw),
        "checkpoint": _checkpoint(data_dir, shard, entry, checkpoint_key),
        "keys": {"checkpoint": checkpoint_key.public_bytes_raw().hex()},
        "model": None,
    }
    if any(model_digest):
        witness_key = load_public_key(keys / WITNESS_PUBLIC_KEY_FILE)
        evidence["keys"]["witness"] = witness_key.public_bytes_raw().hex()
        evidence["trust"] = [_text(raw) for raw in read_trust_files(keys)]
        moment = datetime.fromtimestamp(entry.reading_ns / 1e9, UTC)
        async with open_pool(database_url) as pool, connection(pool) as database:
            activated, tree = await find_activation(database, model_digest, moment)
        if activated is None:
            raise NotFoundError("activation of model", model_digest.hex())
        evidence["model"] = _model(data_dir, model_digest, activated, tree, witness_key)
    return evidence


def read_pins(data_dir: Path) -> tuple[str, str, str]:
    """Return what an auditor must have from elsewhere, in hex.

    Fingerprint of the first trust set, public key of the checkpoints, public key of the heads.

    Raises:
        TrustSetInvalidError: One of them is not there.
    """
    keys = data_dir / "keys"
    names = (CHECKPOINT_PUBLIC_KEY_FILE, WITNESS_PUBLIC_KEY_FILE)
    checkpoint, witness = (load_public_key(keys / name).public_bytes_raw().hex() for name in names)
    return read_pin(keys), checkpoint, witness


def _read_entry(folder: Path, number: int) -> Entry:
    for entry in read_entries(folder, number, number):
        return entry
    raise NotFoundError("journal entry", str(number))


def _checkpoint(
    data_dir: Path, shard: Shard, entry: Entry, key: Ed25519PublicKey
) -> dict[str, Any]:
    files = CheckpointFiles(shard.folder(data_dir, CHECKPOINT_FOLDER))
    for checkpoint in _checkpoints(files, key):
        said = checkpoint.statement
        if said.first_entry <= entry.number < said.next_entry:
            return {
                "envelope": _text(checkpoint.raw),
                "fingerprints": _text(files.read_fingerprints(said)),
                "index": entry.number - said.first_entry,
            }
    raise PreconditionError(
        f"no signed checkpoint covers entry {entry.number} yet: try again in some seconds"
    )


def _checkpoints(files: CheckpointFiles, key: Ed25519PublicKey) -> Iterator[Checkpoint]:
    return (open_checkpoint(raw, key) for raw in files.read())


def _model(
    data_dir: Path, digest: bytes, activated: Activated, tree: LedgerTree, key: Ed25519PublicKey
) -> dict[str, Any]:
    head = HeadFiles(data_dir / HEADS_FOLDER).read_last(key)
    if head is None or head.statement.ledger_entries < activated.entry_id:
        raise PreconditionError("no signed head covers the activation yet: try again in a second")
    files = ArtifactStore(data_dir / "artifacts").read(digest.hex())
    proof = ActivationProof.FromString(activated.proof)
    return {
        "manifest": _text(files[MANIFEST_FILE]),
        "release": _text(files[ENVELOPE_FILE]),
        "proof": _text(activated.proof),
        "activation": _text(proof.activation),
        "rollback": _text(proof.rollback),
        "ledger": {
            "entry": _text(activated.content),
            "inclusion": tree.prove_inclusion(activated.entry_id, head.statement.ledger_entries),
            "head": _text(head.raw),
        },
    }


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
