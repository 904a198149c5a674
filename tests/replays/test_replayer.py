"""A journal that a real engine wrote comes out byte for byte again, or is found out."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.errors import JournalTrimmedError, OtherReleaseError
from server.hotpath.journal.entries import KIND_DECIDE, KIND_NAMES, SEGMENT
from server.hotpath.layout import ARITHMETIC_VERSION
from server.hotpath.memory import State
from server.journal.reader import Entry, read_call, read_entries
from server.journal.segments import (
    HEADER_USED,
    Origin,
    checksum_of_header,
    list_segments,
    segment_path,
)
from server.replays.replayer import Replayer
from server.replays.resizing import resize
from server.replays.source import ReplaySource
from server.snapshots import describe_state, save_snapshot
from server.snapshots.contents import sections_of
from tests.cases import World
from tests.cases.world import ROOMY
from tests.journal_builder import overwrite, seal_entry
from tests.journaled_engine import StoredModel, find_model
from tests.journaled_flow import SteadyFlow, new_world_engine, play_world
from tests.snapshot_harness import indexes

# 2 and 3 have narrow tables, 4 restarted, 5 reaches for the ends of the ranges.
SEEDS = (0, 1, 2, 3, 4, 5)
EVENTS = 2_000
STEADY = ROOMY._replace(reservations=1 << 15, idempotency=1 << 18, answer_bytes=1 << 26)


def replay(folder: Path, world: World, find: Any = find_model) -> Replayer:
    replayer = Replayer(Engine(world.capacity), folder, find)
    assert not replayer.advance()
    return replayer


def play(folder: Path, seed: int, events: int = EVENTS) -> tuple[World, Engine]:
    """Return a world and its engine behind so many events."""
    world = World(seed)
    with new_world_engine(folder, world) as live:
        play_world(live, world, events)
        return world, live.engine


def assert_same_state(one: State, other: State) -> None:
    """Fail unless every row in use, every column of it, and every index are the same."""
    for was, now in zip(sections_of(one), sections_of(other), strict=True):
        before, after = np.concatenate(was.pieces), np.concatenate(now.pieces)
        assert len(before) == len(after), was.name
        for column in before.dtype.names or ():
            same = before[column].tobytes() == after[column].tobytes()
            assert same, f"{was.name}.{column}"
    kept, found = indexes(one), indexes(other)
    assert all(np.array_equal(kept[name], found[name]) for name in kept)


def find_call(folder: Path, kind: int) -> Entry:
    """Return a call from the midst of a journal."""
    entries = [entry for entry in read_entries(folder) if entry.kind == kind]
    return entries[len(entries) // 2]


def tamper(folder: Path, entry: Entry, position: int) -> None:
    """Flip a bit of an answer and give the entry a checksum that agrees."""
    call = read_call(entry)
    at = entry.raw.rindex(call.answer) + position
    raw = bytearray(entry.raw)
    raw[at] ^= 1
    sealed = seal_entry(bytes(raw))
    overwrite(segment_path(folder, entry.segment_number), entry.offset, sealed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_journal_comes_out_as_it_was_and_so_does_the_state(tmp_path: Path, seed: int) -> None:
    world, live = play(tmp_path, seed)
    kinds = {KIND_NAMES[entry.kind] for entry in read_entries(tmp_path)}
    # Events and acknowledgements: tests/journal/test_event_entries.py.
    assert kinds - {"event", "acknowledge"} == set(KIND_NAMES) - {"", "event", "acknowledge"}
    replayer = replay(tmp_path, world)
    assert (replayer.difference_count, replayer.differences) == (0, [])
    assert replayer.decisions > EVENTS / 2
    assert_same_state(live.state, replayer.engine.state)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_behind_a_snapshot_the_rest_comes_out_as_it_was(tmp_path: Path, seed: int) -> None:
    journal, snapshots = tmp_path / "journal", tmp_path / "snapshots"
    snapshots.mkdir()
    world, live = play(journal, seed)
    first = Replayer(Engine(world.capacity), journal, find_model)
    middle = int(live.journal["entry_number"][0]) // 2
    assert first.advance(middle)
    meta = describe_state(first.engine.state, entry_number=middle, made_at_ns=1, start=first.start)
    save_snapshot(snapshots, first.engine.state, meta)
    second = ReplaySource(journal, snapshots, find_model).begin_before(10**9)
    assert second.next_number == middle + 1
    assert not second.advance()
    assert second.difference_count == 0
    assert first.decisions + second.decisions == replay(journal, world).decisions
    assert_same_state(live.state, second.engine.state)


def test_every_bit_of_an_answer_that_was_changed_is_found(tmp_path: Path) -> None:
    world, _ = play(tmp_path, 0, events=400)
    entry = find_call(tmp_path, KIND_DECIDE)
    answer = read_call(entry).answer
    for position in range(len(answer)):
        tamper(tmp_path, entry, position)
        (found,) = replay(tmp_path, world).differences
        assert (found.number, found.sequence, found.kind) == (
            entry.number,
            entry.sequence,
            "decide",
        )
        assert (found.now, found.by_model) == (answer, False)
        assert sum(a != b for a, b in zip(found.was, found.now, strict=True)) == 1
        tamper(tmp_path, entry, position)
        overwrite(segment_path(tmp_path, entry.segment_number), entry.offset, entry.raw)
    assert replay(tmp_path, world).difference_count == 0


def test_a_model_that_says_something_else_is_a_finding_of_its_own(tmp_path: Path) -> None:
    world, _ = play(tmp_path, 0)

    class Other(StoredModel):
        """Another model under the same digest."""

        def load_into(self, models: Any, slot: int) -> None:
            super().load_into(models, slot)
            models.slots[slot]["base"] += 0.25

    replayer = replay(tmp_path, world, lambda digest: Other(digest[0] - 1))
    assert replayer.difference_count > 10
    assert any(difference.by_model for difference in replayer.differences)
    assert not replayer.differences[-1].by_model or replayer.differences[0].by_model


def test_an_engine_of_another_size_is_resized_to_that_of_the_journal(tmp_path: Path) -> None:
    world, live = play(tmp_path, 1)
    smaller = world.capacity._replace(answer_bytes=1 << 12, breakers=64)
    replayer = Replayer(Engine(smaller), tmp_path, find_model)
    replayer.advance()
    assert replayer.difference_count == 0
    assert replayer.engine.capacity == world.capacity
    assert_same_state(live.state, replayer.engine.state)


def test_an_engine_that_started_again_with_another_size_is_followed(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world) as live:
        play_world(live, world, EVENTS)
        number, engine = live.entry_number, live.engine
    larger = resize(engine, world.capacity._replace(reservations=9_000, answer_bytes=1 << 25))
    with new_world_engine(
        tmp_path, world, engine=larger, last_entry=number, origin=Origin(epoch=8)
    ) as live:
        play_world(live, world, EVENTS)
    replayer = replay(tmp_path, world)
    assert replayer.difference_count == 0
    assert replayer.start["epoch"] == 8
    assert_same_state(larger.state, replayer.engine.state)


def test_a_journal_that_grows_is_followed_through_its_segments(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world, segment_bytes=10 << 20) as live:
        replayer = Replayer(Engine(world.capacity), tmp_path, find_model)
        flow = SteadyFlow(live, world, pool=200)
        while len(list_segments(tmp_path)) < 3:
            flow.run(500)
            assert not replayer.advance()
            assert replayer.next_number == live.entry_number + 1
        assert replayer.difference_count == 0
        assert replayer.decisions == live.answers
        assert_same_state(live.engine.state, replayer.engine.state)


def test_a_journal_is_replayed_while_its_engine_writes(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world, segment_bytes=10 << 20) as live:
        flow = SteadyFlow(live, world, pool=200)
        writer = threading.Thread(target=flow.run, args=(40_000,))
        replayer = Replayer(Engine(world.capacity), tmp_path, find_model)
        writer.start()
        while writer.is_alive():
            replayer.advance()
        writer.join()
        replayer.advance()
        assert len(list_segments(tmp_path)) > 1
        assert replayer.difference_count == 0
        assert replayer.decisions == live.answers >= 40_000
        assert_same_state(live.engine.state, replayer.engine.state)


def test_another_arithmetic_is_refused_and_the_release_named(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world, origin=Origin(epoch=7, release="9.8.7")):
        pass
    path = segment_path(tmp_path, 1)
    header = np.frombuffer(path.read_bytes()[:HEADER_USED], SEGMENT).copy()
    header["arithmetic_version"] = ARITHMETIC_VERSION + 1
    header["checksum"] = checksum_of_header(header.tobytes())
    overwrite(path, 0, header.tobytes())
    with pytest.raises(OtherReleaseError, match=r"replay it with riskgate 9\.8\.7"):
        replay(tmp_path, world)


def test_entries_that_are_deleted_are_asked_for_by_number(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world, segment_bytes=10 << 20) as live:
        flow = SteadyFlow(live, world, pool=200)
        while len(list_segments(tmp_path)) < 2:
            flow.run(500)
    oldest = list_segments(tmp_path)[1].first_entry
    segment_path(tmp_path, 1).unlink()
    with pytest.raises(JournalTrimmedError, match=f"oldest is {oldest}"):
        replay(tmp_path, world)


def check_steady_flow(folder: Path, seed: int, decisions: int) -> int:
    """Make and replay many decisions; return how many."""
    world = World(seed)
    world.capacity = STEADY
    with new_world_engine(folder, world, segment_bytes=64 << 20) as live:
        flow = SteadyFlow(live, world)
        flow.run(decisions)
    replayer = replay(folder, world)
    assert replayer.difference_count == 0
    assert replayer.decisions == live.answers >= decisions
    # A decision every 10 µs: another model every 5,000 of them, a change every 1,000.
    assert flow.swaps >= decisions // 5_500
    assert flow.changes >= decisions // 1_100
    assert_same_state(live.engine.state, replayer.engine.state)
    return replayer.decisions


def test_a_hundred_thousand_decisions_come_out_as_they_were(tmp_path: Path) -> None:
    count = check_steady_flow(tmp_path, 8, 100_000)
    print(f"replayed: N = {count:,} decisions, 0 differences")  # noqa: T201 - a figure to read


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
def test_ten_million_decisions_come_out_as_they_were(tmp_path: Path) -> None:
    count = 0
    # Journals of a million each, so that the disk holds one of them at a time.
    for number in range(10):
        folder = tmp_path / "journal"
        count += check_steady_flow(folder, 8 + 12 * number, 1_000_000)
        for path in folder.iterdir():
            path.unlink()
    print(f"replayed: N = {count:,} decisions, 0 differences")  # noqa: T201 - a figure to read


def test_a_refused_call_leaves_no_decision_behind(tmp_path: Path) -> None:
    world = World(0)
    with new_world_engine(tmp_path, world) as live:
        before = live.answers
        assert live.call(KIND_DECIDE, pb.DecideRequest().SerializeToString()) == b""
        assert live.answers == before
    assert replay(tmp_path, world).difference_count == 0
