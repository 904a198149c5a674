"""What controls have counted outlives a restart: from the journal, and from a snapshot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1 import types_pb2 as types
from server.engine import Engine
from server.hotpath.layout import CHANGE_RISK_CONFIGURATION, SECOND_NS
from server.hotpath.reasons import R_CONTENTS_FULL, R_DUPLICATE_ORDER, R_REPEATED_EXECUTION
from server.replays.replayer import Replayer
from server.replays.resizing import resize
from server.snapshots.contents import sections_of
from server.snapshots.index import linked_rows
from tests.cases.world import ROOMY
from tests.control_desk import ControlDesk, denials, numbers
from tests.decision_harness import example_changes, good_request, submit
from tests.desk import SMALL
from tests.journaled_engine import JournaledEngine, find_model
from tests.journaled_example import new_example_engine
from tests.snapshot_harness import indexes

LIMITS: Final = {
    "message_limit": 100,
    "message_window_ns": 1_000 * SECOND_NS,
    "repeat_limit": 3,
    "duplicate_window_ns": 1_000 * SECOND_NS,
    "max_strategy_notional_micros": 10**12,
}
DENIED: Final = types.VERDICT_DENY


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JournaledEngine]:
    with new_example_engine(tmp_path / "journal") as made:
        rows = np.frombuffer(example_changes()[2][2], CHANGE_RISK_CONFIGURATION).copy()
        for name, value in LIMITS.items():
            rows[name] = value
        kind = kinds.CHANGE_KIND_RISK_CONFIGURATION
        submit(made.engine, kind, "A", rows.tobytes(), version=5)
        made.engine.drain(made.reading_ns)
        yield made


def request(lots: float, order_id: str, **fields: Any) -> pb.DecideRequest:
    return good_request(requested_lots=lots, client_order_id=order_id, strategy_id="grid", **fields)


def counts(engine: Engine) -> dict[str, Any]:
    """Return what controls have counted of the account and its one strategy."""
    account, strategy = engine.state.accounts.rows[1], engine.state.strategies.rows[1]
    return {
        "messages": int(account["message_full_at_ns"]),
        "contents": int(account["content_count"]),
        **{
            name: int(strategy[name])
            for name in ("execution_count", "disabled_at_ns", "held_notional_micros")
        },
    }


def assert_same_sections(one: Engine, other: Engine) -> None:
    for was, now in zip(sections_of(one.state), sections_of(other.state), strict=True):
        before, after = np.concatenate(was.pieces), np.concatenate(now.pieces)
        for column in before.dtype.names or ():
            assert before[column].tobytes() == after[column].tobytes(), f"{was.name}.{column}"
    kept, found = indexes(one.state), indexes(other.state)
    assert all(np.array_equal(kept[name], found[name]) for name in kept)


# --- The journal ---


def test_the_journal_brings_back_what_was_counted(live: JournaledEngine) -> None:
    assert live.decide(request(0.01, "a")).verdict != DENIED
    assert live.decide(request(0.01, "b")).verdict == DENIED
    live.batch(request(0.02, "c"), request(0.03, "d"), all_or_none=True)
    live.report(
        report_id="r", account_id="A", client_order_id="a", kind=types.REPORT_KIND_FILL,
        lots=0.01, price=1.1,
    )  # fmt: skip
    found = counts(live.engine)
    assert (found["contents"], found["execution_count"]) == (3, 3)
    assert found["disabled_at_ns"] > 0
    replayer = Replayer(Engine(ROOMY), live.folder, find_model)
    assert not replayer.advance()
    assert replayer.difference_count == 0
    assert counts(replayer.engine) == found
    assert_same_sections(live.engine, replayer.engine)


def test_a_batch_that_is_taken_back_has_counted_nothing(live: JournaledEngine) -> None:
    live.decide(request(0.01, "a"))
    before = counts(live.engine)
    # The last item has no stop, so that none of them goes.
    batch = [request(0.02, "b"), request(0.03, "c"), request(0.04, "d", stop_loss=None)]
    results = live.batch(*batch, all_or_none=True)
    assert [result.response.verdict for result in results] == [DENIED] * 3
    assert types.REASON_BATCH_DENIED in results[0].response.reasons
    assert counts(live.engine) == before
    results = live.batch(request(0.02, "e"), request(0.03, "f"), all_or_none=True)
    assert all(result.response.verdict != DENIED for result in results)
    replayer = Replayer(Engine(ROOMY), live.folder, find_model)
    assert not replayer.advance()
    assert replayer.difference_count == 0
    assert_same_sections(live.engine, replayer.engine)


# --- A snapshot ---


def worn_desk(capacity: int = 32) -> ControlDesk:
    """Return a desk whose ring of contents has gone around and has emptied rows in it."""
    desk = ControlDesk(
        capacity=SMALL._replace(contents=capacity), duplicate_window_ns=5 * SECOND_NS,
        repeat_limit=1_000,
    )  # fmt: skip
    for number in range(capacity - 2):
        desk.order(0.1 + number / 100, strategy_id="grid")
        desk.pass_time(seconds=2)
    # One that stays holds up four that come again after their time.
    desk.put_limits(duplicate_window_ns=1_000 * SECOND_NS, repeat_limit=1_000)
    desk.order(0.9, strategy_id="grid")
    desk.put_limits(duplicate_window_ns=SECOND_NS, repeat_limit=1_000)
    for _ in range(4):
        desk.pass_time(seconds=2)
        desk.order(0.8, strategy_id="trend")
    desk.put_limits(duplicate_window_ns=600 * SECOND_NS, repeat_limit=5)
    desk.pass_time(seconds=2)
    desk.order(0.7, strategy_id="trend")
    engine = desk.engine.state.engine[0]
    assert engine["content_oldest"] + engine["content_count"] - 1 > capacity
    emptied = int(engine["content_count"]) - len(linked_rows(desk.engine.state, "contents"))
    assert emptied == 3
    return desk


def continue_in(desk: ControlDesk, engine: Engine) -> ControlDesk:
    """Return a desk that is at the same point with another engine."""
    other = ControlDesk()
    other.engine = other.subject = engine
    other.now_ns = desk.now_ns
    return other


@pytest.mark.parametrize("contents", [32, 7, 33, 200])
@pytest.mark.parametrize("strategies", [64, 2, 300])
def test_contents_and_strategies_come_back_whatever_the_capacity(
    contents: int, strategies: int
) -> None:
    desk = worn_desk()
    grown = resize(desk.engine, SMALL._replace(contents=contents, strategies=strategies))
    assert counts(grown) == counts(desk.engine)
    same = grown.state.strategies.rows[:3] == desk.engine.state.strategies.rows[:3]
    assert same[1:].all()
    other = continue_in(desk, grown)
    decision = other.order(0.9, strategy_id="grid")
    assert R_DUPLICATE_ORDER in denials(decision)
    assert numbers(decision, R_DUPLICATE_ORDER) == (600 * SECOND_NS, 10 * SECOND_NS)
    # Four were counted of "trend" before its limit was 5, and one since.
    assert denials(other.order(0.3, strategy_id="trend")) >= {R_REPEATED_EXECUTION}


def test_a_ring_of_contents_goes_on_where_it_was() -> None:
    desk = worn_desk()
    grown = resize(desk.engine, desk.engine.capacity)
    assert_same_sections(desk.engine, grown)
    other = continue_in(desk, grown)
    for each in (desk, other):
        each.put_limits(duplicate_window_ns=2 * SECOND_NS)
    for number in range(100):
        for each in (desk, other):
            each.pass_time(seconds=1)
        lots = 0.2 + number % 5 / 100
        found = [denials(each.order(lots, strategy_id="grid")) for each in (desk, other)]
        assert found[0] == found[1]
        assert found[0] <= {R_DUPLICATE_ORDER, R_CONTENTS_FULL}
    assert_same_sections(desk.engine, grown)
