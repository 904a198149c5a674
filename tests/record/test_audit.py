"""Rows of the audit log: one per call, in the change's own transaction, chained without gaps."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riskgate.v1 import rights_pb2, state_pb2
from server.record.admin_change import Note, admin_change
from server.record.audit import DENIED, record_refusal
from server.record.audit_chain import AuditLog
from server.record.migrate import migrate
from server.record.pool import Pool, connection
from server.security.audit_rows import NO_HASH, hash_row
from server.security.caller import Call, Caller, set_current_call
from server.security.canonical import decode_canonical, encode_canonical
from tests.audit_harness import ANN, METHOD, Book, entry

KIND = state_pb2.CHANGE_KIND_ACCOUNT


@pytest.fixture
def book(database_url: str, tmp_path: Path) -> Book:
    return Book(database_url, tmp_path / "heads")


async def change_account(pool: Pool, key: str, *, by: Call | None = ANN) -> None:
    set_current_call(by)
    async with admin_change(pool, Note(actor="ann", reason="audit wants it")) as change:
        await change.publish(KIND, key, b"row")
        await change.audit("create", "account", key, new={"equity": "1"})


def test_a_change_says_who_called_from_where_and_why(book: Book) -> None:
    book.run(lambda pool: change_account(pool, "A"))
    (row,) = book.rows()
    assert row["identity"] == "spiffe://riskgate/admin/ann"
    assert (row["address"], row["method"]) == ("10.0.0.7", METHOD)
    assert (row["action"], row["subject"], row["subject_key"]) == ("create", "account", "A")
    assert (row["outcome"], row["reason"], row["actor"]) == ("done", "audit wants it", "ann")
    assert (row["audit_id"], row["state_version"]) == (1, 1)
    assert row["new_value"] == {"equity": "1"}
    assert row["old_value"] is None
    assert bytes(row["previous_hash"]) == NO_HASH


def test_a_call_that_changes_nothing_leaves_a_row_that_says_so(book: Book) -> None:
    async def look_only(pool: Pool) -> None:
        set_current_call(ANN)
        async with admin_change(pool, Note()):
            pass

    book.run(look_only)
    (row,) = book.rows()
    assert (row["outcome"], row["action"], row["subject"]) == ("unchanged", "PutAccount", "")


def test_our_own_process_leaves_no_row_where_it_changes_nothing(book: Book) -> None:
    async def look_only(pool: Pool) -> None:
        async with admin_change(pool, Note()):
            pass

    book.run(look_only)
    assert book.rows() == []


def test_a_refusal_leaves_a_row_with_what_was_told(book: Book) -> None:
    stranger = Call(Caller("", rights_pb2.ROLE_UNSPECIFIED, address="192.0.2.9"), METHOD)
    book.run(
        lambda pool: record_refusal(
            pool, stranger, DENIED, code="PERMISSION_DENIED", problem="no \0 right" + "é" * 999
        )
    )
    (row,) = book.rows()
    assert (row["outcome"], row["action"], row["address"]) == ("denied", "PutAccount", "192.0.2.9")
    assert row["new_value"]["code"] == "PERMISSION_DENIED"
    assert len(row["new_value"]["problem"].encode()) <= 512


def test_a_change_that_fails_leaves_neither_row_nor_gap(book: Book) -> None:
    async def fail(pool: Pool) -> None:
        set_current_call(ANN)
        async with admin_change(pool, Note()) as change:
            await change.audit("create", "account", "lost")
            raise RuntimeError("changed my mind")

    with pytest.raises(RuntimeError):
        book.run(fail)
    book.run(lambda pool: change_account(pool, "A"))
    assert [(row["audit_id"], row["subject_key"]) for row in book.rows()] == [(1, "A")]


@pytest.mark.parametrize(
    "sabotage",
    [
        "ALTER TABLE riskgate.audit_log ADD CONSTRAINT never CHECK (audit_id < 1)",
        "DROP TABLE riskgate.audit_head",
        "ALTER TABLE riskgate.audit_log RENAME TO elsewhere",
    ],
)
def test_a_change_whose_row_cannot_be_written_does_not_happen(book: Book, sabotage: str) -> None:
    with psycopg.connect(book.database_url, autocommit=True) as opened:
        opened.execute(sabotage.encode())
    with pytest.raises(Exception, match=r"never|audit_head|audit_log|value"):
        book.run(lambda pool: change_account(pool, "A"))
    with psycopg.connect(book.database_url) as opened:
        assert opened.execute("SELECT count(*) FROM riskgate.state_change").fetchone() == (0,)
        assert opened.execute("SELECT version FROM riskgate.state_version").fetchone() == (0,)


def test_many_who_write_at_once_make_one_chain(book: Book) -> None:
    async def write(pool: Pool) -> None:
        async def one(number: int) -> None:
            if number % 3:
                await change_account(pool, f"account{number}")
            else:
                await record_refusal(pool, ANN, DENIED, code="X", problem=str(number))

        await asyncio.gather(*(one(number) for number in range(60)))

    book.run(write)
    rows = book.rows()
    assert [row["audit_id"] for row in rows] == list(range(1, 61))
    book.witness()
    assert book.verify().finding is None


@pytest.mark.parametrize("verb", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
def test_a_row_cannot_be_changed_by_accident(book: Book, verb: str) -> None:
    book.write([entry()])
    with (
        psycopg.connect(book.database_url) as opened,
        pytest.raises(psycopg.errors.RestrictViolation, match="append-only"),
    ):
        opened.execute(verb.format("riskgate.audit_log").encode())


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reason=texts, subject_key=texts, old=values, new=values, address=texts)
def test_postgresql_puts_together_the_very_bytes_that_were_hashed(
    book: Book, reason: str, subject_key: str, old: Any, new: Any, address: str
) -> None:
    call = Call(
        Caller("spiffe://riskgate/admin/ann", rights_pb2.ROLE_ADMIN, address=address), METHOD
    )
    book.write([entry(reason=reason, subject_key=subject_key, old=old, new=new)], call)
    with AuditLog(book.database_url) as log:
        row = list(log.read())[-1]
    assert encode_canonical(decode_canonical(row.text)) == row.text
    assert hash_row(row.previous_hash, row.text) == row.hash
    said = decode_canonical(row.text)
    assert (said["subject_key"], said["new_value"]) == (subject_key, new)


def test_rows_from_before_the_chain_are_numbered_and_chained(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    with psycopg.connect(database_url, autocommit=True) as opened:
        _go_back_before_the_chain(opened)
        for number in (3, 7, 8):
            opened.execute(
                "INSERT INTO riskgate.audit_log (audit_id, actor, action, subject, subject_key,"
                " reason, new_value) OVERRIDING SYSTEM VALUE"
                " VALUES (%s, 'ann', 'create', 'account', %s, %s, '{\"b\": 1, \"a\": 2}')",
                [number, f"A{number}", 'why "so"'],
            )
    migrate(database_url)
    with AuditLog(database_url) as log:
        rows, head = list(log.read()), log.read_head_row()
    before = NO_HASH
    for place, row in enumerate(rows, 1):
        assert row.audit_id == place
        assert row.previous_hash == before
        assert hash_row(before, row.text) == row.hash
        before = row.hash
    assert head == (3, before)


def _go_back_before_the_chain(opened: psycopg.Connection[Any]) -> None:
    """Make the table what it was before migration 0006."""
    opened.execute("DROP TABLE riskgate.audit_log, riskgate.audit_head")
    opened.execute("DROP TABLE riskgate.anomaly, riskgate.denial_offset")
    opened.execute(
        "CREATE TABLE riskgate.audit_log ("
        " audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " occurred_at timestamptz NOT NULL DEFAULT now(),"
        " actor text NOT NULL, action text NOT NULL,"
        " subject text NOT NULL CONSTRAINT audit_log_subject_check CHECK (subject <> ''),"
        " subject_key text NOT NULL, reason riskgate.note NOT NULL,"
        " old_value jsonb, new_value jsonb, state_version bigint)"
    )
    opened.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON riskgate.audit_log"
        " FOR EACH ROW EXECUTE FUNCTION riskgate.refuse_change()"
    )
    opened.execute("DELETE FROM riskgate.schema_migration WHERE name = '0006_audit_chain.sql'")


def test_a_lock_order_never_deadlocks(book: Book) -> None:
    async def both(pool: Pool) -> None:
        async def refuse() -> None:
            async with connection(pool) as database:
                await database.execute("SELECT 1")
            await record_refusal(pool, ANN, DENIED, code="X", problem="y")

        await asyncio.gather(
            *(change_account(pool, str(n)) for n in range(20)), *(refuse() for _ in range(20))
        )

    book.run(both)
    assert len(book.rows()) == 40
