"""No damage to a snapshot goes unnoticed: it is refused before any of it reaches a state."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.errors import SnapshotDamagedError
from server.hotpath.memory import new_state
from server.snapshots import load_snapshot
from server.snapshots.file import Section, read_file, read_meta, write_file
from tests.small_engine import SMALL, new_small_engine, rate_change
from tests.snapshot_harness import assert_untouched, save


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    engine = new_small_engine()
    for version in range(1, 4):
        engine.submit(rate_change(version))
    engine.drain(1)
    engine.remember(1, b"an answer")
    path = save(tmp_path_factory.mktemp("whole"), engine)
    load_snapshot(path, new_state(SMALL))
    return path.read_bytes()


def assert_refused(path: Path) -> None:
    with pytest.raises(SnapshotDamagedError):
        read_meta(path)
    with pytest.raises(SnapshotDamagedError):
        read_file(path)


def test_every_byte_that_is_changed_is_noticed(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "flipped"
    path.write_bytes(whole)
    with path.open("r+b", buffering=0) as file:
        for at in range(len(whole)):
            file.seek(at)
            file.write(bytes([whole[at] ^ (1 << at % 8)]))
            with pytest.raises(SnapshotDamagedError):
                read_meta(path)
            file.seek(at)
            file.write(whole[at : at + 1])
    assert read_meta(path).entry_number == 1


@settings(deadline=None)
@given(data=st.data())
def test_any_damage_is_noticed(whole: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(whole) - 1), "first byte")
    last = data.draw(st.integers(first, len(whole)), "behind the last byte")
    instead = data.draw(st.binary(max_size=64), "what stands there instead")
    damaged = whole[:first] + instead + whole[last:]
    if damaged == whole:
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged"
        path.write_bytes(damaged)
        assert_refused(path)


def test_a_snapshot_that_is_cut_anywhere_or_too_long_is_refused(
    whole: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "cut"
    for size_bytes in (*range(0, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:size_bytes])
        assert_refused(path)
    path.write_bytes(whole + b"\0")
    assert_refused(path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing")
    assert_refused(tmp_path)


def test_a_damaged_snapshot_leaves_the_state_as_it_was(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    state = new_state(SMALL)
    with pytest.raises(SnapshotDamagedError, match="answers"):
        load_snapshot(path, state)
    assert_untouched(state)


def test_counters_that_lead_out_of_the_rows_are_refused(tmp_path: Path) -> None:
    for name, counter in (("idempotency", "idempotency_count"), ("answers", "answer_used")):
        path = save(tmp_path, new_small_engine())
        meta, arrays = read_file(path)
        engine = arrays["engine"].copy()
        engine[counter] = 3
        changed = {**arrays, "engine": engine}
        write_file(path, meta, [Section(each, [array]) for each, array in changed.items()])
        with pytest.raises(SnapshotDamagedError, match=name):
            load_snapshot(path, new_state(SMALL))


@pytest.mark.parametrize("numbers", [[2, 1], [1, 3], [1, -1], [1], [5, 2]])
def test_events_that_do_not_stand_where_they_belong_are_refused(
    tmp_path: Path, numbers: list[int]
) -> None:
    path = save(tmp_path, new_small_engine())
    meta, arrays = read_file(path)
    engine, events = arrays["engine"].copy(), np.zeros(1 + len(numbers), arrays["events"].dtype)
    engine["event_count"], events["event_id"][1:] = 2, numbers
    changed = {**arrays, "engine": engine, "events": events}
    write_file(path, meta, [Section(each, [array]) for each, array in changed.items()])
    with pytest.raises(SnapshotDamagedError, match="events"):
        load_snapshot(path, new_state(SMALL))
