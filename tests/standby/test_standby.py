"""A standby follows and takes over, with real engines in this process."""

from pathlib import Path

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.engine_start import Started, start_engine
from server.errors import (
    ConfigurationError,
    JournalError,
    JournalFencedError,
    SnapshotCapacityError,
    UnavailableError,
)
from server.journal.fencing import (
    read_fence,
)
from server.shards import all_shards
from server.standby import standby as standby_module
from server.standby.standby import Standby
from tests.lane_harness import open_lane
from tests.replays.test_replayer import assert_same_state
from tests.standby_harness import (
    VERSION,
    Epochs,
    Primary,
    activate_model,
    fill,
    follow,
    order,
    primary_in,
    settings_of,
    standby_of,
)

# --- Following -------------------------------------------------------------------------------


def test_a_standby_holds_the_same_state_byte_for_byte(tmp_path: Path) -> None:
    with primary_in(tmp_path / "data") as primary:
        activate_model(primary)
        for number in range(300):
            name = f"order-{number}"
            primary.port.decide(order(name))
            fill = {"kind": types.REPORT_KIND_FILL, "price": 1.1, "lots": 0.01}
            primary.port.report(report_id=name, account_id="A", client_order_id=name, **fill)
    with standby_of(primary, tmp_path / "own") as standby:
        follow(standby)
        assert standby.difference_count == 0
        assert standby.followed_number == primary.engine.journal["entry_number"][0]
        assert_same_state(standby._follower.engine.state, primary.engine.state)


def test_a_standby_follows_through_the_restarts_of_its_primary(tmp_path: Path) -> None:
    with primary_in(tmp_path / "data") as primary:
        primary.port.decide(order("one"))
    with standby_of(primary, tmp_path / "own") as standby:
        follow(standby)
        for epoch in (2, 3):
            with primary_in(tmp_path / "data") as primary:
                primary.port.decide(order(f"in-{epoch}"))
                follow(standby)
                assert (standby.epoch, standby.difference_count) == (epoch, 0)


def test_a_standby_begins_with_the_snapshot_when_the_journal_was_trimmed(tmp_path: Path) -> None:
    with primary_in(tmp_path / "data") as primary:
        with standby_of(primary, tmp_path / "first") as first:
            decide_until_rotated(primary)
            follow(first)
            first._follower.write_snapshot()
        # The follower of a recorder leaves its snapshots in the engine's own directory.
        (tmp_path / "first" / "snapshots").rename(tmp_path / "data" / "snapshots")
        oldest = min(primary.folder.glob("*.segment"))
        oldest.unlink()
        with standby_of(primary, tmp_path / "second") as second:
            follow(second)
            assert second.difference_count == 0
            assert second.followed_number == primary.engine.journal["entry_number"][0]


def decide_until_rotated(primary: Primary) -> None:
    number = 0
    while primary.engine.journal["segment_number"][0] < 2:
        number += 1
        primary.port.decide(order(f"filler-{number}"))


def test_a_standby_does_not_follow_itself_nor_keep_nothing(tmp_path: Path) -> None:
    with primary_in(tmp_path / "data") as primary:
        with pytest.raises(ConfigurationError, match="the standby itself"):
            Standby(primary.settings, primary.settings.data_dir, Epochs())
        with pytest.raises(ConfigurationError, match="needs a journal"):
            Standby(settings_of(tmp_path / "own", durability="memory"), tmp_path / "data", Epochs())


# --- Taking over -----------------------------------------------------------------------------


def test_a_promoted_standby_knows_every_id_and_starts_again_from_its_own_directory(
    tmp_path: Path,
) -> None:
    with primary_in(tmp_path / "data") as primary:
        activate_model(primary)
        requests = [order(f"order-{number}").SerializeToString() for number in range(200)]
        told = [primary.port.call("Decide", raw) for raw in requests]
        standby = Standby(settings_of(tmp_path / "own"), tmp_path / "data", Epochs())
        started, promotion = standby.promote("a test")
        assert primary.port.decide(order("late")).reasons == [types.REASON_FENCED]
    fence = read_fence(primary.folder)
    assert fence is not None
    assert (fence.epoch, fence.last_entry_number) == (2, promotion.entry_number)
    assert fence.taken_by.endswith(":" + str(tmp_path / "own" / "journal"))
    assert (promotion.epoch, promotion.proof[:8]) == (3, "its lane")
    check_goes_on(started, tmp_path / "own", requests, told)
    # Neither the old directory nor the standby is needed any more.
    (tmp_path / "data").rename(tmp_path / "gone")
    started = start_engine(settings_of(tmp_path / "own"))
    assert started.engine.journal["epoch"][0] == 4
    check_goes_on(started, tmp_path / "own", requests, told)


