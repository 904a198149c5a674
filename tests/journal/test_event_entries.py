"""Each trip of a breaker stands in the journal behind what tripped it, and survives restarts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.commands.entry_view import list_ids, view_entry
from server.conditions import compile_condition
from server.engine import Engine
from server.hotpath.journal.entries import (
    ENTRY_BYTES,
    KIND_CHANGE,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_REPORT,
    KIND_SYNC,
)
from server.hotpath.layout import CHANGE_BREAKER, CHANGE_EQUITY, MICROS, SECOND_NS, text, words
from server.hotpath.wire.journaling import tick_nb
from server.journal.reader import Entry, read_entries, read_event
from server.journal.segments import Origin, segment_path
from server.replays.replayer import Replayer
from server.replays.restoring import restore_engine
from server.snapshots import describe_state, load_snapshot, save_snapshot
from tests.desk import NOW_NS, SMALL, Desk
from tests.journal_builder import overwrite, seal_entry
from tests.journaled_engine import JournaledEngine, JournaledRing, find_model

BREAKER, EQUITY = 7, 13
CAPACITY = SMALL._replace(answer_bytes=1 << 20)
BROKERS_VIEW = pb.SyncAccountRequest(account_id="A")


class _Floor:
    """A journaled desk with a drawdown breaker."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.live = JournaledEngine(folder / "journal", CAPACITY, started_at_ns=NOW_NS, **options)
        self.folder = folder
        self._mark_ns = NOW_NS

    def open(self, **limits: Any) -> None:
        Desk(JournaledRing(self.live), score=87.5, **limits)  # type: ignore[arg-type]
        self.put("deep fall", threshold=100_000)

    def put(self, name: str, **columns: Any) -> None:
        row = np.zeros(1, CHANGE_BREAKER)
        row["breaker_id"], row["name"], row["account_id"] = words(name), words(name), words("A")
        row["condition"], row["action"], row["enabled"] = 1, 4, 1
        for column, value in columns.items():
            if column in {"program", "constants"}:
                row[column][0][: len(value)] = value
            else:
                row[column] = value
        self.live.change(BREAKER, name, row.tobytes())

    def put_expression(self, source: str) -> None:
        made = compile_condition(source)
        self.put(
            source, condition=7, over_request=int(made.over_request),
            program_length=len(made.program), program=made.program, constants=made.constants,
        )  # fmt: skip

    def mark(self, equity: int) -> None:
        self._mark_ns += SECOND_NS
        row = np.zeros(1, CHANGE_EQUITY)
        row["account_id"], row["equity_at_ns"] = words("A"), self._mark_ns
        row["equity_micros"] = equity * MICROS
        self.live.change(EQUITY, "A", row.tobytes(), 0, self._mark_ns)

    def decide(self, **fields: Any) -> Any:
        return self.live.decide(request(**fields))

    def entries(self) -> list[Entry]:
        return list(read_entries(self.folder / "journal"))

    def kinds(self) -> list[int]:
        return [entry.kind for entry in self.entries()]

    @property
    def cursor(self) -> tuple[int, int]:
        row = self.live.engine.state.engine[0]
        return int(row["event_kept_count"]), int(row["event_count"])

    def replay(self) -> Replayer:
        replayer = Replayer(Engine(CAPACITY), self.folder / "journal", find_model)
        replayer.advance()
        return replayer


def request(**fields: Any) -> pb.DecideRequest:
    values: dict[str, Any] = {
        "account_id": "A", "provider_id": "channel_12345", "provider_type": 1, "symbol": "EURUSD",
        "side": 1, "entry_price": 1.1, "stop_loss": 1.098, "atr": 0.001, **fields,
    }  # fmt: skip
    return pb.DecideRequest(**values)


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[_Floor]:
    made = _Floor(tmp_path)
    with made.live:
        made.open()
        yield made


def test_a_trip_stands_behind_the_change_that_made_it(floor: _Floor) -> None:
    floor.mark(8_800)
    floor.mark(8_700)
    change, event, later = floor.entries()[-3:]
    assert [entry.kind for entry in (change, event, later)] == [
        KIND_CHANGE,
        KIND_EVENT,
        KIND_CHANGE,
    ]
    kept = read_event(event)
    assert text(kept["breaker_name"]) == "deep fall"
    assert (kept["event_id"], kept["threshold"], kept["observed"]) == (1, 0.1, 0.12)
    assert kept["sequence"] == change.sequence == event.sequence
    assert event.reading_ns == change.reading_ns
    assert floor.cursor == (1, 1)


