"""Signed heads: what the audit log and the ledger of models were, kept outside PostgreSQL.

A chain alone notices neither a tail that is cut nor rows that are all written anew. A head says how
many rows there are and what the last one hashes to, is signed by the witness key, and names the
head before. What remains: who holds that key and can write the rows and every copy of the heads can
forge everything; and what was written since the newest head, about a second, is not covered yet.
"""

from hashlib import sha256
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from server.security.canonical import decode_canonical, encode_canonical
from server.security.sole_signer import open_signed
from server.security.statements import Kind, sign_statement
from server.trust_errors import AuditTamperedError

# What stands before the first head of a chain.
NO_LINK: Final = "0" * 64

_KIND: Final[Kind] = "head"
_SHA256: Final = r"^[0-9a-f]{64}$"


class HeadStatement(BaseModel):
    """What a head says.

    Attributes:
        number: Of the head: 1, 2, 3 …
        audit_rows: Rows of the audit log.
        audit_hash: Hash of the last one; 64 zeros without any.
        ledger_entries: Entries of the ledger of models.
        ledger_root: Root of the Merkle tree over them.
        made_at_ns: Unix nanoseconds.
        previous_sha256: Link of the head before; NO_LINK in the first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.head.v1"] = "riskgate.head.v1"
    number: int = Field(ge=1)
    audit_rows: int = Field(ge=0)
    audit_hash: str = Field(pattern=_SHA256)
    ledger_entries: int = Field(ge=0)
    ledger_root: str = Field(pattern=_SHA256)
    made_at_ns: int = Field(ge=0)
    previous_sha256: str = Field(pattern=_SHA256)


class Head(NamedTuple):
    """A signed statement.

    Attributes:
        raw: The envelope, canonical JSON in one line.
        statement: Its content.
        link: SHA-256 of the statement's bytes, which the next one names.
    """

    raw: bytes
    statement: HeadStatement
    link: str


def sign_head(statement: HeadStatement, key: Ed25519PrivateKey) -> Head:
    """Return the head of a statement."""
    payload = encode_canonical(statement.model_dump())
    return Head(sign_statement(payload, _KIND, key), statement, sha256(payload).hexdigest())


def open_head(raw: bytes, key: Ed25519PublicKey) -> Head:
    """Verify an envelope over the very bytes that were read.

    Raises:
        AuditTamperedError: It is no envelope in canonical form, not signed by the key alone, or
            holds no head.
    """
    try:
        payload = open_signed(raw, _KIND, key, "witness")
        statement = HeadStatement.model_validate(decode_canonical(payload))
    except ValueError as error:
        raise AuditTamperedError(f"a head is forged: {error}") from error
    return Head(raw, statement, sha256(payload).hexdigest())


def check_follows(before: Head | None, head: Head) -> None:
    """Make sure that a head is the next one of its chain.

    Args:
        before: The one before; None: it is the first.
        head: To be checked; its signature is verified already.

    Raises:
        AuditTamperedError: It is not, or it takes rows back.
    """
    said = head.statement
    number, link = (before.statement.number + 1, before.link) if before else (1, NO_LINK)
    if (said.number, said.previous_sha256) != (number, link):
        raise AuditTamperedError(f"head {said.number} does not follow head {number - 1}")
    if before and (
        said.audit_rows < before.statement.audit_rows
        or said.ledger_entries < before.statement.ledger_entries
    ):
        raise AuditTamperedError(f"head {said.number} names fewer rows than the one before")
