"""Model versions and their moves: rows of the register to messages, and what requests hold."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from riskgate.v1 import model_pb2 as pb
from server.errors import InvalidFieldError
from server.forms import fields
from server.record.admin_change import Note
from server.replica import Replica
from server.semantic_version import normalise

EXPIRES_IN_HOURS_MAX: Final = 24
# Less than what the record takes: a statement with two signatures has about 2 KiB.
ENVELOPE_BYTES_MAX: Final = 32_768
_STATUS_NUMBERS: Final = {
    "registered": pb.MODEL_STATUS_REGISTERED,
    "training": pb.MODEL_STATUS_TRAINING,
    "trained": pb.MODEL_STATUS_TRAINED,
    "testing": pb.MODEL_STATUS_TESTING,
    "approved": pb.MODEL_STATUS_APPROVED,
    "shadow": pb.MODEL_STATUS_SHADOW,
    "canary": pb.MODEL_STATUS_CANARY,
    "active": pb.MODEL_STATUS_ACTIVE,
    "deprecated": pb.MODEL_STATUS_DEPRECATED,
    "archived": pb.MODEL_STATUS_ARCHIVED,
    "rejected": pb.MODEL_STATUS_REJECTED,
    "revoked": pb.MODEL_STATUS_REVOKED,
}
_STATUS_OR_NONE: Final = _STATUS_NUMBERS | {"": pb.MODEL_STATUS_UNSPECIFIED}


def read_files(message: pb.PushModelRequest) -> dict[str, bytes]:
    """Return the files of a push by name.

    Raises:
        InvalidFieldError: there is none, or a name occurs twice.
    """
    if not message.files:
        raise InvalidFieldError("files", "is required")
    files = {file.name: file.content for file in message.files}
    if len(files) != len(message.files):
        raise InvalidFieldError("files", "must not name one file twice")
    return files


def read_version(purpose: str, version: str, field: str = "version") -> tuple[str, str]:
    """Return a checked purpose and semantic version; "v2.1" is 2.1.0."""
    fields.identifier(purpose, "purpose")
    try:
        return purpose, normalise(version)
    except ValueError as error:
        raise InvalidFieldError(field, "must be MAJOR.MINOR.PATCH") from error


def read_status(number: int) -> str:
    """Return the status that a move leads to.

    Raises:
        InvalidFieldError: absent or unknown.
    """
    return fields.choice(number, _STATUS_NUMBERS, "status")


def read_justified(message: Any) -> Note:
    """Return who asks and why.

    Raises:
        InvalidFieldError: the reason is empty.
    """
    note = fields.note(message)
    if not note.reason.strip():
        raise InvalidFieldError("note.reason", "is required")
    return note


def read_hours(message: pb.ProposeActivationRequest) -> int:
    """Return how long an approval may be used, hours."""
    hours = fields.optional_whole(message, "expires_in_hours", 1, EXPIRES_IN_HOURS_MAX)
    return EXPIRES_IN_HOURS_MAX if hours is None else hours


def read_envelope(message: pb.ApproveModelRequest) -> bytes:
    """Return the bytes of an envelope; nothing in it is believed yet."""
    if not message.envelope:
        raise InvalidFieldError("envelope", "is required")
    if len(message.envelope) > ENVELOPE_BYTES_MAX:
        raise InvalidFieldError("envelope", f"must be at most {ENVELOPE_BYTES_MAX} bytes")
    return message.envelope


def write_model(row: dict[str, Any]) -> pb.ModelVersion:
    """Return the message that describes a registered version."""
    return pb.ModelVersion(
        purpose=row["purpose"],
        version=row["version"],
        algorithm=row["algorithm"],
        status=_STATUS_NUMBERS[row["status"]],
        digest=row["digest"],
        author=row["author"],
        serial=row["serial"],
        pushed_at=fields.timestamp(row["pushed_at"]),
        approved_at=fields.timestamp(row["approved_at"]),
        activated_at=fields.timestamp(row["activated_at"]),
        deprecated_at=fields.timestamp(row["deprecated_at"]),
        approvers=row["approvers"],
        metrics_json=_canonical(row["manifest"].get("metrics", {})),
        training_json=_canonical(row["manifest"].get("training", {})),
    )


def write_event(row: dict[str, Any]) -> pb.DeploymentEvent:
    """Return the message of one deployment event."""
    return pb.DeploymentEvent(
        event_id=row["event_id"],
        purpose=row["purpose"],
        version=row["version"],
        event=row["event"],
        status_before=_STATUS_OR_NONE[row["status_before"]],
        status_after=_STATUS_OR_NONE[row["status_after"]],
        serial=row["serial"] or 0,
        identity=row["identity"],
        reason=row["reason"],
        occurred_at=fields.timestamp(row["occurred_at"]),
        ledger_entry_id=row["ledger_entry_id"] or 0,
    )


def write_replica(replica: Replica, expected: tuple[str, int, str]) -> pb.Replica:
    """Return the message of an engine.

    Args:
        replica: What it says of itself.
        expected: Digest (hex) and serial of the model, and digest of the policy, on record.
    """
    runs = (replica.model_digest, replica.model_serial, replica.policy_digest)
    return pb.Replica(
        shard=replica.shard,
        address=replica.address,
        epoch=replica.epoch,
        model_digest=bytes.fromhex(replica.model_digest),
        model_serial=replica.model_serial,
        policy_digest=bytes.fromhex(replica.policy_digest),
        is_proven=replica.is_proven and runs == expected,
        said_at=fields.timestamp(datetime.fromtimestamp(replica.said_at_ns / 1e9, UTC)),
    )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
