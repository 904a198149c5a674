"""Behind the recorder: segments go once recorded and in a snapshot, failures are tried again."""

from pathlib import Path

import pytest

from server.embedded.process import wait_until
from server.errors import JournalTrimmedError
from server.journal.budget import JournalBudget
from server.journal.segments import list_segments
from server.recorder.housekeeping import STEP_ENTRIES, Housekeeper
from tests.recorded_journal import RecordedJournal

SEGMENT_BYTES = 1 << 16


class CountingFollower:
    """Stands where it was told to; its snapshots are as new as the test says."""

    def __init__(self, last_number: int, snapshotted_number: int) -> None:
        self.followed_number = 0
        self.snapshotted_number = snapshotted_number
        self.steps: list[int] = []
        self.is_closed = False
        self._last_number = last_number

    def advance(self, last_number: int) -> bool:
        self.steps.append(last_number)
        self.followed_number = min(last_number, self._last_number)
        return self.followed_number == last_number

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def journal(tmp_path: Path) -> RecordedJournal:
    """Eight full segments."""
    with RecordedJournal(tmp_path / "journal", segment_bytes=SEGMENT_BYTES) as journal:
        while len(list_segments(journal.folder)) < 9:
            journal.decide()
    return journal


def run(journal: RecordedJournal, recorded: int, snapshotted: int) -> CountingFollower:
    """Keep house until all is followed, with a budget that is far exceeded."""
    follower = CountingFollower(journal.number - 1, snapshotted)
    budget = JournalBudget(journal.folder, 4 * SEGMENT_BYTES)
    keeper = Housekeeper(lambda: follower, budget, lambda: recorded)
    keeper.start()
    assert wait_until(lambda: len(follower.steps) > 2, timeout_s=30)
    keeper.stop()
    assert follower.is_closed
    return follower


@pytest.mark.parametrize("late", ["recorded", "snapshotted"])
def test_segments_when_either_is_late_then_stay_from_there_on(
    late: str, journal: RecordedJournal
) -> None:
    segments = list_segments(journal.folder)
    # One entry of the third segment is still needed.
    needed, newest = segments[2].first_entry + 1, journal.number - 1
    run(journal, *((needed - 1, newest) if late == "recorded" else (newest, needed - 1)))
    assert [each.number for each in list_segments(journal.folder)] == list(range(3, 10))


def test_segments_when_all_is_safe_then_go_until_the_budget_is_met(
    journal: RecordedJournal,
) -> None:
    run(journal, journal.number - 1, journal.number - 1)
    # 70 % of four segments.
    assert [each.number for each in list_segments(journal.folder)] == [8, 9]


def test_the_follower_when_far_behind_then_goes_in_steps(journal: RecordedJournal) -> None:
    follower = run(journal, 0, 0)
    assert follower.steps[0] == STEP_ENTRIES
    assert len(list_segments(journal.folder)) == 9


def test_a_failure_when_it_lasts_then_is_said_once_and_tried_again(
    journal: RecordedJournal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.recorder.housekeeping._PAUSE_S", 0.01)
    tries: list[int] = []

    def fail() -> CountingFollower:
        tries.append(1)
        raise JournalTrimmedError(1, 5)

    keeper = Housekeeper(fail, JournalBudget(journal.folder, 1 << 30), lambda: 0)
    keeper.start()
    assert wait_until(lambda: len(tries) > 3, timeout_s=30)
    keeper.stop()
    said = [record.message for record in caplog.records if "no snapshots" in record.message]
    assert len(said) == 1
    assert "entry 1, the oldest is 5" in said[0]
