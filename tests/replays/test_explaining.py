"""A decision is explained from the journal as it was made, whichever call it came in."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.commands.message_view import view_message
from server.errors import NotFoundError
from server.hotpath.journal.entries import KIND_BATCH, KIND_DECIDE, KIND_STREAM
from server.hotpath.reasons import REASON_CODES
from server.journal.reader import read_call, read_entries
from server.journal.segments import Origin, segment_path
from server.replays.explaining import explain
from server.replays.source import ReplaySource
from server.snapshots import describe_state, save_snapshot
from tests.cases import World
from tests.decision_harness import good_request
from tests.journaled_engine import JournaledEngine, find_model
from tests.journaled_example import new_example_engine
from tests.journaled_flow import new_world_engine, play_world


@pytest.fixture
def live(tmp_path: Path) -> Iterator[JournaledEngine]:
    with new_example_engine(tmp_path / "journal") as made:
        yield made


def source_of(live: JournaledEngine) -> ReplaySource:
    return ReplaySource(live.folder, live.folder.with_name("snapshots"), find_model)


def test_the_worked_example_is_explained_with_all_its_numbers(live: JournaledEngine) -> None:
    answer = live.decide(good_request(client_order_id="first"))
    live.decide(good_request(client_order_id="second"))
    found = explain(source_of(live), answer.decision_id)
    assert found.is_same
    assert found.answer == answer
    assert found.request == good_request(client_order_id="first")
    assert (found.answer.lot_size, found.answer.sl_buffer_pips) == (0.32, 0.5)
    # 0.5 % of 10,000, times 1.35 for a score of 87.5; 20 pips and half a pip of 10 each.
    assert found.sizes["risk_money"] == 67.5
    assert found.sizes["multiplier"] == 1.35
    assert (found.sizes["stop_distance_pips"], found.sizes["buffer_pips"]) == (20.0, 0.5)
    assert found.sizes["loss_per_lot"] == 205.0
    assert found.sizes["risk_lots"] == found.sizes["lots"] == 0.32
    assert found.rows["account"]["account_id"] == "A"
    assert found.rows["account"]["held_risk_micros"] == 0
    assert found.rows["configuration"]["risk_per_trade_ppm"] == 5_000
    assert found.rows["instrument"]["symbol"] == "EURUSD"
    assert found.rows["provider"]["score_micropoints"] == 87_500_000
    assert found.rows["policy"]["version_major"] == 1
    assert found.rows["service"]["state_version"] == answer.state_version == 4


def test_every_check_is_listed_though_the_call_did_not_ask_for_it(live: JournaledEngine) -> None:
    plain = live.decide(good_request(requested_lots=5.0))
    asked = live.decide(good_request(requested_lots=5.0, explain=True, dry_run=True))
    assert not plain.checks
    found = explain(source_of(live), plain.decision_id)
    checks = {check.check: check for check in found.explained.checks}
    assert [check.check for check in asked.checks] == list(checks)
    cut = checks[types.REASON_RISK_PER_TRADE]
    assert cut.status == types.CHECK_STATUS_CUT
    assert (cut.limit, cut.observed, cut.headroom, cut.lots_max) == (67.5, 0.0, 67.5, 0.32)
    assert found.is_same


def test_the_state_is_that_of_the_decision_and_not_of_today(live: JournaledEngine) -> None:
    first = live.decide(good_request())
    second = live.decide(good_request())
    before, behind = (
        explain(source_of(live), answer.decision_id).rows for answer in (first, second)
    )
    assert before["account"]["held_risk_micros"] == 0
    assert before["position"] is before["exposure"] is None
    # 0.32 lots at 205.00, and 110,000.00 of notional each.
    assert behind["account"]["held_risk_micros"] == 65_600_000
    assert behind["position"]["held_buy_steps"] == 32
    assert behind["exposure"]["held_notional_micros"] == 35_200_000_000


def test_the_models_features_and_output_are_shown(live: JournaledEngine) -> None:
    live.swap_model(0)
    answer = live.decide(good_request())
    found = explain(source_of(live), answer.decision_id)
    assert found.model is not None
    assert found.model["digest"] == answer.model_digest.hex() == "01" * 32
    assert found.model["version"] == "1.0.0"
    assert found.model["features"]["stop_distance_pips"] == 20.0
    assert found.model["features"]["side"] == 1.0
    assert found.model["outputs"]["q50_pips"] == answer.predicted_slippage_pips
    assert found.is_same


def test_an_item_of_a_batch_is_found_by_its_id(live: JournaledEngine) -> None:
    orders = [good_request(client_order_id=f"order-{number}") for number in range(5)]
    orders.insert(2, good_request(stop_loss=1.2))
    results = live.batch(*orders, orders[0])
    ids = [result.response.decision_id for result in results]
    assert ids[2] == 0
    assert ids[6] == ids[0]
    for item in (0, 1, 3, 4, 5):
        found = explain(source_of(live), ids[item])
        assert (found.item, found.is_same) == (item, True)
        assert found.request == orders[item]
        assert found.answer == results[item].response


def test_a_batch_that_was_denied_together_is_explained_item_by_item(
    live: JournaledEngine,
) -> None:
    results = live.batch(good_request(), good_request(symbol="NOWHERE"), all_or_none=True)
    assert [result.response.verdict for result in results] == [types.VERDICT_DENY] * 2
    found = explain(source_of(live), results[0].response.decision_id)
    assert found.is_same
    assert found.answer.binding_limit == types.REASON_BATCH_DENIED
    # By itself it would have gone.
    assert found.explained.verdict == types.VERDICT_ALLOW


def test_an_id_that_is_no_decision_is_refused_by_name(live: JournaledEngine) -> None:
    answer = live.decide(good_request())
    with pytest.raises(NotFoundError, match="number is that of a change"):
        explain(source_of(live), 1)
    with pytest.raises(NotFoundError, match="999999"):
        explain(source_of(live), 999_999)
    with pytest.raises(NotFoundError, match="it was made in epoch 7"):
        explain(source_of(live), answer.decision_id, epoch=6)
    assert explain(source_of(live), answer.decision_id, epoch=7).is_same


def test_a_decision_from_before_the_journal_is_told_from_one_that_never_was(
    tmp_path: Path,
) -> None:
    with new_example_engine(tmp_path / "journal") as first:
        for number in range(3):
            first.decide(good_request(client_order_id=f"order-{number}"))
    source, number = source_of(first), first.entry_number
    source.snapshots.mkdir()
    replayer = source.begin_before(1)
    assert replayer.advance(number)
    state = replayer.engine.state
    meta = describe_state(state, entry_number=number, made_at_ns=1, start=replayer.start)
    save_snapshot(source.snapshots, state, meta)
    start: dict[str, Any] = {"origin": Origin(epoch=8), "started_at_ns": first.reading_ns}
    with JournaledEngine(
        first.folder, engine=replayer.engine, last_entry=number, **start
    ) as second:
        answer = second.decide(good_request(client_order_id="last"))
    segment_path(first.folder, 1).unlink()
    assert explain(source, answer.decision_id).is_same
    with pytest.raises(NotFoundError, match="the journal begins behind it"):
        explain(source, answer.decision_id - 1)


def journaled(live: JournaledEngine) -> Iterator[Any]:
    """Yield every answer of the journal that made a decision of its own."""
    for entry in read_entries(live.folder):
        if entry.kind in (KIND_DECIDE, KIND_BATCH, KIND_STREAM):
            call = read_call(entry)
            if entry.kind == KIND_DECIDE:
                answers = [pb.DecideResponse.FromString(call.answer)]
            elif entry.kind == KIND_STREAM:
                answers = [pb.DecideStreamResponse.FromString(call.answer).response]
            else:
                results = pb.DecideBatchResponse.FromString(call.answer).results
                answers = [result.response for result in results]
            new = range(entry.sequence - len(call.readings) + 1, entry.sequence + 1)
            yield from (answer for answer in answers if answer.decision_id in new)


@pytest.mark.parametrize("seed", [0, 3, 4])
def test_any_decision_of_a_random_world_comes_out_as_it_was(tmp_path: Path, seed: int) -> None:
    world = World(seed)
    with new_world_engine(tmp_path / "journal", world) as live:
        play_world(live, world, 400)
    seen = {REASON_CODES[0]}
    for answer in list(journaled(live))[::8]:
        found = explain(source_of(live), answer.decision_id)
        assert found.differences == []
        assert view_message(found.answer) == view_message(answer)
        seen |= set(answer.reasons)
    assert len(seen) > 10
