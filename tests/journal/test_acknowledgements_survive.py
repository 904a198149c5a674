"""What routers say of directives stands in the journal, and survives restarts and replays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.engine import Engine
from server.hotpath.change_kinds import BREAKER, EQUITY
from server.hotpath.journal.entries import KIND_ACKNOWLEDGE
from server.hotpath.layout import CHANGE_BREAKER, CHANGE_EQUITY, MICROS, SECOND_NS, words
from server.journal.reader import read_call, read_entries
from server.replays.replayer import Replayer
from tests.desk import NOW_NS, SMALL, Desk
from tests.journaled_engine import JournaledEngine, JournaledRing, find_model

CAPACITY = SMALL._replace(answer_bytes=1 << 20)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JournaledEngine]:
    """An account with a breaker that has tripped twice."""
    with JournaledEngine(tmp_path, CAPACITY, started_at_ns=NOW_NS) as made:
        Desk(JournaledRing(made), score=87.5)  # type: ignore[arg-type]
        breaker = np.zeros(1, CHANGE_BREAKER)
        breaker["breaker_id"], breaker["name"] = words("7"), words("deep fall")
        breaker["account_id"], breaker["condition"] = words("A"), 1
        breaker["action"], breaker["enabled"], breaker["threshold"] = 4, 1, 100_000
        made.change(BREAKER, "7", breaker.tobytes())
        for seconds, equity in enumerate((8_800, 9_900, 8_700), start=1):
            mark = np.zeros(1, CHANGE_EQUITY)
            mark["account_id"], mark["equity_micros"] = words("A"), equity * MICROS
            mark["equity_at_ns"] = NOW_NS + seconds * SECOND_NS
            made.change(EQUITY, "A", mark.tobytes(), 0, NOW_NS + seconds * SECOND_NS)
        yield made


def order() -> pb.DecideRequest:
    return pb.DecideRequest(
        account_id="A",
        provider_id="channel_12345",
        provider_type=types.PROVIDER_TYPE_CHANNEL_SOURCE,
        symbol="EURUSD",
        side=types.SIDE_BUY,
        entry_price=1.1,
        stop_loss=1.098,
        atr=0.001,
    )


def told(live: JournaledEngine) -> list[int]:
    return [each.directive_id for each in live.decide(order()).directives]


def acknowledged(live: JournaledEngine) -> list[bytes]:
    return [
        read_call(entry).answer
        for entry in read_entries(live.folder)
        if entry.kind == KIND_ACKNOWLEDGE
    ]


def test_an_acknowledgement_is_journaled_with_its_answer(live: JournaledEngine) -> None:
    assert told(live) == [2, 1]
    done = live.acknowledge(directive_id=1, success=True, detail="closed")
    assert told(live) == [2]
    (answer,) = acknowledged(live)
    assert pb.AckDirectiveResponse.FromString(answer).directive == done


def test_what_changes_nothing_is_not_journaled(live: JournaledEngine) -> None:
    live.acknowledge(directive_id=1, success=True)
    assert live.acknowledge(directive_id=1, success=True).outcome.success
    assert live.acknowledge(directive_id=1, success=False) is None
    assert live.acknowledge(directive_id=9, success=True) is None
    assert len(acknowledged(live)) == 1


def test_a_replay_comes_to_the_same_state_and_the_same_answers(live: JournaledEngine) -> None:
    told(live)
    live.acknowledge(directive_id=2, success=False, detail="the broker is away")
    told(live)
    live.acknowledge(directive_id=1, success=True)
    assert told(live) == []
    replayer = Replayer(Engine(CAPACITY), live.folder, find_model)
    replayer.advance()
    assert replayer.difference_count == 0
    again, was = replayer.engine.state, live.engine.state
    assert again.events.tobytes() == was.events.tobytes()
    assert again.accounts.rows.tobytes() == was.accounts.rows.tobytes()
    assert again.engine[0] == was.engine[0]
