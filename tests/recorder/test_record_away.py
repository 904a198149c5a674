"""PostgreSQL is away while decisions go on; when it is back each of them is recorded, once.

How fast the recorder makes up for it is printed (`-s`) and decides nothing: other machines, other
figures. `RISKGATE_AWAY_S` shortens the campaign's 10 minutes.
"""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import psycopg
import pytest
from psycopg import sql

from riskgate.v1.decision_pb2 import DecideRequest
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import wait_until
from server.hotpath.journal.entries import KIND_DECIDE
from server.journal.reader import read_call, read_entries
from server.record.archive import Database
from server.recorder.progress import Progress
from tests.recorded_journal import SECOND_NS, RecordedJournal
from tests.recorder.conftest import kill_postgres
from tests.recorder.test_kills import recording

_SEGMENT_BYTES: Final = 16 << 20
_TICK_S: Final = 0.005
_SAMPLE_S: Final = 0.02
_START_S_MAX: Final = 60
# Nobody waits for a recorder that is slower than what arrives: then the arrivals end first.
_DRAIN_S_MIN: Final = 30.0
_DRAIN_FACTOR: Final = 2.0


class SteadyJournal(RecordedJournal):
    """Writes decisions that differ in little, so that the writer leaves the machine to others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, segment_bytes=_SEGMENT_BYTES)
        self._made = self._decision("")
        self.sequence = 0

    def write_next(self) -> None:
        """Write one decision of this moment about an order of its own."""
        request, answer, reading = self._made
        self.sequence += 1
        self.now_ns = time.time_ns()
        request.client_order_id = f"order-{self.sequence}"
        request.signal_id = f"signal-{self.sequence}"
        answer.decision_id = self.sequence
        answer.reservation_expires_at.seconds = self.now_ns // SECOND_NS + 30
        reading["decided_ns"] = self.now_ns
        self._write(request, answer, reading)
        self.written.clear()


class Arrivals:
    """Decisions that another process writes at a steady rate.

    Args:
        folder: Of the journal.
        rate_per_s: How many.

    Attributes:
        entry_number: Newest entry, shared.
        late_ms: How late the latest decision was, shared.
    """

    def __init__(self, folder: Path, rate_per_s: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.entry_number = context.Value("q", 0)
        self.late_ms = context.Value("d", 0.0)
        self._stop_asked = context.Event()
        shared = (self.entry_number, self.late_ms, self._stop_asked)
        self._process = context.Process(target=write_steadily, args=(folder, rate_per_s, *shared))

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._stop_asked.set()
        self._process.join()
        assert self._process.exitcode == 0


def write_steadily(
    folder: Path, rate_per_s: int, entry_number: Any, late_ms: Any, stop_asked: Any
) -> None:
    with SteadyJournal(folder) as journal:
        began_s = time.monotonic()
        while not stop_asked.wait(_TICK_S):
            passed_s = time.monotonic() - began_s
            late_s = passed_s - (journal.sequence + 1) / rate_per_s
            late_ms.value = max(late_ms.value, late_s * 1_000)
            due = int(passed_s * rate_per_s)
            while journal.sequence < due:
                journal.write_next()
            entry_number.value = journal.number - 1


@contextmanager
def arriving(folder: Path, rate_per_s: int) -> Iterator[Arrivals]:
    arrivals = Arrivals(folder, rate_per_s)
    arrivals.start()
    try:
        yield arrivals
    finally:
        arrivals.stop()


class Drain(NamedTuple):
    """From the first commit behind the absence until the recorder had caught up."""

    wait_s: float  # from PostgreSQL's return to that commit
    seconds: float
    recorded: int
    arrived: int
    caught_up: bool
    cpu_us: float  # processor time of the recorder, from PostgreSQL's return on, per entry

    def describe(self) -> str:
        if not self.seconds:
            return f"first commit after {self.wait_s:.1f} s, which caught up"
        drained, arrived = self.recorded / self.seconds, self.arrived / self.seconds
        return (
            f"first commit after {self.wait_s:.1f} s; then {self.recorded:,} entries in "
            f"{self.seconds:.1f} s: drain {drained:,.0f}/s ÷ arrival {arrived:,.0f}/s = "
            f"{drained / max(arrived, 1):.2f}{'' if self.caught_up else ', not caught up'}; "
            f"the recorder used {self.cpu_us:.0f} µs of a processor per entry"
        )


def measure_drain(
    arrivals: Arrivals,
    recorded_number: Callable[[], int],
    read_cpu_s: Callable[[], float],
    *,
    rate_per_s: int,
    backlog: int,
) -> Drain:
    """Watch from PostgreSQL's return on."""
    before, returned_s, cpu_s = recorded_number(), time.monotonic(), read_cpu_s()
    assert wait_until(lambda: recorded_number() > before, timeout_s=_START_S_MAX)
    first, arrived = recorded_number(), arrivals.entry_number.value
    began_s = now_s = time.monotonic()
    limit_s = max(_DRAIN_S_MIN, _DRAIN_FACTOR * backlog / rate_per_s)
    recorded = first
    while (behind := arrivals.entry_number.value - recorded) > rate_per_s:
        if now_s - began_s > limit_s:
            break
        time.sleep(_SAMPLE_S)
        recorded, now_s = recorded_number(), time.monotonic()
    return Drain(
        began_s - returned_s,
        now_s - began_s,
        recorded - first,
        arrivals.entry_number.value - arrived,
        behind <= rate_per_s,
        (read_cpu_s() - cpu_s) * 1e6 / (recorded - before),
    )


