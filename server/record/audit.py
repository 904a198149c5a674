"""The audit log: one row per mutating or denied call, each chained to the one before.

A row is hashed as canonical JSON behind the hash of its predecessor, while the head row is locked,
in the transaction of the change that it is about: either both are there or neither is. Whoever
appends holds that lock until the commit, so numbers have no gaps. Lock order: state version first,
then the head. What must not stand in the log (secrets, one-time codes) must not be passed here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from server.entities import plain
from server.record.pool import Database, Pool, connection
from server.security.audit_rows import hash_row
from server.security.caller import Call
from server.security.canonical import encode_canonical

Outcome = Literal["done", "unchanged", "denied", "refused"]

DONE: Final[Outcome] = "done"
UNCHANGED: Final[Outcome] = "unchanged"
DENIED: Final[Outcome] = "denied"
REFUSED: Final[Outcome] = "refused"

_IDENTITY_BYTES_MAX: Final = 256
_ADDRESS_BYTES_MAX: Final = 64
_METHOD_BYTES_MAX: Final = 160
_PROBLEM_BYTES_MAX: Final = 512
_NOTE_BYTES_MAX: Final = 256
_UNIX_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_LOCK: Final = "SELECT row_count, newest_hash FROM riskgate.audit_head FOR UPDATE"
_APPEND: Final = """
WITH added AS (
    INSERT INTO riskgate.audit_log (audit_id, occurred_at, actor, identity, address, method, action,
        subject, subject_key, outcome, reason, old_value, new_value, state_version, previous_hash,
        hash)
    VALUES (%(audit_id)s, %(occurred_at)s, %(actor)s, %(identity)s, %(address)s, %(method)s,
        %(action)s, %(subject)s, %(subject_key)s, %(outcome)s, %(reason)s, %(old_text)s::json,
        %(new_text)s::json, %(state_version)s, %(previous_hash)s, %(hash)s)
)
UPDATE riskgate.audit_head SET row_count = %(audit_id)s, newest_hash = %(hash)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What one row says, besides who called.

    Attributes:
        action: Verb, such as `create`; the name of the method where nothing was done.
        subject: Kind of what was changed; empty: nothing was.
        subject_key: Its key.
        outcome: What became of the call.
        actor: Who the caller says it is acting for; nothing relies on it.
        reason: Justification.
        old: Value before, any entity; None: there was none.
        new: Value after.
        state_version: Newest version after it; None: the state was not looked at.
    """

    action: str
    subject: str = ""
    subject_key: str = ""
    outcome: Outcome = DONE
    actor: str = ""
    reason: str = ""
    old: object = None
    new: object = None
    state_version: int | None = None


async def append(database: Database, call: Call, entry: AuditEntry) -> int:
    """Add a row in the caller's transaction, and keep the log locked until that ends.

    Returns:
        Its number, from 1 without gaps.

    Raises:
        psycopg.Error: PostgreSQL does not take it; nothing else of the transaction may commit.
    """
    head = await (await database.execute(_LOCK)).fetchone()
    assert head is not None  # noqa: S101 - the migration wrote it and a trigger keeps it
    audit_id, before = int(head["row_count"]) + 1, bytes(head["newest_hash"])
    now = datetime.now(UTC)
    columns: dict[str, Any] = {
        "action": entry.action,
        "actor": _clip(entry.actor, _NOTE_BYTES_MAX),
        "address": _clip(call.caller.address, _ADDRESS_BYTES_MAX),
        "audit_id": audit_id,
        "identity": _clip(call.caller.uri, _IDENTITY_BYTES_MAX),
        "method": _clip(call.method, _METHOD_BYTES_MAX),
        "outcome": entry.outcome,
        "reason": _clip(entry.reason, _NOTE_BYTES_MAX),
        "state_version": entry.state_version,
        "subject": entry.subject,
        "subject_key": entry.subject_key,
    }
    old, new = plain(entry.old), plain(entry.new)
    row_text = encode_canonical(
        {
            **columns,
            "old_value": old,
            "new_value": new,
            "occurred_at_us": (now - _UNIX_EPOCH) // _MICROSECOND,
        }
    )
    columns |= {
        "old_text": None if old is None else encode_canonical(old).decode(),
        "new_text": None if new is None else encode_canonical(new).decode(),
        "occurred_at": now,
        "previous_hash": before,
        "hash": hash_row(before, row_text),
    }
    await database.execute(_APPEND, columns)
    return audit_id


async def record_refusal(
    pool: Pool,
    call: Call,
    outcome: Outcome,
    *,
    code: str,
    problem: str,
    reason: str = "",
    calls: int = 1,
) -> None:
    """Write the row of a call that did nothing, in a transaction of its own.

    Args:
        pool: Of the record.
        call: Who called what.
        outcome: DENIED: the caller may not do this; REFUSED: anything else was in the way.
        code: Name of the gRPC status, such as `PERMISSION_DENIED`.
        problem: What the caller is told; cut to 512 bytes.
        reason: Justification that the request gave.
        calls: How many such calls the row stands for.

    Raises:
        UnavailableError: PostgreSQL is away; the row is not written.
    """
    told: dict[str, object] = {"code": code, "problem": _clip(problem, _PROBLEM_BYTES_MAX)}
    if calls > 1:
        told["calls"] = calls
    entry = AuditEntry(action=action_of(call), outcome=outcome, reason=reason, new=told)
    await record(pool, call, entry)


async def record(pool: Pool, call: Call, entry: AuditEntry) -> int:
    """Write one row in a transaction of its own and return its number.

    Raises:
        UnavailableError: PostgreSQL is away; the row is not written.
    """
    async with connection(pool) as database:
        return await append(database, call, entry)


def action_of(call: Call) -> str:
    """Return the bare name of the method, for rows of calls that changed nothing."""
    return call.method.rpartition("/")[2] or "call"


def _clip(text: str, bytes_max: int) -> str:
    """Return text as PostgreSQL takes it: callers choose some of it."""
    data = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace")
    return data[:bytes_max].decode(errors="ignore")
