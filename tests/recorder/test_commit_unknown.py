"""Fault 5 of the fault matrix: the line is cut around a COMMIT, at every byte of it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from riskgate.v1 import types_pb2 as types
from server.record.archive import Database
from server.recorder.recording import Recorder
from tests.cutting_proxy import ANSWER_BYTES, COMMIT, CuttingProxy
from tests.recorded_journal import RecordedJournal


@pytest.fixture
def proxy(migrated_url: str) -> Iterator[CuttingProxy]:
    # Not below pytest's own folder: the path of a socket is short.
    folder = Path(tempfile.mkdtemp(prefix="riskgate-proxy-"))
    with CuttingProxy(migrated_url, folder, b"UPDATE riskgate.journal_offset") as proxy:
        yield proxy
    shutil.rmtree(folder)


def record(journal: RecordedJournal, url: str, folder: Path) -> None:
    def stop_behind_last(number: int) -> None:
        if number == journal.number - 1:
            recorder.stop_asked.set()

    recorder = Recorder(journal.folder, url, folder / "recorder.json", on_recorded=stop_behind_last)
    recorder.run()


def test_rows_when_the_line_is_cut_at_any_byte_of_a_commit_then_are_there_once(
    journal: RecordedJournal, proxy: CuttingProxy, database: Database, tmp_path: Path
) -> None:
    cuts: list[tuple[int, int | None]] = [(sent, None) for sent in range(len(COMMIT) + 1)]
    cuts += [(len(COMMIT), heard) for heard in range(ANSWER_BYTES + 1)]
    made = []
    for number, (sent, heard) in enumerate(cuts, 1):
        order = f"order-{number}"
        made.append(journal.decide(order))
        journal.report(types.REPORT_KIND_CLOSE, order, price=1.0898, realised_pnl=-1.0)
        proxy.cut(request_bytes=sent, answer_bytes=heard)
        record(journal, proxy.url, tmp_path)
        assert proxy.cuts == number
    found = database.execute("SELECT epoch, sequence FROM riskgate.decision ORDER BY sequence")
    assert found.fetchall() == made
    for table, count in (("execution_log", len(cuts)), ("prediction", len(cuts))):
        found = database.execute(f"SELECT FROM riskgate.{table}")
        assert found.rowcount == count
    days = database.execute("SELECT closes, profit FROM riskgate.provider_day").fetchall()
    assert days == [(len(cuts), -len(cuts))]
    assert database.execute("SELECT entry_number FROM riskgate.journal_offset").fetchone() == (
        journal.number - 1,
    )
