"""Recorder and PostgreSQL are killed at random moments under load; every entry is there once."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import psycopg
import pytest

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import DecideResponse
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import wait_until
from server.hotpath.journal.entries import KIND_DECIDE, KIND_REPORT
from server.journal.reader import read_call, read_entries
from server.record.archive import Database
from tests.recorded_journal import RecordedJournal
from tests.recorder.conftest import kill_postgres

ROOT: Final = Path(__file__).parents[2]
SEED: Final = 20261121
RECORD: Final = """
import signal, sys
from pathlib import Path
from server.recorder.recording import Recorder
recorder = Recorder(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
signal.signal(signal.SIGTERM, lambda *_: recorder.stop_asked.set())
recorder.run()
"""


class Writer:
    """Writes orders and their reports until it is asked to stop."""

    def __init__(self, journal: RecordedJournal) -> None:
        self._journal = journal
        self._stop_asked = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.orders = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_asked.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop_asked.wait(0.01):
            for _ in range(10):
                order = f"order-{self.orders}"
                self._journal.decide(order)
                self._journal.report(types.REPORT_KIND_FILL, order, price=1.10004)
                self._journal.report(types.REPORT_KIND_FILL, order, price=1.2, outcome=2)
                self._journal.report(types.REPORT_KIND_CLOSE, order, realised_pnl=-1.0)
                self.orders += 1


@contextmanager
def recording(journal: Path, url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "recorder.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RECORD, str(journal), url, str(folder / "recorder.json")],
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def recorded_number(url: str) -> int:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            row = connection.execute("SELECT entry_number FROM riskgate.journal_offset").fetchone()
    except psycopg.OperationalError:
        return 0
    return row[0] if row else 0


def assert_rows_equal_journal(database: Database, journal: Path, orders: int) -> None:
    decided, reported = [], []
    for entry in read_entries(journal):
        if entry.kind == KIND_DECIDE:
            answer = DecideResponse.FromString(read_call(entry).answer)
            decided.append((entry.number, answer.epoch, answer.decision_id))
        elif entry.kind == KIND_REPORT:
            reported.append((entry.number, entry.epoch, entry.sequence))
    rows = database.execute(
        "SELECT entry_number, epoch, sequence FROM riskgate.decision ORDER BY 1"
    )
    assert rows.fetchall() == decided
    rows = database.execute(
        "SELECT entry_number, epoch, sequence FROM riskgate.execution_log ORDER BY 1"
    )
    assert rows.fetchall() == reported
    filled = database.execute(
        "SELECT count(*), count(actual_value), min(actual_value), max(actual_value) "
        "FROM riskgate.prediction"
    ).fetchone()
    assert filled is not None
    assert filled[:2] == (orders, orders)
    assert float(filled[2]) == float(filled[3]) == 0.4
    assert database.execute(
        "SELECT count(*) FROM riskgate.reservation WHERE state = 'committed'"
    ).fetchone() == (orders,)
    assert database.execute("SELECT sum(closes) FROM riskgate.provider_day").fetchone() == (orders,)


def run_kills(postgres: EmbeddedPostgres, folder: Path, *, kills: int, outages: int) -> None:
    dice = random.Random(SEED)
    outages_at = set(dice.sample(range(kills), outages))
    places = [0]
    with RecordedJournal(folder / "journal", step_ns=1_000_000) as journal:
        with Writer(journal) as writer:
            for number in range(kills):
                with recording(journal.folder, postgres.url, folder) as process:
                    if number % 3:
                        # In the middle of its batches; else perhaps before it is connected.
                        assert wait_until(
                            lambda: recorded_number(postgres.url) > places[-1], timeout_s=60
                        )
                    time.sleep(dice.uniform(0.0, 1.0))
                    if number in outages_at:
                        kill_postgres(postgres)
                        postgres.start()
                        time.sleep(dice.uniform(0.0, 1.0))
                    assert process.poll() is None, (folder / "recorder.log").read_text()
                places.append(recorded_number(postgres.url))
        last = journal.number - 1
        with recording(journal.folder, postgres.url, folder) as process:
            assert wait_until(lambda: recorded_number(postgres.url) == last, timeout_s=120)
            process.terminate()
            assert process.wait(30) == 0
        with psycopg.connect(postgres.url) as database:
            assert_rows_equal_journal(database, journal.folder, writer.orders)
    # Most of the kills came while it was at work.
    assert len(set(places)) > kills / 2


def test_rows_when_recorder_and_postgresql_are_killed_then_equal_the_journal(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    run_kills(postgres, tmp_path, kills=8, outages=2)


@pytest.mark.campaign
@pytest.mark.timeout(1_800)
def test_rows_when_recorder_and_postgresql_are_killed_100_times_then_equal_the_journal(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    run_kills(postgres, tmp_path, kills=100, outages=20)
