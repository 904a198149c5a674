"""An engine that goes on from a snapshot gives the answers that the first one gives."""

import logging
import resource
from collections.abc import Iterator
from importlib.metadata import version
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1.decision_pb2 import DecideResponse
from server import snapshots
from server.errors import (
    BrokenInvariantError,
    OtherReleaseError,
    SnapshotCapacityError,
    SnapshotLayoutError,
)
from server.hotpath.layout import ARITHMETIC_VERSION, columns_of, packed_dtype
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.table import find_nb, new_table
from server.snapshots import (
    capacity_of,
    load_snapshot,
    newest_snapshot,
    remove_old_snapshots,
    snapshot_paths,
)
from server.snapshots.file import read_file
from server.snapshots.index import linked_rows
from tests.cases import Change, Event, World
from tests.snapshot_harness import (
    Sync,
    assert_untouched,
    draw_sync,
    indexes,
    lengthened,
    load,
    new_player,
    peculiarities,
    play,
    save,
)

SEED: Final = 20_261_121
POINTS: Final = 4
STRETCH: Final = 400
PECULIARITIES: Final = {
    "ids were dropped",
    "ids go around",
    "answers go around",
    "reports were dropped",
    "reports go around",
    "a position was freed",
    "a hold was closed",
    "a hold took the row of another",
    "a hold was synced",
    "a hold expires",
    "holds expire together",
    "a breaker tripped",
    "a trip was told",
    "a model is active",
    "the clock leapt",
}


def next_event(world: World, number: int) -> Event | Sync:
    event = world.next_event()
    return draw_sync(world, event.reading_ns) if number % 90 == 0 else event


def events_of(world: World, seed: int) -> Iterator[Event | Sync]:
    """Return what happens in a world; in every other one all names are as long as they may be."""
    numbered = (next_event(world, number) for number in count(1))
    for event in chain(world.initial_changes(), numbered):
        yield lengthened(event) if seed % 2 else event


def play_world(seed: int, folder: Path) -> set[str]:
    """Play one world; at some points an engine from a snapshot takes part from there on."""
    world = World(seed)
    capacity = world.capacity._replace(answer_bytes=1 << (16 + 2 * (seed % 3)))
    first = new_player(world, capacity)
    others: list[Any] = []
    seen: set[str] = set()
    events = events_of(world, seed)
    for number, event in enumerate(islice(events, (POINTS + 1) * STRETCH), 1):
        expected = play(first, event)
        for other in others:
            assert play(other, event) == expected, f"world {seed}, event {number}"
        world.sequence = int(first.state.engine[0]["sequence"])
        if number % STRETCH == 0:
            seen |= peculiarities(first.state)
            path = save(folder, first, number)
            bytes_of_first = path.read_bytes()
            for other in others:
                assert save(folder, other, number).read_bytes() == bytes_of_first
            others.append(load(path, capacity))
            found, expected = indexes(others[-1].state), indexes(first.state)
            assert found.keys() == expected.keys()
            for name, held in expected.items():
                assert np.array_equal(found[name], held), name
            assert np.array_equal(others[-1].state.wheel, first.state.wheel)
    return seen


def test_an_engine_that_goes_on_from_a_snapshot_answers_like_the_first(tmp_path: Path) -> None:
    seen: set[str] = set()
    for seed in range(SEED, SEED + 12):
        seen |= play_world(seed, tmp_path)
    assert seen == PECULIARITIES


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_engines_that_go_on_from_snapshots_answer_like_the_first_in_many_worlds(
    tmp_path: Path,
) -> None:
    for seed in range(SEED + 100, SEED + 500):
        play_world(seed, tmp_path)


# --- Another capacity -------------------------------------------------------------------------


def played(seed: int, events: int, **capacity: int) -> tuple[World, Any]:
    """Return a world and an engine that has been through some of its events."""
    world = World(seed)
    engine = new_player(world, world.capacity._replace(**capacity))
    for beginning in world.initial_changes():
        play(engine, beginning)
    for number in range(1, events):
        play(engine, next_event(world, number))
        world.sequence = int(engine.state.engine[0]["sequence"])
    return world, engine


# A narrow world: its rings of ids, reports and answers have gone around.
NARROW_SEED: Final = 20_261_125