def test_a_trip_can_be_read_by_people(floor: _Floor) -> None:
    floor.put_expression("drawdown > 0.05 && hour < 25")
    floor.decide()
    floor.mark(8_800)
    floor.decide()
    first, second = (entry for entry in floor.entries() if entry.kind == KIND_EVENT)
    (line,) = list_ids(first)
    assert (line.kind, line.account, line.id, line.result) == ("event", "A", "deep fall", "TRIPPED")
    view = view_entry(first)["event"]
    assert (view["condition"], view["action"], view["state"]) == (
        "MAX_DRAWDOWN",
        "CLOSE",
        "TRIPPED",
    )
    assert (view["threshold"], view["observed"], view["drawdown"]) == (0.1, 0.12, 0.12)
    assert (view["equity"], view["symbol"], view["positions"]) == (8_800.0, "", [])
    view = view_entry(second)["event"]
    assert view["values"] == {"drawdown": 0.12, "hour": pytest.approx(2.0)}
    assert (view["threshold"], view["symbol"]) == (None, "EURUSD")


def test_trips_stand_behind_decisions_batches_reports_and_brokers_views(floor: _Floor) -> None:
    floor.put_expression("requested_lots > 5")
    floor.decide(requested_lots=9.0)
    assert floor.kinds()[-2:] == [KIND_DECIDE, KIND_EVENT]
    floor.put("losses", condition=5, threshold=1)
    floor.live.report(
        account_id="A", report_id="r", symbol="EURUSD", side=1,
        kind=types.REPORT_KIND_ACK, realised_pnl=-1.0,
    )  # fmt: skip
    assert floor.kinds()[-2:] == [KIND_REPORT, KIND_EVENT]
    floor.put_expression("working_orders > 0")
    floor.decide(client_order_id="o1", requested_lots=0.01)
    floor.live.call(KIND_SYNC, BROKERS_VIEW.SerializeToString(), NOW_NS)
    assert KIND_SYNC in floor.kinds()[-2:]
    floor.put_expression("score > 80")
    floor.put_expression("hour < 24")
    before = len(floor.entries())
    floor.live.batch(request(), request(side=2, stop_loss=1.102), all_or_none=True)
    assert len(floor.entries()) == before + 3
    assert floor.kinds()[-2:] == [KIND_EVENT, KIND_EVENT]
    numbers = [int(read_event(e)["event_id"]) for e in floor.entries() if e.kind == KIND_EVENT]
    assert numbers == list(range(1, floor.cursor[1] + 1))


def test_a_replay_makes_the_same_events_and_moves_the_same_cursor(floor: _Floor) -> None:
    floor.put_expression("requested_lots > 5")
    for equity in (8_800, 9_100, 8_900):
        floor.mark(equity)
        floor.decide(requested_lots=9.0)
    replayer = floor.replay()
    assert replayer.difference_count == 0
    again, live = replayer.engine.state, floor.live.engine.state
    assert floor.cursor[1] == 3
    assert again.engine[0] == live.engine[0]
    assert again.events.tobytes() == live.events.tobytes()
    assert again.breakers.rows.tobytes() == live.breakers.rows.tobytes()


@pytest.mark.parametrize("at", [0, 8, 24, 896])
def test_an_event_that_was_changed_in_the_journal_is_found(floor: _Floor, at: int) -> None:
    floor.mark(8_800)
    entry = floor.entries()[-1]
    raw = bytearray(entry.raw)
    raw[ENTRY_BYTES + at] ^= 1
    path = segment_path(floor.folder / "journal", entry.segment_number)
    overwrite(path, entry.offset, seal_entry(bytes(raw)))
    (found,) = floor.replay().differences
    assert (found.number, found.kind) == (entry.number, "event")


def test_events_that_find_no_room_wait_for_a_later_entry(floor: _Floor) -> None:
    floor.put("losses", condition=5, threshold=1)
    journal = floor.live.engine.journal
    kept = int(journal["reserve_bytes"][0])
    ready = int(journal["next_ready"][0])
    journal["reserve_bytes"], journal["next_ready"] = 1 << 40, 0
    floor.live.report(
        account_id="A", report_id="r", symbol="EURUSD", side=1,
        kind=types.REPORT_KIND_ACK, realised_pnl=-1.0,
    )  # fmt: skip
    assert floor.kinds()[-1] == KIND_REPORT
    assert floor.cursor == (0, 1)
    journal["reserve_bytes"], journal["next_ready"] = kept, ready
    tick_nb(floor.live.engine.state.memory[0], journal[0], NOW_NS + SECOND_NS)
    assert floor.kinds()[-1] == KIND_EVENT
    assert floor.cursor == (1, 1)
    replayer = floor.replay()
    assert replayer.difference_count == 0
    assert replayer.engine.state.engine[0] == floor.live.engine.state.engine[0]


