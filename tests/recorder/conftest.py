"""A migrated database with one instrument, empty of everything that is recorded."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import wait_until
from server.record.archive import Database
from server.record.migrate import migrate
from server.recorder.recording import Recorder
from tests.recorded_journal import DIGEST, RecordedJournal

Record = Callable[[], Recorder]


# For each module anew: others leave the database as they like.
@pytest.fixture(scope="module")
def migrated_url(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    with psycopg.connect(migrated_url, autocommit=True, options="-c timezone=UTC") as connection:
        empty(connection)
        yield connection


@pytest.fixture
def postgres() -> Iterator[EmbeddedPostgres]:
    """One of its own, which may be killed."""
    with tempfile.TemporaryDirectory(prefix="riskgate-kills-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedPostgres(Path(folder) / "data") as service:
            migrate(service.url)
            with psycopg.connect(service.url, autocommit=True) as connection:
                empty(connection)
            yield service


def kill_postgres(service: EmbeddedPostgres) -> None:
    postmaster = psutil.Process(service.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        os.kill(process.pid, signal.SIGKILL)
    assert wait_until(lambda: not service.is_running(), timeout_s=10)


def empty(connection: Database) -> None:
    """Leave one instrument and one model, and nothing recorded."""
    connection.execute(
        "TRUNCATE riskgate.decision, riskgate.decision_binding, riskgate.prediction, "
        "riskgate.execution_log, riskgate.reservation, riskgate.journal_offset, "
        "riskgate.provider_day, riskgate.provider_metric, riskgate.instrument, "
        "riskgate.circuit_breaker_event, riskgate.kill_report CASCADE"
    )
    connection.execute(
        "INSERT INTO riskgate.instrument (symbol, base_currency, quote_currency, tick_size, "
        "pip_size, tick_value, lot_step, min_lot, max_lot, contract_size) VALUES "
        "('EURUSD', 'EUR', 'USD', 0.00001, 0.0001, 1, 0.01, 0.01, 100, 100000)"
    )
    connection.execute(
        "INSERT INTO riskgate.model_version (purpose, version, algorithm, digest, author, manifest)"
        " VALUES ('slippage', '1.2.3', 'gradient_boosting', %s, 'desk', '{}') "
        "ON CONFLICT DO NOTHING",
        [DIGEST],
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[RecordedJournal]:
    with RecordedJournal(tmp_path / "journal") as written:
        yield written


@pytest.fixture
def record(journal: RecordedJournal, migrated_url: str, tmp_path: Path) -> Record:
    """Record all that the journal has by now."""

    def run() -> Recorder:
        last = journal.number - 1

        def stop_behind_last(number: int) -> None:
            if number >= last:
                recorder.stop_asked.set()

        recorder = Recorder(
            journal.folder,
            migrated_url,
            tmp_path / "run" / "recorder.json",
            on_recorded=stop_behind_last,
        )
        recorder.run()
        return recorder

    return run