def test_rings_that_go_around_fit_into_another_capacity(tmp_path: Path) -> None:
    world, first = played(NARROW_SEED, 1_500, answer_bytes=1 << 15)
    around = {"ids go around", "answers go around", "reports go around"}
    for number in range(1, 2_000):
        if around <= peculiarities(first.state):
            break
        play(first, next_event(world, number))
    assert around <= peculiarities(first.state)
    path = save(tmp_path, first)
    capacity = capacity_of(first.state)
    wider = capacity._replace(idempotency=72, answer_bytes=36_000, positions=90, accounts=99)
    second = load(path, wider)
    # As little as holds what is in use.
    used = int(first.state.engine[0]["answer_used"])
    count = int(first.state.engine[0]["idempotency_count"])
    reports = int(first.state.engine[0]["report_count"])
    least = capacity._replace(answer_bytes=used, idempotency=max(count, reports))
    third = load(path, least)
    rows = first.state.idempotency.rows
    for row in linked_rows(first.state, "idempotency"):
        key = np.concatenate([rows["account_row"][row : row + 1], rows["client_order_id"][row]])
        for other in (second, third):
            moved = find_nb(other.state.idempotency.record[0], key, len(key))
            assert other.stored_answer(moved) == first.stored_answer(row) != b""
    seen: set[str] = set()
    # The rings go on from where they begin now, and around again.
    for number in range(1, 300):
        event = next_event(world, number)
        if not isinstance(event, Change):
            play(second, event)
        seen |= peculiarities(second.state)
    assert {"ids were dropped", "ids go around", "answers go around"} <= seen
    for row in linked_rows(second.state, "idempotency"):
        answer = DecideResponse.FromString(second.stored_answer(row))
        assert answer.decision_id == second.state.idempotency.rows[row]["decision_id"] > 0


def in_use(path: Path, capacity: str) -> int:
    """Return how many rows or bytes of a capacity a snapshot needs."""
    arrays = read_file(path)[1]
    names = {"answer_bytes": ["answers"], "idempotency": ["idempotency", "reports"]}
    without_row_0 = {"answers", "idempotency", "reports", "contents"}
    return max(
        len(arrays[name]) - (name not in without_row_0) for name in names.get(capacity, [capacity])
    )


def test_a_capacity_that_is_too_small_is_refused_by_the_name_of_the_table(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 1_500, answer_bytes=1 << 15)
    path, capacity = save(tmp_path, first), capacity_of(first.state)
    for name in Capacity._fields:
        small = new_state(capacity._replace(**{name: 2}))
        if name == "events" or in_use(path, name) <= 2:
            load_snapshot(path, small)  # of events the newest are kept
            continue
        with pytest.raises(SnapshotCapacityError) as refused:
            load_snapshot(path, small)
        assert refused.value.detail.startswith(f"capacity {name} of 2 is below ")
        assert_untouched(small)


def test_a_state_that_was_used_is_not_filled(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 50)
    path = save(tmp_path, first)
    with pytest.raises(BrokenInvariantError, match="fresh"):
        load_snapshot(path, first.state)


# --- Another release --------------------------------------------------------------------------


def test_another_arithmetic_version_is_refused_by_the_name_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _world, first = played(NARROW_SEED, 50)
    path, state = save(tmp_path, first), new_state(capacity_of(first.state))
    monkeypatch.setattr(snapshots, "ARITHMETIC_VERSION", ARITHMETIC_VERSION + 1)
    with pytest.raises(OtherReleaseError, match=r"riskgate \d+\.\d+") as refused:
        load_snapshot(path, state)
    assert version("riskgate") in refused.value.detail
    assert_untouched(state)
    assert newest_snapshot(tmp_path) is not None, "it is whole, and says who can read it"


def with_columns(state: State, name: str, dtype: np.dtype[np.void]) -> State:
    """Return a state whose table or record has other columns."""
    part: Any = getattr(state, name)
    changed: Any = {name: np.zeros(1, dtype)}
    if not isinstance(part, np.ndarray):
        changed = {name: new_table(dtype, len(part.rows) - 1)}
    elif "added" in (dtype.names or ()):
        changed[name]["added"] = 7
    return state._replace(**changed)


def columns_without(dtype: Any, name: str) -> list[tuple[str, object]]:
    return [column for column in columns_of(dtype) if column[0] != name]


