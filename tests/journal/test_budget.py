"""The disk budget: warned in time, and nothing goes that somebody still needs."""

import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.errors import JournalCorruptError, JournalFullError
from server.hotpath.journal.entries import HEADER_BYTES
from server.journal.budget import JournalBudget
from server.journal.reader import read_entries
from server.journal.segments import list_numbers, list_segments, segment_path
from tests.journal_builder import JournalBuilder, overwrite

SMALL = 2 * HEADER_BYTES
TEN_SEGMENTS = 10 * SMALL
ALL = 10**9


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_segments(tmp_path / "journal", 10)


def write_segments(folder: Path, count: int) -> Path:
    with JournalBuilder(folder, segment_bytes=SMALL, started=False) as builder:
        for _ in range(count):
            builder.rotate()
            builder.clock()
            builder.clock()
    return folder


def test_budget_when_measured_then_counts_prepared_segments_too(folder: Path) -> None:
    segment_path(folder, 11).write_bytes(bytes(SMALL))
    assert JournalBudget(folder, ALL).measure() == 11 * SMALL


@pytest.mark.parametrize(("used_percent", "is_short"), [(69, False), (70, True), (101, True)])
def test_budget_when_seventy_percent_are_used_then_warns_once(
    folder: Path, caplog: pytest.LogCaptureFixture, used_percent: int, is_short: bool
) -> None:
    budget = JournalBudget(folder, TEN_SEGMENTS * 100 // used_percent)
    with caplog.at_level(logging.WARNING, "server.journal"):
        budget.measure()
        budget.measure()
    assert budget.is_short is is_short
    assert len(caplog.records) == is_short


def test_segments_when_recorded_and_snapshotted_then_go_only_as_far_as_needed(
    folder: Path,
) -> None:
    budget = JournalBudget(folder, TEN_SEGMENTS)
    gone = budget.release(ALL, ALL)
    assert [path.name for path in gone] == [f"{number:010d}.segment" for number in range(1, 5)]
    assert list_numbers(folder) == [5, 6, 7, 8, 9, 10]
    assert not budget.is_short
    assert budget.release(ALL, ALL) == []
    assert [entry.number for entry in read_entries(folder)] == list(range(9, 21))


@pytest.mark.parametrize(("recorded", "snapshotted"), [(4, ALL), (ALL, 4), (5, 4), (4, 5)])
def test_segments_when_an_entry_of_them_is_still_needed_then_stay_even_when_full(
    folder: Path, recorded: int, snapshotted: int
) -> None:
    budget = JournalBudget(folder, SMALL)
    assert len(budget.release(recorded, snapshotted)) == 2
    assert list_numbers(folder)[0] == 3
    with pytest.raises(JournalFullError, match="journal_budget_bytes"):
        budget.check_room(SMALL)


def test_segments_when_nothing_is_recorded_then_all_stay(folder: Path) -> None:
    assert JournalBudget(folder, SMALL).release(0, ALL) == []
    assert JournalBudget(folder, SMALL).release(ALL, 0) == []
    assert len(list_numbers(folder)) == 10


def test_segment_when_it_is_the_newest_then_it_stays(folder: Path) -> None:
    JournalBudget(folder, 1).release(ALL, ALL)
    assert list_numbers(folder) == [10]


def test_segments_when_one_header_is_damaged_then_nothing_is_deleted(folder: Path) -> None:
    overwrite(segment_path(folder, 7), 20, b"\xff")
    with pytest.raises(JournalCorruptError):
        JournalBudget(folder, SMALL).release(ALL, ALL)
    assert len(list_numbers(folder)) == 10


def test_room_when_one_more_segment_fits_then_it_is_given(folder: Path) -> None:
    JournalBudget(folder, 11 * SMALL).check_room(SMALL)
    with pytest.raises(JournalFullError):
        JournalBudget(folder, 11 * SMALL - 1).check_room(SMALL)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(recorded=st.integers(0, 30), snapshotted=st.integers(0, 30), budget=st.integers(1, 20))
def test_whatever_is_released_the_rest_holds_all_that_is_needed(
    tmp_path_factory: pytest.TempPathFactory, recorded: int, snapshotted: int, budget: int
) -> None:
    folder = write_segments(tmp_path_factory.mktemp("budget") / "journal", 10)
    JournalBudget(folder, budget * SMALL).release(recorded, snapshotted)
    kept = [entry.number for entry in read_entries(folder)]
    assert kept == list(range(kept[0], 21))
    assert kept[0] <= min(recorded, snapshotted) + 1
    behind = [segment.first_entry for segment in list_segments(folder)][1:]
    is_needed = not behind or behind[0] > min(recorded, snapshotted) + 1
    assert is_needed or len(list_numbers(folder)) * 100 < budget * 70