def test_events_that_were_overwritten_before_there_was_room_are_passed_over(
    floor: _Floor,
) -> None:
    journal = floor.live.engine.journal
    mode = int(journal["mode"][0])
    journal["mode"] = 0
    for _ in range(CAPACITY.events + 3):
        floor.mark(8_000)
        floor.mark(9_900)
    journal["mode"] = mode
    made = floor.cursor[1]
    assert made > CAPACITY.events
    tick_nb(floor.live.engine.state.memory[0], journal[0], NOW_NS + 10**12)
    numbers = [int(read_event(e)["event_id"]) for e in floor.entries() if e.kind == KIND_EVENT]
    assert numbers == list(range(made - CAPACITY.events + 1, made + 1))


def test_an_engine_that_died_before_the_event_was_kept_keeps_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    floor = _Floor(tmp_path)
    with floor.live:
        floor.open()
        floor.mark(8_800)
        event = floor.entries()[-1]
    path = segment_path(tmp_path / "journal", event.segment_number)
    overwrite(path, event.offset, bytes(len(event.raw)))
    restored = restore_engine(tmp_path / "journal", tmp_path / "none", CAPACITY, find_model)
    row = restored.engine.state.engine[0]
    assert (row["event_kept_count"], row["event_count"]) == (0, 1)
    back = _Floor(
        tmp_path, engine=restored.engine, last_entry=restored.recovered.last_entry_number,
        origin=Origin(epoch=8),
    )  # fmt: skip
    with back.live:
        back.mark(8_700)
        assert back.kinds()[-1] == KIND_EVENT
        assert read_event(back.entries()[-1]).tobytes() == event.raw[ENTRY_BYTES:]
        assert back.replay().difference_count == 0


@pytest.mark.parametrize("snapshot", [False, True])
def test_breakers_and_their_events_survive_a_restart(tmp_path: Path, *, snapshot: bool) -> None:
    floor = _Floor(tmp_path)
    with floor.live:
        floor.open()
        floor.put("locks", threshold=50_000, lock_after_trips=1)
        floor.put("cools", threshold=50_000, cooling_off_ns=600 * SECOND_NS)
        floor.mark(9_400)
        if snapshot:
            _take_snapshot(floor)
        floor.mark(9_600)
        states = floor.live.engine.state.breakers.rows[1:4]["state"].tolist()
        was = floor.live.engine.state
    restored = restore_engine(
        tmp_path / "journal", tmp_path / "snapshots", CAPACITY, find_model
    ).engine
    assert states == [1, 5, 3]
    assert restored.state.breakers.rows.tobytes() == was.breakers.rows.tobytes()
    assert restored.state.events.tobytes() == was.events.tobytes()
    account = restored.state.accounts.rows[1]
    assert (account["first_active"], account["first_event"]) == (2, 2)
    assert account["breaker_due_ns"] == was.accounts.rows[1]["breaker_due_ns"] > 0


def _take_snapshot(floor: _Floor) -> None:
    folder = floor.folder / "snapshots"
    folder.mkdir(exist_ok=True)
    replayer = floor.replay()
    meta = describe_state(
        replayer.engine.state, entry_number=replayer.next_number - 1, made_at_ns=1,
        start=replayer.start,
    )  # fmt: skip
    save_snapshot(folder, replayer.engine.state, meta)


@pytest.mark.parametrize("events", [2, 5, 64, 100])
def test_events_find_their_place_in_a_ring_of_another_size(floor: _Floor, events: int) -> None:
    for equity in (8_800, 9_900) * 5:
        floor.mark(equity)
    state = floor.live.engine.state
    folder = floor.folder
    meta = describe_state(state, entry_number=9, made_at_ns=1, start={})
    path = save_snapshot(folder, state, meta)
    other = Engine(CAPACITY._replace(events=events))
    load_snapshot(path, other.state)
    kept = range(max(1, 6 - events), 6)
    for number in kept:
        row = other.state.events[(number - 1) % events + 1]
        assert row.tobytes() == state.events[number].tobytes()
    assert np.count_nonzero(other.state.events["event_id"]) == len(kept)
