"""Checkpoints in PostgreSQL and in the file: one is changed, lost, or behind after a crash."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from server.cli import app
from server.errors import JournalTamperedError, UnavailableError
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.seals import Sealer
from server.journal.verification import Verified, verify_journal
from server.record.journal_checkpoints import JournalCheckpoints
from server.record.migrate import migrate
from server.security.keys import ensure_checkpoint_key
from server.shards import WHOLE, Shard
from tests.journal_builder import JournalBuilder
from tests.journal_tampering import tamper, write_random

Database = psycopg.Connection[tuple[Any, ...]]


class Sealed:
    """A journal whose checkpoints are kept in both places."""

    def __init__(self, root: Path, url: str, record: JournalCheckpoints) -> None:
        self.root, self.url, self.record = root, url, record
        self.journal = root / "journal"
        self.files = CheckpointFiles(root / "checkpoints")
        self.key = ensure_checkpoint_key(root / "keys")
        self.number = 1
        self.epoch = 0

    def grow(self, count: int = 150) -> None:
        self.epoch += 1
        with JournalBuilder(
            self.journal, segment_bytes=1 << 14, number=self.number, epoch=self.epoch
        ) as builder:
            write_random(builder, random.Random(self.epoch), count)
        self.number = builder.number

    def seal(self, record: JournalCheckpoints | None = None) -> int:
        return Sealer(self.journal, self.key, self.files, record or self.record).seal()

    def verify(self) -> Verified:
        return verify_journal(self.journal, self.key.public_key(), self.files, self.record)

    def problems(self) -> list[str]:
        return [finding.problem for finding in self.verify().findings]

    @property
    def statements(self) -> Path:
        return self.root / "checkpoints" / "statements.jsonl"

    def run(self, *words: str) -> Any:
        environment = {"RISKGATE_DATABASE_URL": self.url}
        return CliRunner().invoke(
            app, ["journal", "verify", "--data-dir", str(self.root), *words], env=environment
        )


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
        migrate(database_url)
        yield connection


@pytest.fixture
def sealed(database: Database, database_url: str, tmp_path: Path) -> Iterator[Sealed]:
    with JournalCheckpoints(database_url) as record:
        kept = Sealed(tmp_path, database_url, record)
        kept.grow()
        kept.seal()
        yield kept


def change(database: Database, statement: str) -> None:
    """Do what an administrator of the database can do."""
    table = "riskgate.journal_checkpoint"
    database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    database.execute(statement)
    database.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def test_both_places_hold_the_same_and_agree(sealed: Sealed, database: Database) -> None:
    assert list(sealed.record.read()) == list(sealed.files.read())
    assert sealed.record.read_last() == sealed.files.read_last()
    rows = database.execute(
        "SELECT sum(entry_count)::int, sum(length(fingerprints))::int"
        " FROM riskgate.journal_checkpoint"
    )
    assert rows.fetchone() == (sealed.number - 1, 8 * (sealed.number - 1))
    verified = sealed.verify()
    assert verified.is_intact
    assert verified.entry_count == sealed.number - 1


def test_a_second_run_seals_nothing_twice(sealed: Sealed, database: Database) -> None:
    assert sealed.seal() == 0
    sealed.grow()
    assert sealed.seal() > 0
    numbers = database.execute("SELECT number FROM riskgate.journal_checkpoint ORDER BY number")
    found = [number for (number,) in numbers.fetchall()]
    assert found == list(range(1, len(found) + 1))
    assert sealed.verify().is_intact


def test_a_crash_between_the_two_places_is_no_alarm_and_is_mended(sealed: Sealed) -> None:
    lines = sealed.statements.read_bytes().splitlines(keepends=True)
    sealed.statements.write_bytes(b"".join(lines[:-1]))
    assert sealed.verify().is_intact
    sealed.seal()
    assert sealed.statements.read_bytes() == b"".join(lines)


def test_a_file_that_lost_more_is_named(sealed: Sealed) -> None:
    lines = sealed.statements.read_bytes().splitlines(keepends=True)
    sealed.statements.write_bytes(lines[0])
    assert sealed.problems() == [
        f"the file ends with checkpoint 1, there are {len(lines)}",
    ]


def test_a_database_that_lost_its_tail_is_named(sealed: Sealed, database: Database) -> None:
    last = len(list(sealed.files.read()))
    change(
        database,
        "DELETE FROM riskgate.journal_checkpoint WHERE number ="
        " (SELECT max(number) FROM riskgate.journal_checkpoint)",
    )
    assert sealed.problems() == [
        f"PostgreSQL ends with checkpoint {last - 1}, there are {last}",
    ]


def test_a_row_missing_from_the_middle_is_named(sealed: Sealed, database: Database) -> None:
    change(database, "DELETE FROM riskgate.journal_checkpoint WHERE number = 2")
    (problem,) = sealed.problems()
    assert problem.startswith("checkpoint 2 in PostgreSQL: ")
    assert "number 3 stands in place of 2" in problem


def test_a_changed_row_is_named(sealed: Sealed, database: Database) -> None:
    change(
        database,
        "UPDATE riskgate.journal_checkpoint SET envelope = set_byte(envelope, 60,"
        " get_byte(envelope, 60) # 1) WHERE number = 2",
    )
    (problem,) = sealed.problems()
    assert problem.startswith("checkpoint 2 in PostgreSQL: ")


def test_tables_that_are_gone_are_named(sealed: Sealed, database: Database) -> None:
    database.execute("DROP TABLE riskgate.journal_checkpoint")
    assert sealed.problems()[0].startswith("PostgreSQL ends with checkpoint 0")
    result = sealed.run()
    assert result.exit_code == 1
    assert "PostgreSQL ends with checkpoint 0" in result.stderr


def test_the_journal_is_judged_by_the_place_that_is_left(
    sealed: Sealed, database: Database
) -> None:
    change(database, "DELETE FROM riskgate.journal_checkpoint WHERE number > 1")
    number = tamper(sealed.journal, "edit", sealed.number - 1, random.Random(5))
    of_database, of_journal = sealed.verify().findings
    assert of_database.kind == "checkpoint"
    assert (of_journal.kind, of_journal.entry_number) == ("altered", number)


def test_a_cut_journal_is_found_by_the_database_alone(sealed: Sealed) -> None:
    sealed.statements.unlink()
    number = tamper(sealed.journal, "cut", sealed.number - 1, random.Random(5))
    of_file, of_journal = sealed.verify().findings
    assert of_file.problem.startswith("the file ends with checkpoint 0")
    assert (of_journal.kind, of_journal.entry_number) == ("cut", number)


def test_two_histories_signed_by_the_same_key_are_named(
    sealed: Sealed, tmp_path: Path, database: Database
) -> None:
    # Who holds the key can forge, but has to reach both places at once.
    other = Sealed(tmp_path / "forged", sealed.url, sealed.record)
    other.key, other.epoch = sealed.key, 5
    other.grow()
    Sealer(other.journal, other.key, other.files, None).seal()
    sealed.statements.write_bytes(other.statements.read_bytes())
    assert "different checkpoints under number 1, both signed" in sealed.problems()[0]
    with pytest.raises(JournalTamperedError):
        sealed.seal()


def test_an_emptied_database_is_filled_from_the_file(sealed: Sealed, database: Database) -> None:
    change(database, "TRUNCATE riskgate.journal_checkpoint")
    assert sealed.problems()
    sealed.seal()
    assert sealed.verify().is_intact
    assert list(sealed.record.read()) == list(sealed.files.read())


def test_a_lost_file_is_filled_from_the_database(sealed: Sealed) -> None:
    whole = sealed.statements.read_bytes()
    for path in sealed.statements.parent.iterdir():
        path.unlink()
    sealed.seal()
    assert sealed.statements.read_bytes() == whole
    number = tamper(sealed.journal, "edit", sealed.number - 1, random.Random(5))
    assert sealed.verify().findings[0].entry_number == number


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE riskgate.journal_checkpoint SET segment = 1",
        "DELETE FROM riskgate.journal_checkpoint",
        "TRUNCATE riskgate.journal_checkpoint",
    ],
)
def test_rows_are_not_changed_by_accident(
    sealed: Sealed, database: Database, statement: str
) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation):
        database.execute(statement)


def test_shards_keep_their_checkpoints_apart(sealed: Sealed, database_url: str) -> None:
    with JournalCheckpoints(database_url, Shard(1, 2)) as other:
        assert other.read_last() is None
    with JournalCheckpoints(database_url, WHOLE) as same:
        assert same.read_last() == sealed.files.read_last()


def test_nothing_is_sealed_while_postgresql_is_away(sealed: Sealed) -> None:
    before = sealed.statements.read_bytes()
    sealed.grow()
    with (
        JournalCheckpoints("postgresql://nobody@127.0.0.1:1/none") as away,
        pytest.raises(UnavailableError),
    ):
        sealed.seal(away)
    assert sealed.statements.read_bytes() == before
    assert sealed.seal() > 0
    assert sealed.verify().is_intact


def test_what_postgresql_refuses_is_not_in_the_file_either(
    sealed: Sealed, database: Database
) -> None:
    before = sealed.statements.read_bytes()
    sealed.grow()
    database.execute(
        "ALTER TABLE riskgate.journal_checkpoint"
        " ADD CONSTRAINT no_room CHECK (number < 0) NOT VALID"
    )
    with pytest.raises(UnavailableError):
        sealed.seal()
    assert sealed.statements.read_bytes() == before


def test_a_lost_connection_is_made_anew(sealed: Sealed, database: Database) -> None:
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'riskgate-checkpoints' AND datname = current_database()"
    )
    sealed.grow()
    with pytest.raises(UnavailableError):
        sealed.seal()
    assert sealed.seal() > 0
    assert sealed.verify().is_intact


def test_two_sealers_at_once_make_each_checkpoint_once(sealed: Sealed) -> None:
    sealed.grow()
    with sealed.files.lock(), pytest.raises(UnavailableError, match="another process"):
        sealed.seal()
    assert sealed.seal() > 0
    assert sealed.verify().is_intact


def test_verify_says_what_it_counted(sealed: Sealed) -> None:
    result = sealed.run()
    assert result.exit_code == 0, result.output
    count = sealed.number - 1
    verified = sealed.verify()
    assert result.stdout == (
        f"{count} entries, {verified.segment_count} segments, {verified.checkpoint_count} "
        f"checkpoints: intact, sealed up to entry {count}\n"
    )
    assert result.stderr == ""


def test_verify_names_the_first_entry_and_exits_with_1(sealed: Sealed) -> None:
    number = tamper(sealed.journal, "cut", sealed.number - 1, random.Random(5))
    result = sealed.run("--from-record")
    assert result.exit_code == 1
    assert f"cut: entry {number}, segment " in result.stderr
    assert f"entry {sealed.number - 1} was sealed" in result.stderr
    assert "NOT intact" in result.stdout


def test_verify_without_postgresql_says_so(sealed: Sealed) -> None:
    result = sealed.run("--no-record")
    assert result.exit_code == 0
    assert "note: PostgreSQL was not asked" in result.stderr
    sealed.url = "postgresql://nobody@127.0.0.1:1/none"
    assert sealed.run().exit_code == 0
    assert "note: PostgreSQL was not asked" in sealed.run().stderr
    assert sealed.run("--from-record").exit_code == 1


def test_verify_takes_a_public_key_that_was_kept_elsewhere(sealed: Sealed, tmp_path: Path) -> None:
    # The one in the data directory may be replaced together with everything else in it.
    elsewhere = tmp_path / "elsewhere"
    ensure_checkpoint_key(elsewhere)
    result = sealed.run("--key", str(elsewhere / "checkpoint.pub.pem"))
    assert result.exit_code == 1
    assert "not signed by the checkpoint key" in result.stderr
    assert sealed.run("--key", str(sealed.root / "keys" / "checkpoint.pub.pem")).exit_code == 0


def test_verify_without_a_key_says_which_is_missing(sealed: Sealed) -> None:
    (sealed.root / "keys" / "checkpoint.pub.pem").unlink()
    result = sealed.run()
    assert result.exit_code == 1
    assert "checkpoint.pub.pem" in result.stderr


def test_verify_as_json_holds_the_findings(sealed: Sealed) -> None:
    import json

    assert json.loads(sealed.run("--json").stdout)["intact"] is True
    tamper(sealed.journal, "edit", sealed.number - 1, random.Random(5))
    outcome = json.loads(sealed.run("--json").stdout)
    assert outcome["intact"] is False
    assert outcome["findings"][0]["kind"] == "altered"


def test_the_key_of_checkpoints_is_made_once_and_is_not_the_authors(tmp_path: Path) -> None:
    key = ensure_checkpoint_key(tmp_path / "keys")
    assert isinstance(key, Ed25519PrivateKey)
    again = ensure_checkpoint_key(tmp_path / "keys")
    assert again.private_bytes_raw() == key.private_bytes_raw()
    assert (tmp_path / "keys" / "checkpoint.pem").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "keys" / "author.pem").exists()
