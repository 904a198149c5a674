"""The ledger in PostgreSQL: one entry per move, and whatever is done to it straight in SQL is found
with its place.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from server.cli import app
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY
from server.record import deployments, ledger
from server.record.pool import connection, open_pool
from server.security.head_files import HEADS_FOLDER, HeadFiles
from server.security.heads import NO_LINK, HeadStatement, sign_head
from server.security.keys import ensure_development_keys, ensure_witness_key
from server.security.ledger_tree import (
    LedgerAccount,
    LedgerHead,
    build_entry,
    hash_leaf,
    is_included,
    verify_entries,
)
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play
from tests.model_flow import Desk

Statements = list[tuple[str, list[Any]]]

# Of the version that is shipped: push, propose, two approvals, activate; then the second one.
_SHIPPED = 5
ENTRIES = 2 * _SHIPPED + 1 + 2


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "keys").mkdir(mode=0o700)
    ensure_development_keys(folder / "keys")
    return folder


@pytest.fixture(scope="module")
def shipped(database_url: str, redis_url: str, data_dir: Path) -> list[LedgerHead]:
    """Two policies were shipped, the second one rolled back; returns a head per entry."""

    async def scenario(parts: Control) -> None:
        desk = Desk(parts, data_dir, "risk_policy")
        key = load_author_key(data_dir / "keys")
        for version in ("1.0.0", "1.1.0"):
            files = build_policy_release(DEFAULT_POLICY | {"version": version}, "ann", key)
            await desk.ship(version, files)
        await desk.rollback()

    play(database_url, redis_url, data_dir, scenario)

    async def heads() -> list[LedgerHead]:
        async with open_pool(database_url) as pool, connection(pool) as database:
            tree = await ledger.read_tree(database)
            assert tree.head == await ledger.read_head(database)
        return [LedgerHead(size, tree.root(size)) for size in range(1, tree.head.entries + 1)]

    return asyncio.run(heads())


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Who owns the tables and may switch triggers off; what he did is undone afterwards."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("CREATE TEMP TABLE kept AS SELECT * FROM riskgate.ledger_entry")
        opened.execute("CREATE TEMP TABLE said AS SELECT * FROM riskgate.deployment_event")
        opened.execute("CREATE TEMP TABLE models AS SELECT * FROM riskgate.model_version")
        for table in ("ledger_entry", "deployment_event", "model_version"):
            opened.execute(f"ALTER TABLE riskgate.{table} DISABLE TRIGGER USER")
        opened.execute(
            "ALTER TABLE riskgate.deployment_event"
            " DROP CONSTRAINT IF EXISTS deployment_event_ledger_entry_id_fkey"
        )
        yield opened
        opened.execute("DELETE FROM riskgate.ledger_entry")
        opened.execute("INSERT INTO riskgate.ledger_entry SELECT * FROM kept")
        opened.execute(
            "UPDATE riskgate.deployment_event AS event SET reason = said.reason,"
            " identity = said.identity, proof = said.proof FROM said"
            " WHERE said.event_id = event.event_id"
        )
        opened.execute(
            "UPDATE riskgate.model_version AS model SET status = models.status FROM models"
            " WHERE models.digest = model.digest"
        )


def verify(database_url: str, heads: list[LedgerHead]) -> LedgerAccount:
    async def read() -> LedgerAccount:
        async with open_pool(database_url) as pool, connection(pool) as database:
            entries = [entry async for entry in ledger.read_entries(database)]
            account = verify_entries(entries, heads)
            account.faults += await deployments.compare_with_ledger(database)
        return account

    return asyncio.run(read())


def test_every_move_has_one_entry_and_all_is_well(
    database_url: str, shipped: list[LedgerHead]
) -> None:
    account = verify(database_url, shipped)
    assert account.faults == []
    assert (account.head, account.signed_entries) == (shipped[-1], ENTRIES)
    with psycopg.connect(database_url) as opened:
        events = opened.execute(
            "SELECT ledger_entry_id FROM riskgate.deployment_event ORDER BY event_id"
        ).fetchall()
    assert events == [(number,) for number in range(1, ENTRIES + 1)]


@pytest.mark.parametrize("place", [1, 5, ENTRIES])
def test_an_edited_row_is_named(
    database_url: str,
    shipped: list[LedgerHead],
    owner: psycopg.Connection[Any],
    place: int,
) -> None:
    owner.execute(
        "UPDATE riskgate.ledger_entry SET entry = replace(entry, 'better', 'bitter')"
        " WHERE entry_id = %s",
        [place],
    )
    owner.execute(
        "UPDATE riskgate.ledger_entry SET entry = replace(entry, 'worse', 'worst')"
        " WHERE entry_id = %s",
        [place],
    )
    assert verify(database_url, shipped).faults[0].entry_id == place


@pytest.mark.parametrize("place", [1, 5, ENTRIES - 1])
def test_an_edited_row_with_its_own_hash_is_named(
    database_url: str,
    shipped: list[LedgerHead],
    owner: psycopg.Connection[Any],
    place: int,
) -> None:
    query = "SELECT entry FROM riskgate.ledger_entry WHERE entry_id = %s"
    (text,) = owner.execute(query, [place]).fetchone() or ("",)
    forged = text.replace('"reason":"', '"reason":"not ')
    owner.execute(
        "UPDATE riskgate.ledger_entry SET entry = %s, leaf_hash = %s WHERE entry_id = %s",
        [forged, hash_leaf(forged.encode()), place],
    )
    assert verify(database_url, shipped).faults[0].entry_id == place


def test_a_deleted_row_is_named(
    database_url: str, shipped: list[LedgerHead], owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DELETE FROM riskgate.ledger_entry WHERE entry_id = 6")
    faults = verify(database_url, shipped).faults
    assert (faults[0].entry_id, faults[0].problem) == (6, "was removed")


def test_an_inserted_row_is_named(
    database_url: str, shipped: list[LedgerHead], owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE riskgate.ledger_entry SET entry_id = entry_id + 1001 WHERE entry_id > 6")
    owner.execute(
        "UPDATE riskgate.ledger_entry SET entry_id = entry_id - 1000 WHERE entry_id > 1000"
    )
    owner.execute(
        "INSERT INTO riskgate.ledger_entry SELECT 7, entry, leaf_hash"
        " FROM riskgate.ledger_entry WHERE entry_id = 5"
    )
    assert verify(database_url, shipped).faults[0].entry_id == 7


def test_rows_that_changed_places_are_named(
    database_url: str, shipped: list[LedgerHead], owner: psycopg.Connection[Any]
) -> None:
    owner.execute("UPDATE riskgate.ledger_entry SET entry_id = 99 WHERE entry_id = 3")
    owner.execute("UPDATE riskgate.ledger_entry SET entry_id = 3 WHERE entry_id = 8")
    owner.execute("UPDATE riskgate.ledger_entry SET entry_id = 8 WHERE entry_id = 99")
    named = {fault.entry_id for fault in verify(database_url, shipped).faults}
    assert named >= {3, 8}


def test_a_cut_tail_is_named(
    database_url: str, shipped: list[LedgerHead], owner: psycopg.Connection[Any]
) -> None:
    owner.execute("DELETE FROM riskgate.ledger_entry WHERE entry_id > 9")
    owner.execute("DELETE FROM riskgate.deployment_event WHERE ledger_entry_id > 9")
    try:
        fault = verify(database_url, shipped).faults[0]
    finally:
        owner.execute(
            "INSERT INTO riskgate.deployment_event OVERRIDING SYSTEM VALUE"
            " SELECT * FROM said WHERE ledger_entry_id > 9"
        )
    assert fault.entry_id == 10
    assert "cut off" in fault.problem


def test_a_ledger_that_was_written_anew_from_a_row_on_is_found_by_the_heads(
    database_url: str, shipped: list[LedgerHead], owner: psycopg.Connection[Any]
) -> None:
    query = "SELECT entry_id, entry, leaf_hash FROM riskgate.ledger_entry ORDER BY entry_id"
    before = None
    for number, text, _ in owner.execute(query).fetchall():
        move = {name: value for name, value in json.loads(text).items() if name != "previous"}
        move.pop("entry")
        if number >= 4:
            move["reason"] = "forged"
        before = build_entry(move, before)
        owner.execute(
            "UPDATE riskgate.ledger_entry SET entry = %s, leaf_hash = %s WHERE entry_id = %s",
            [before.content.decode(), before.leaf_hash, number],
        )
    owner.execute(
        "UPDATE riskgate.deployment_event SET reason = 'forged' WHERE ledger_entry_id >= 4"
    )
    (fault,) = verify(database_url, shipped).faults
    assert fault.entry_id == 4
    assert "written anew" in fault.problem


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE riskgate.deployment_event SET reason = 'x' WHERE ledger_entry_id = 2", 2),
        ("UPDATE riskgate.deployment_event SET identity = 'x' WHERE ledger_entry_id = 5", 5),
        ("UPDATE riskgate.deployment_event SET proof = 'x' WHERE ledger_entry_id = 5", 5),
        # The newest entry of 1.1.0 says that it was withdrawn.
        ("UPDATE riskgate.model_version SET status = 'archived' WHERE version = '1.1.0'", 12),
    ],
)
def test_events_and_statuses_that_differ_from_the_ledger_are_named(
    database_url: str,
    shipped: list[LedgerHead],
    owner: psycopg.Connection[Any],
    statement: str,
    place: int,
) -> None:
    owner.execute(statement)
    (fault,) = verify(database_url, shipped).faults
    assert fault.entry_id == place


def test_the_command_verifies_with_the_heads_on_disk_and_proves_an_entry(
    database_url: str,
    shipped: list[LedgerHead],
    owner: psycopg.Connection[Any],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISKGATE_DATABASE_URL", database_url)
    key = ensure_witness_key(data_dir / "keys")
    files = HeadFiles(data_dir / HEADS_FOLDER)
    newest = shipped[-1]
    said = HeadStatement(
        number=1,
        audit_rows=0,
        audit_hash="0" * 64,
        ledger_entries=newest.entries,
        ledger_root=newest.root,
        made_at_ns=1,
        previous_sha256=NO_LINK,
    )
    with files.lock():
        files.append(sign_head(said, key), b"")
    where = ["--data-dir", str(data_dir), "--json"]
    good = CliRunner().invoke(app, ["ledger", "verify", *where])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["signed_entries"] == ENTRIES
    proved = json.loads(CliRunner().invoke(app, ["ledger", "proof", "5", *where]).stdout)
    head = LedgerHead(**proved["ledger"])
    assert head == newest
    assert is_included(proved["entry"].encode(), 5, head, proved["proof"])
    owner.execute("DELETE FROM riskgate.ledger_entry WHERE entry_id = 6")
    bad = CliRunner().invoke(app, ["ledger", "verify", "--data-dir", str(data_dir)])
    assert bad.exit_code == 1
    assert "entry 6 was removed" in bad.output