def check_goes_on(
    started: Started, data_dir: Path, requests: list[bytes], told: list[bytes]
) -> None:
    """The same bytes for what was asked before, and a new decision for what was not."""
    epoch = int(started.engine.journal["epoch"][0])
    with open_lane(started.engine, data_dir=data_dir) as port:
        assert [port.call("Decide", raw) for raw in requests] == told
        port.beat(VERSION)
        answer = port.decide(order(f"new-in-{epoch}"))
        assert (answer.epoch, answer.verdict) == (epoch, types.VERDICT_ALLOW)
        assert answer.model_version == "1.0.0"
        assert answer.decision_id > pb.DecideResponse.FromString(told[-1]).decision_id
    started.close()


def test_a_standby_of_one_of_two_engines_takes_over_that_one(tmp_path: Path) -> None:
    own = next(shard for shard in all_shards(2) if shard.owns("A"))
    settings = settings_of(tmp_path / "data", shard=str(own))
    started = start_engine(settings)
    fill(started.engine)
    started.close()
    standby = Standby(settings_of(tmp_path / "own", shard=str(own)), tmp_path / "data", Epochs())
    started, promotion = standby.promote("a test")
    started.close()
    assert promotion.proof == "it is dead"
    made = {path.name for path in (tmp_path / "own").iterdir()}
    assert made == {f"{name}-{own.index}of2" for name in ("journal", "snapshots", "epoch")}
    assert read_fence(tmp_path / "data" / f"journal-{own.index}of2") is not None


def test_a_promotion_that_was_cut_short_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends behind each of its steps; the other engine is fenced, and nothing else is."""
    with primary_in(tmp_path / "data") as primary:
        told = primary.port.call("Decide", order("before").SerializeToString())
        for step in ("_fence", "_read_to_end", "_sign_off", "_begin"):
            with monkeypatch.context() as patch:
                patch.setattr(standby_module.Standby, step, _failing)
                with (
                    standby_of(primary, tmp_path / "own") as standby,
                    pytest.raises(JournalError, match="cut short"),
                ):
                    standby.promote("a test")
        standby = Standby(settings_of(tmp_path / "own"), tmp_path / "data", Epochs())
        started, _ = standby.promote("a test")
        with open_lane(started.engine, data_dir=tmp_path / "own") as port:
            assert port.call("Decide", order("before").SerializeToString()) == told
        started.close()


def _failing(*_: object, **__: object) -> None:
    raise JournalError("cut short")


def test_a_standby_with_other_answers_takes_nothing_over(tmp_path: Path) -> None:
    with primary_in(tmp_path / "data") as primary, standby_of(primary, tmp_path / "own") as standby:
        primary.port.decide(order("before"))
        follow(standby)
        # As if this machine calculated differently.
        standby._follower.engine.state.accounts.rows[1]["equity_micros"] = 1
        primary.port.decide(order("after"))
        with pytest.raises(JournalError, match="entries came out differently"):
            standby.promote("a test")
        assert read_fence(primary.folder) is None
        assert primary.port.decide(order("still")).verdict == types.VERDICT_ALLOW


def test_a_standby_with_smaller_tables_takes_nothing_over(tmp_path: Path) -> None:
    with (
        primary_in(tmp_path / "data") as primary,
        standby_of(primary, tmp_path / "own", capacity_reservations=16) as standby,
    ):
        for number in range(20):
            primary.port.decide(order(f"order-{number}"))
        with pytest.raises(SnapshotCapacityError, match="reservations"):
            standby.promote("a test")
        assert read_fence(primary.folder) is None


def test_a_standby_waits_for_an_engine_that_it_cannot_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby_module, "FENCE_WAIT_S", 0.3)
    monkeypatch.setattr(Standby, "_is_here", lambda _: False)
    with primary_in(tmp_path / "data") as primary:
        standby = Standby(settings_of(tmp_path / "own"), tmp_path / "data", Epochs())
        started, promotion = standby.promote("a test")
        started.close()
        assert promotion.proof == "it has had no heartbeat for 0 s"
        assert promotion.took_ms >= 300
        assert primary.port.decide(order("late")).reasons == [types.REASON_FENCED]


def test_a_standby_needs_redis_when_it_has_no_other_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Standby, "_is_here", lambda _: False)
    epochs = Epochs()
    epochs.is_away = True
    with primary_in(tmp_path / "data"):
        standby = Standby(settings_of(tmp_path / "own"), tmp_path / "data", epochs)
        with pytest.raises(UnavailableError):
            standby.promote("a test")
        started, promotion = standby.promote("a test", primary_is_dead=True)
        started.close()
        assert promotion.proof == "it is dead"


def test_a_standby_that_has_missed_an_engine_does_not_take_over(tmp_path: Path) -> None:
    epochs = Epochs()
    epochs.highest = 5
    with primary_in(tmp_path / "data") as primary:
        standby = Standby(settings_of(tmp_path / "own"), tmp_path / "data", epochs)
        with pytest.raises(JournalFencedError, match="another engine has decided"):
            standby.promote("a test")
        standby.close()
        assert read_fence(primary.folder) is None
