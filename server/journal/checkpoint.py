"""What is signed about a piece of the journal, and the chain that these statements form.

A checkpoint covers a *span*: the entries that one segment has gained since the checkpoint before,
and the segment's header if it begins there. It holds the SHA-256 of the span's bytes and the
SHA-256 of the statement before, so each one fixes all that was written until then. The last span
of a segment says that the segment is sealed: nothing follows in it.

What it is for: whoever can write the journal's files can also mend checksums, sizes and numbers.
They cannot sign. A chain without a witness would notice neither a tail that is cut nor a journal
that is rewritten as a whole, so the statements stand outside the journal's folder, in a file and in
PostgreSQL. What remains: who holds the private key can forge everything, who controls both places
can take both back to an older state, and what was written since the newest checkpoint is not
covered yet. Keep the key from those who can write the journal; copy the file elsewhere.
"""

from hashlib import sha256
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from server.errors import JournalTamperedError
from server.security.canonical import decode_canonical, encode_canonical
from server.security.sole_signer import open_signed
from server.security.statements import Kind, payload_type, sign_payload

_KIND: Final[Kind] = "checkpoint"
# What stands before the first statement of a chain.
NO_LINK: Final = "0" * 64

_SHA256: Final = r"^[0-9a-f]{64}$"


class Statement(BaseModel):
    """What a checkpoint says.

    Attributes:
        journal: Shard and number of shards, as in `0/1`.
        number: Of the checkpoint: 1, 2, 3 … in one journal.
        segment: Number of the segment that the span stands in.
        segment_first_entry: Number of the first entry of that segment.
        epoch: Of the engine that wrote the segment.
        first_entry: Number of the first entry of the span, or of the next one if it has none.
        entry_count: Entries of the span.
        last_sequence: Of the engine behind the last entry; 0 if the span has none.
        start_offset: Of the span in the segment, bytes; 0: the header is part of it.
        end_offset: Behind the last entry, bytes.
        sealed: Whether no entry follows in this segment.
        made_at_ns: Unix nanoseconds.
        bytes_sha256: Of all bytes of the span.
        fingerprints_sha256: Of its fingerprints, which name an altered entry.
        previous_sha256: Link of the statement before; NO_LINK in the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.checkpoint.v1"] = "riskgate.checkpoint.v1"
    journal: str = Field(pattern=r"^\d{1,2}/\d{1,2}$")
    number: int = Field(ge=1)
    segment: int = Field(ge=1)
    segment_first_entry: int = Field(ge=1)
    epoch: int = Field(ge=0)
    first_entry: int = Field(ge=1)
    entry_count: int = Field(ge=0)
    last_sequence: int = Field(ge=0)
    start_offset: int = Field(ge=0)
    end_offset: int = Field(ge=0)
    sealed: bool
    made_at_ns: int = Field(ge=0)
    bytes_sha256: str = Field(pattern=_SHA256)
    fingerprints_sha256: str = Field(pattern=_SHA256)
    previous_sha256: str = Field(pattern=_SHA256)

    @property
    def next_entry(self) -> int:
        """Number of the first entry behind the span."""
        return self.first_entry + self.entry_count


class Checkpoint(NamedTuple):
    """A signed statement.

    Attributes:
        raw: The envelope, canonical JSON in one line.
        statement: Its content.
        link: SHA-256 of the statement's bytes, which the next one names.
    """

    raw: bytes
    statement: Statement
    link: str


def sign_statement(statement: Statement, key: Ed25519PrivateKey) -> Checkpoint:
    """Return the checkpoint of a statement."""
    payload = encode_canonical(statement.model_dump())
    raw = sign_payload(payload, payload_type(_KIND), key)
    return Checkpoint(raw, statement, sha256(payload).hexdigest())


def open_checkpoint(raw: bytes, key: Ed25519PublicKey) -> Checkpoint:
    """Verify an envelope over the very bytes that were read.

    Raises:
        JournalTamperedError: It is no envelope in canonical form, not signed by the key alone, or
            holds no statement.
    """
    try:
        payload = open_signed(raw, _KIND, key, "checkpoint")
    except ValueError as error:
        raise JournalTamperedError(str(error)) from error
    try:
        statement = Statement.model_validate(decode_canonical(payload))
    except ValueError as error:
        raise JournalTamperedError("the payload is no statement") from error
    return Checkpoint(raw, statement, sha256(payload).hexdigest())


def check_follows(before: Checkpoint | None, checkpoint: Checkpoint, journal: str) -> None:
    """Make sure that a checkpoint is the next one of its chain.

    Args:
        before: The one before; None: it is the first.
        checkpoint: To be checked; its signature is verified already.
        journal: Shard and number of shards that it must name.

    Raises:
        JournalTamperedError: It is not.
    """
    found = checkpoint.statement
    if found.journal != journal:
        raise JournalTamperedError(f"it belongs to journal {found.journal}")
    number = before.statement.number + 1 if before else 1
    if found.number != number:
        raise JournalTamperedError(f"number {found.number} stands in place of {number}")
    if found.previous_sha256 != (before.link if before else NO_LINK):
        raise JournalTamperedError("it does not follow the one before")
    last = before.statement if before else None
    if last and not last.sealed:
        expected = (last.segment, last.next_entry, last.end_offset, last.segment_first_entry)
    else:
        segment = last.segment + 1 if last else found.segment
        first_entry = last.next_entry if last else found.first_entry
        expected = (segment, first_entry, 0, first_entry)
    place = (found.segment, found.first_entry, found.start_offset, found.segment_first_entry)
    if place != expected or found.end_offset < found.start_offset:
        raise JournalTamperedError("its span does not follow the one before")