def assert_each_decision_is_recorded_once(database: Database, journal: Path) -> int:
    """Compare row by row with the journal; return how many decisions there are."""
    decided = (
        (entry.number, entry.epoch, entry.sequence, order_of(read_call(entry).request))
        for entry in read_entries(journal)
        if entry.kind == KIND_DECIDE
    )
    count = 0
    with database.transaction(), database.cursor(name="rows") as rows:
        rows.itersize = 10_000
        rows.execute(
            "SELECT entry_number, epoch, sequence, client_order_id FROM riskgate.decision "
            "ORDER BY entry_number, sequence"
        )
        for row, made in zip_longest(rows, decided):
            assert row == made
            count += 1
    for table in ("decision", "decision_binding", "prediction", "reservation"):
        found = database.execute(
            sql.SQL("SELECT count(*), count(DISTINCT (epoch, sequence)) FROM {}").format(
                sql.Identifier("riskgate", table)
            )
        )
        assert found.fetchone() == (count, count), table
    return count


def order_of(request: bytes) -> str:
    return DecideRequest.FromString(request).client_order_id


def run_away(postgres: EmbeddedPostgres, *, rate_per_s: int, away_s: float) -> None:
    with tempfile.TemporaryDirectory(prefix="riskgate-away-") as place:
        folder, journal = Path(place), Path(place) / "journal"

        def progress() -> Progress | None:
            return Progress.read(folder / "recorder.json")

        def recorded_number() -> int:
            said = progress()
            return said.entry_number if said else 0

        def cpu_s() -> float:
            return sum(psutil.Process(recorder.pid).cpu_times()[:2])

        with recording(journal, postgres.url, folder) as recorder:
            with arriving(journal, rate_per_s) as arrivals:
                assert wait_until(lambda: recorded_number() > 1, timeout_s=_START_S_MAX)
                kill_postgres(postgres)
                left = arrivals.entry_number.value
                assert wait_until(lambda: bool((said := progress()) and said.problem), timeout_s=30)
                time.sleep(away_s)
                assert recorder.poll() is None, (folder / "recorder.log").read_text()
                postgres.start()
                backlog = arrivals.entry_number.value - left
                drain = measure_drain(
                    arrivals, recorded_number, cpu_s, rate_per_s=rate_per_s, backlog=backlog
                )
            last = arrivals.entry_number.value
            assert wait_until(lambda: recorded_number() == last, timeout_s=600)
            recorder.terminate()
            assert recorder.wait(30) == 0
        with psycopg.connect(postgres.url, autocommit=True) as database:
            count = assert_each_decision_is_recorded_once(database, journal)
    assert count == last - 1  # the first entry is no decision
    assert backlog > rate_per_s * away_s / 2
    print(  # noqa: T201 - figures to read
        f"\nPostgreSQL away {away_s:g} s at {rate_per_s:,}/s: N = {count:,} decisions, "
        f"{backlog:,} of them meanwhile, the latest {arrivals.late_ms.value:.0f} ms late; "
        f"0 lost, 0 twice; {drain.describe()}; load {os.getloadavg()[0]:.1f} "
        f"on {os.cpu_count()} processors"
    )


def test_decisions_when_postgresql_was_away_then_are_recorded_once(
    postgres: EmbeddedPostgres,
) -> None:
    run_away(postgres, rate_per_s=500, away_s=3.0)


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
def test_decisions_when_postgresql_was_away_for_10_minutes_then_are_recorded_once(
    postgres: EmbeddedPostgres,
) -> None:
    run_away(postgres, rate_per_s=5_000, away_s=float(os.environ.get("RISKGATE_AWAY_S", "600")))
