"""A standby takes over from an engine process that was killed, here or on another machine."""

import contextlib
import json
from pathlib import Path

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from server.loaders.redis_epoch import RedisEpoch
from server.readiness import read_status
from server.shards import WHOLE
from tests.faults.orders import Orders, client_of, order_bytes
from tests.faults.promises import (
    check_holds,
    check_journal,
    check_memory,
    read_kept,
    read_last_number,
)
from tests.faults.source import feeding
from tests.faults.victim import victim_in
from tests.feed_harness import SEAL, give_feed_key
from tests.standby_processes import (
    WAIT_S,
    Reserve,
    Shipping,
    couple_in,
    run_command,
)


def test_a_standby_of_a_dead_engine_goes_on_with_all_that_was_answered(
    tmp_path: Path, redis_url: str
) -> None:
    with couple_in(tmp_path, redis_url) as (primary, reserve):
        orders = Orders(primary.address)
        orders.start()
        orders.wait_for_answers(400)
        primary.kill()
        orders.stop()
        done = run_command("promote", "--data-dir", str(reserve.data_dir), "--json")
        assert done.returncode == 0, done.stdout + done.stderr + reserve.read_log()
        said = json.loads(done.stdout)
        assert said["proof"] == "it is dead"
        check_journal(orders, read_kept(primary.journal))
        reserve.wait_until_serving()
        check_memory(reserve.address, orders, list(orders.told))
        check_holds(reserve.address, orders, 0)
        _serves_on(reserve, said["epoch"], "before")
        # Again with what stands in its own directory, and under the name it is run by.
        assert reserve.stop() == 0, reserve.read_log()
        reserve.serve()
        check_memory(reserve.address, orders, list(orders.told))
        _serves_on(reserve, said["epoch"] + 1, "after")
        # The one before does not come back.
        primary.start()
        assert primary.wait_until_dead() == 1
        assert (
            f"reserve/journal has taken over with epoch {said['epoch'] - 1}" in primary.read_log()
        )
        assert reserve.stop() == 0, reserve.read_log()


def _serves_on(reserve: Reserve, epoch: int, name: str) -> None:
    with client_of(reserve.address) as client:
        (raw,) = client.ask([order_bytes(name)])
    answer = pb.DecideResponse.FromString(raw)
    assert (answer.epoch, answer.verdict) == (epoch, types.VERDICT_ALLOW), str(answer)


def test_a_second_standby_is_told_that_it_came_too_late(tmp_path: Path, redis_url: str) -> None:
    with couple_in(tmp_path, redis_url) as couple:
        (tmp_path / "third").mkdir()
        third = Reserve(tmp_path / "third", redis_url, couple.primary.data_dir)
        try:
            third.start()
            third.wait_until_following()
            couple.primary.kill()
            couple.reserve.promote()
            done = run_command("promote", "--data-dir", str(third.data_dir))
            assert done.returncode == 1
            assert "this standby knows of 1: another engine has decided" in done.stderr
            assert third.stop() == 0, third.read_log()
            third.start()
            assert third.wait_until_dead() == 1
            assert "reserve/journal has taken over" in third.read_log()
        finally:
            third.kill()


# --- A primary on another machine ------------------------------------------------------------


def test_a_standby_elsewhere_goes_on_with_what_was_shipped(tmp_path: Path, redis_url: str) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(feeding(redis_url))
        primary = stack.enter_context(victim_in(tmp_path / "primary", redis_url))
        primary.serve()
        shipping = Shipping(primary.data_dir, redis_url)
        stack.callback(shipping.kill)
        shipping.start()
        # On another machine the key of the feed was copied by hand.
        give_feed_key(tmp_path / "reserve")
        reserve = Reserve(tmp_path / "reserve", redis_url, None)
        stack.callback(reserve.kill)
        reserve.start()
        reserve.wait_until_following()
        orders = Orders(primary.address)
        orders.start()
        orders.wait_for_answers(400)
        orders.stop()
        last = read_last_number(primary.journal)
        reserve.wait_for(lambda: reserve.said.get("entry_number", 0) >= last)
        window = json.loads((primary.data_dir / "run" / "shipping.json").read_bytes())
        print(f"\nshipped through redis: {window}")  # noqa: T201 - figures to read
        # It lives on and is fenced by Redis alone.
        words = ("promote", "--data-dir", str(reserve.data_dir), "--primary-is-dead", "--json")
        done = run_command(*words)
        assert done.returncode == 0, done.stdout + done.stderr + reserve.read_log()
        assert json.loads(done.stdout)["missing_entries"] == 0
        reserve.wait_until_serving()
        check_memory(reserve.address, orders, list(orders.told))
        check_holds(reserve.address, orders, 0)
        assert wait_until(
            lambda: read_status(primary.address) == "NOT_SERVING", timeout_s=WAIT_S
        ), primary.read_log()
        with client_of(primary.address) as client:
            (raw,) = client.ask([order_bytes("late")])
        assert pb.DecideResponse.FromString(raw).reasons == [types.REASON_FENCED]
        assert primary.stop() == 0, primary.read_log()
        primary.start()
        assert primary.wait_until_dead() == 1
        assert "redis has taken over" in primary.read_log()
        assert shipping.stop() == 0, shipping.read_log()
        assert reserve.stop() == 0, reserve.read_log()


def test_an_engine_without_a_journal_answers_nothing_more(tmp_path: Path, redis_url: str) -> None:
    """There is no journal in which its lane would see that; this process sees it in Redis."""
    with (
        feeding(redis_url),
        victim_in(tmp_path / "primary", redis_url, durability="memory") as primary,
    ):
        primary.serve()
        epochs = RedisEpoch(redis_url, WHOLE, SEAL)
        epochs.raise_to(9)
        epochs.close()
        assert wait_until(
            lambda: read_status(primary.address) == "NOT_SERVING", timeout_s=WAIT_S
        ), primary.read_log()
        with client_of(primary.address) as client, pytest.raises(grpc.RpcError) as refusal:
            client.ask([order_bytes("late")])
        assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
        assert primary.stop() == 0, primary.read_log()