@pytest.mark.parametrize("name", ["accounts", "positions", "idempotency", "engine", "policy"])
def test_a_column_that_is_new_is_zero_and_the_others_come_by_name(
    name: str, tmp_path: Path
) -> None:
    _world, first = played(NARROW_SEED, 1_500)
    path = save(tmp_path, first)
    before: Any = getattr(first.state, name)
    rows = before if isinstance(before, np.ndarray) else before.rows
    columns = columns_of(rows.dtype)
    columns.insert(len(columns) - 1, ("added", ("<i8", (3,))))
    state = with_columns(new_state(capacity_of(first.state)), name, packed_dtype(*columns))
    load_snapshot(path, state)
    part: Any = getattr(state, name)
    after = part if isinstance(part, np.ndarray) else part.rows
    assert not after["added"].any()
    kept: Any = linked_rows(state, name) if name in {"idempotency", "positions"} else ...
    for column in rows.dtype.names:
        assert np.array_equal(after[column][kept], rows[column][kept]), column
    for found, expected in zip(indexes(state).values(), indexes(first.state).values(), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "column"),
    [("accounts", "peak_micros"), ("reports", "report_id"), ("engine", "unknown_changes")],
)
def test_a_column_that_is_gone_or_shaped_otherwise_is_refused_by_name(
    name: str, column: str, tmp_path: Path
) -> None:
    _world, first = played(NARROW_SEED, 200)
    path, fresh = save(tmp_path, first), new_state(capacity_of(first.state))
    part: Any = getattr(fresh, name)
    dtype = part.dtype if isinstance(part, np.ndarray) else part.rows.dtype
    left = columns_without(dtype, column)
    for columns in (left, [*left, (column, ("<i8", (5,)))], [*left, (column, "<f8")]):
        with pytest.raises(SnapshotLayoutError) as refused:
            load_snapshot(path, with_columns(fresh, name, packed_dtype(*columns)))
        assert refused.value.detail == f"{name}.{column}"


def test_a_key_that_grew_is_refused(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 200)
    path, fresh = save(tmp_path, first), new_state(capacity_of(first.state))
    columns = columns_of(fresh.overrides.rows.dtype)
    wider = packed_dtype(columns[0], ("strategy", "<i8"), *columns[1:])
    with pytest.raises(SnapshotLayoutError, match="key"):
        load_snapshot(path, with_columns(fresh, "overrides", wider))


# --- Files ------------------------------------------------------------------------------------


def test_the_meta_says_what_the_snapshot_is_of(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 200)
    path = save(tmp_path, first, 41)
    assert path.name == f"{41:020d}.snapshot"
    assert path.stat().st_mode & 0o777 == 0o600
    found = newest_snapshot(tmp_path)
    assert found is not None
    meta = found[1]
    assert load_snapshot(path, new_state(capacity_of(first.state))) == meta
    assert (meta.entry_number, meta.epoch, meta.made_at_ns) == (41, 3, 5)
    assert meta.sequence == first.state.engine[0]["sequence"] > 0
    assert Capacity(**meta.capacity) == capacity_of(first.state)
    assert meta.models == {slot: (bytes([slot + 1]) * 32).hex() for slot in range(4)}
    assert meta.start == {"epoch": 3, "shards": 1}


def test_a_meta_of_another_moment_is_refused(tmp_path: Path) -> None:
    world, first = played(NARROW_SEED, 50)
    meta = snapshots.describe_state(first.state, entry_number=1, made_at_ns=5, start={})
    while int(first.state.engine[0]["sequence"]) == meta.sequence:
        play(first, world.next_event())
    with pytest.raises(BrokenInvariantError):
        snapshots.save_snapshot(tmp_path, first.state, meta)
    assert list(tmp_path.iterdir()) == []


def test_the_newest_whole_snapshot_is_chosen_and_the_damaged_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert newest_snapshot(tmp_path / "missing") is None
    assert newest_snapshot(tmp_path) is None
    _world, first = played(NARROW_SEED, 200)
    paths = [save(tmp_path, first, number) for number in (9, 10, 100, 101, 102)]
    content = paths[2].read_bytes()
    paths[2].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    paths[3].write_bytes(content[:100])
    paths[1].rename(paths[4])  # it is not what its name says
    (tmp_path / "unfinished").write_bytes(b"half")
    with caplog.at_level(logging.WARNING):
        found = newest_snapshot(tmp_path)
    assert found is not None
    assert (found[0], found[1].entry_number) == (paths[0], 9)
    told = [record.getMessage() for record in caplog.records]
    assert [paths[at].name in text for at, text in zip((4, 3, 2), told, strict=True)] == [True] * 3


def test_old_snapshots_go_and_damaged_ones_are_not_counted_as_kept(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 200)
    paths = [save(tmp_path, first, number) for number in range(1, 7)]
    paths[4].write_bytes(b"")
    assert remove_old_snapshots(tmp_path) == [paths[2], paths[1], paths[0]]
    assert snapshot_paths(tmp_path) == [paths[5], paths[4], paths[3]]
    assert remove_old_snapshots(tmp_path) == []
    assert remove_old_snapshots(tmp_path, keep=1) == [paths[4], paths[3]]
    with pytest.raises(ValueError, match="one"):
        remove_old_snapshots(tmp_path, keep=0)


def test_a_disk_that_is_full_leaves_nothing_behind_and_what_was_there(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 200)
    path = save(tmp_path, first)
    content = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match="large"):
            save(tmp_path, first)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == content


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    _world, first = played(NARROW_SEED, 50)
    (tmp_path / "unfinished").write_bytes(b"half")
    path = save(tmp_path, first)
    assert list(tmp_path.iterdir()) == [path]
