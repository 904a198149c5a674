"""What a caller sees while parts of the stack are away, and after they are back.

Real kills under a flow of orders, each answer compared with the number worked out by hand. The
supervisor brings a killed part back within a second; where a test needs the outage to last, it
holds the supervisor still meanwhile.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import psutil
import pytest
import redis
import yaml

import riskgate
from riskgate.v1 import provider_pb2
from riskgate.v1 import types_pb2 as types
from server.commands.get import KINDS, list_entries
from server.embedded.process import wait_until
from tests.artifact_builder import build_artifact, load_author_key
from tests.onnx_builder import build_random_trees, build_tree_model
from tests.order_flow import (
    ACCOUNT,
    DEGRADED_AGE_MS,
    GOOD_PROVIDER_LOTS,
    HALF_LOTS,
    WHOLE_LOTS,
    Decided,
    OrderFlow,
    order,
)
from tests.stack_harness import Stack, running_stack

# Its holds live long enough to be there after a restart.
PATIENT: Final = "patient"
RECOVERY_S: Final = 15.0
ARRIVAL_S: Final = 2.0
_AWAY: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        stack.answer(
            "apply", "--reason", "test", "-f", str(Path(__file__).with_name("outages.yaml"))
        )
        yield stack


@contextmanager
def held(stack: Stack) -> Iterator[None]:
    """Hold the supervisor still, so that nobody mends anything."""
    supervisor = psutil.Process(stack.state.supervisor_pid)
    supervisor.suspend()
    try:
        yield
    finally:
        supervisor.resume()


def kill(stack: Stack, name: str) -> None:
    """Kill a part with everything that it has started."""
    process = psutil.Process(stack.state.pids[name])
    for each in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            each.kill()


def put_provider(stack: Stack, provider_id: str) -> int:
    """Make a provider of score 87.5 known and return the version of that change."""
    provider = provider_pb2.Provider(
        provider_id=provider_id,
        provider_type=types.PROVIDER_TYPE_CHANNEL_SOURCE,
        performance_score=87.5,
    )
    with riskgate.ControlClient.from_data_dir(stack.data_dir) as control:
        request = provider_pb2.PutProviderRequest(provider=provider)
        return int(control.providers.PutProvider(request, timeout=10).state_version)


def lots_of(stack: Stack, **fields: Any) -> float:
    with riskgate.connect(stack.data_dir, deadline_s=2) as gate:
        return float(gate.decide(**{**order(), **fields}, dry_run=True).lot_size)


def assert_change_arrives(stack: Stack, provider_id: str) -> None:
    """A change is applied, and a decision that asks for it has it."""
    version = put_provider(stack, provider_id)
    ends_at_s = time.monotonic() + ARRIVAL_S
    while True:
        try:
            lots = lots_of(stack, provider_id=provider_id, min_state_version=version)
        except riskgate.NoDecisionError as error:
            # It waits 50 ms for the change, which a busy machine may exceed.
            is_early = error.code is grpc.StatusCode.FAILED_PRECONDITION
            if not is_early or time.monotonic() > ends_at_s:
                raise
        else:
            assert lots == GOOD_PROVIDER_LOTS
            return


def is_normal(decided: Decided) -> bool:
    return decided.mode == types.MODE_NORMAL


def has(reason: types.Reason) -> Callable[[Decided], bool]:
    return lambda decided: reason in decided.reasons


def assert_flawless(flow: OrderFlow) -> None:
    assert flow.failures == []
    assert flow.faults == []
    assert max(decided.spent_s for decided in flow.decided) < 1.0


def test_decide_when_a_version_is_asked_for_then_waits_a_moment_and_no_longer(
    stack: Stack, tmp_path: Path
) -> None:
    entry = {"provider_id": "channel_new", "provider_type": "channel_source"}
    path = tmp_path / "provider.yaml"
    path.write_text(yaml.safe_dump({"providers": [{**entry, "performance_score": 87.5}]}))
    applied = stack.answer("apply", "--reason", "test", "-f", str(path))
    assert applied["created"] == 1
    version = applied["state_version"]
    lots = lots_of(stack, provider_id="channel_new", min_state_version=version)
    assert lots == GOOD_PROVIDER_LOTS
    assert_change_arrives(stack, "channel_newer")
    spent_s = []
    with riskgate.connect(stack.data_dir, deadline_s=2) as gate:
        gate.decide(**order(), dry_run=True)
        for _ in range(5):
            began_s = time.monotonic()
            with pytest.raises(riskgate.NoDecisionError) as caught:
                gate.decide(**order(), min_state_version=version + 1_000)
            spent_s.append(time.monotonic() - began_s)
            assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
            assert caught.value.field == "min_state_version"
    # A busy machine can make a wait longer, never shorter.
    assert 0.045 < min(spent_s) < 0.1


def test_decide_when_redis_is_emptied_then_answers_stay_right_and_it_is_rebuilt(
    stack: Stack,
) -> None:
    client = redis.Redis.from_url(stack.state.redis_url, socket_timeout=2)
    generation = int(client.get("riskgate:generation") or 0)
    with OrderFlow(stack.data_dir) as flow:
        flow.wait_for(is_normal, timeout_s=5)
        client.flushall()
        assert wait_until(
            lambda: int(client.get("riskgate:generation") or 0) > generation, timeout_s=RECOVERY_S
        )
        flow.wait_for(is_normal, timeout_s=RECOVERY_S)
        time.sleep(0.5)
        assert_change_arrives(stack, "channel_after_flush")
        # Once more, so that a rebuild of a rebuild is seen too.
        client.flushall()
        time.sleep(1.5)
        assert_change_arrives(stack, "channel_after_second_flush")
        flow.wait_for(is_normal, timeout_s=RECOVERY_S)
    client.close()
    assert_flawless(flow)


def test_decide_when_redis_is_killed_then_sizes_are_halved_until_it_is_back(stack: Stack) -> None:
    before = stack.state.pids["redis"]
    with OrderFlow(stack.data_dir) as flow:
        last, _ = flow.wait_for(is_normal, timeout_s=5)
        version = last.answer.state_version
        with held(stack):
            kill(stack, "redis")
            # The change is committed; that it cannot go out yet is the feed's business.
            waiting = put_provider(stack, "channel_during_redis")
            halved, spent_s = flow.wait_for(
                has(types.REASON_FEED_DEGRADED), timeout_s=DEGRADED_AGE_MS / 1_000 + 2
            )
            assert spent_s > 1.0
            assert (halved.answer.lot_size, halved.mode) == (HALF_LOTS, types.MODE_DEGRADED)
            assert halved.age_ms >= DEGRADED_AGE_MS
            older, _ = flow.wait_for(lambda decided: decided.age_ms > 2_500, timeout_s=2)
            assert older.answer.state_version == version
        back, _ = flow.wait_for(is_normal, timeout_s=RECOVERY_S)
        assert back.answer.lot_size == WHOLE_LOTS
        assert back.answer.state_version >= version
        flow.wait_for(lambda each: each.answer.state_version >= waiting, timeout_s=2)
        assert_change_arrives(stack, "channel_after_redis")
    assert_flawless(flow)
    assert lots_of(stack, provider_id="channel_during_redis") == GOOD_PROVIDER_LOTS
    assert stack.state.pids["redis"] != before
    # An outage is tried twice a second and takes a few lines, however long it lasts.
    lines = (stack.data_dir / "logs" / "control.log").read_text(encoding="utf-8").splitlines()
    assert 1 <= sum("redis is away" in line for line in lines) <= 4
    assert any("redis is there" in line for line in lines)
    assert "redis is back" in (stack.data_dir / "logs" / "engine.log").read_text(encoding="utf-8")


def test_decide_when_postgres_is_killed_then_goes_on_unchanged_and_says_so(stack: Stack) -> None:
    with OrderFlow(stack.data_dir) as flow:
        flow.wait_for(is_normal, timeout_s=5)
        with held(stack):
            kill(stack, "postgres")
            away, _ = flow.wait_for(has(types.REASON_RECORD_AWAY), timeout_s=5)
            assert (away.answer.lot_size, away.mode) == (WHOLE_LOTS, types.MODE_DEGRADED)
            with pytest.raises(grpc.RpcError) as caught:
                put_provider(stack, "channel_refused")
            code: Any = caught.value
            assert code.code() is grpc.StatusCode.UNAVAILABLE
            flow.wait_for(has(types.REASON_RECORD_AWAY), timeout_s=1)
        flow.wait_for(is_normal, timeout_s=RECOVERY_S)
        assert_change_arrives(stack, "channel_after_postgres")
    assert_flawless(flow)
    assert not any(types.REASON_FEED_DEGRADED in decided.reasons for decided in flow.decided)
    assert lots_of(stack, provider_id="channel_refused") == 0


def test_decide_when_both_stores_are_killed_and_redis_loses_its_file_then_all_is_rebuilt(
    stack: Stack,
) -> None:
    with OrderFlow(stack.data_dir) as flow:
        flow.wait_for(is_normal, timeout_s=5)
        with held(stack):
            kill(stack, "redis")
            kill(stack, "postgres")
            files = [path for path in (stack.data_dir / "redis").rglob("*") if path.is_file()]
            assert files
            for path in files:
                path.unlink()
            flow.wait_for(lambda decided: decided.age_ms > 1_000, timeout_s=5)
        flow.wait_for(lambda decided: decided.age_ms < 600, timeout_s=RECOVERY_S)
        assert_change_arrives(stack, "channel_after_both")
    assert_flawless(flow)


@pytest.mark.campaign
def test_decide_when_redis_stays_away_then_new_risk_is_refused_and_exits_are_not(
    stack: Stack,
) -> None:
    with OrderFlow(stack.data_dir) as flow:
        flow.wait_for(is_normal, timeout_s=5)
        with held(stack):
            kill(stack, "redis")
            refused, spent_s = flow.wait_for(has(types.REASON_FEED_STALE), timeout_s=35)
            assert spent_s > 28
            assert refused.answer.verdict == types.VERDICT_DENY
            assert (refused.answer.lot_size, refused.mode) == (0, types.MODE_REFUSE)
            with riskgate.connect(stack.data_dir, deadline_s=2) as gate:
                leave = gate.decide(
                    account_id=ACCOUNT, symbol="EURUSD", side="sell", reduce_only=True
                )
            assert types.REASON_FEED_STALE not in leave.reasons
            assert leave.reasons[0] == types.REASON_POSITION_UNKNOWN
        flow.wait_for(is_normal, timeout_s=RECOVERY_S)
        assert_change_arrives(stack, "channel_after_refusal")
    assert_flawless(flow)


def test_decide_when_the_engine_is_killed_then_it_goes_on_where_it_was(stack: Stack) -> None:
    with riskgate.connect(stack.data_dir, deadline_s=0.5) as gate:
        order_id = riskgate.build_order_id()
        before = gate.decide(**order(PATIENT), client_order_id=order_id)
        os.kill(stack.state.pids["engine"], signal.SIGKILL)
        answer = _decide_at_last(gate)
        assert answer.epoch == before.epoch + 1
        assert answer.decision_id > before.decision_id
        assert (answer.lot_size, answer.mode) == (WHOLE_LOTS, types.MODE_NORMAL)
        assert gate.decide(**order(PATIENT), client_order_id=order_id) == before
    assert_change_arrives(stack, "channel_after_engine")


def test_serve_when_started_again_then_knows_all_that_it_knew(stack: Stack, tmp_path: Path) -> None:
    _activate_model(stack, tmp_path / "model")
    entries = _list_all(stack)
    assert all(entries.values()), entries
    with riskgate.connect(stack.data_dir, deadline_s=2) as gate:
        before = _wait_for_model(gate)
    assert stack.end(signal.SIGTERM) == 0
    stack.start()
    with riskgate.connect(stack.data_dir, deadline_s=2) as gate:
        after = gate.decide(**order(), dry_run=True)
    assert _list_all(stack) == entries
    assert (after.epoch, after.state_version) == (before.epoch + 1, before.state_version)
    assert not after.reasons or after.reasons[0] != types.REASON_RESTARTED
    for name in ("lot_size", "sl_buffer_pips", "model_digest", "policy_digest", "mode"):
        assert getattr(after, name) == getattr(before, name), name


def _decide_at_last(gate: riskgate.Client, **fields: Any) -> riskgate.DecideResponse:
    """Ask again and again, as a caller would, with the same order id until there is an answer."""
    ends_at_s = time.monotonic() + RECOVERY_S
    order_id = riskgate.build_order_id()
    while True:
        try:
            return gate.decide(**{**order(), **fields}, client_order_id=order_id)
        except riskgate.NoDecisionError as error:
            if error.code not in _AWAY or time.monotonic() > ends_at_s:
                raise
            time.sleep(0.05)


def _list_all(stack: Stack) -> dict[str, list[Any]]:
    with riskgate.ControlClient.from_data_dir(stack.data_dir) as control:
        return {name: list(list_entries(control, kind)) for name, kind in KINDS.items()}


def _activate_model(stack: Stack, folder: Path) -> None:
    """Let a model speak whose answer is the same for every question: 0.5 and 2.0 pips."""
    trees = build_random_trees(np.random.default_rng(1), 1, 1, targets=((0, 1),))
    trees["target_weights"] = [0.5 if output == 0 else 2.0 for output in trees["target_ids"]]
    key = load_author_key(stack.data_dir / "keys")
    folder.mkdir()
    for name, content in build_artifact(key, build_tree_model(trees)).items():
        (folder / name).write_bytes(content)
    stack.answer("models push", str(folder))
    why = ("--reason", "the same answer for every question")
    stack.answer("models propose", "1.0.0", *why)
    stack.answer("models approve", "1.0.0", "--as", "both", *why)
    stack.answer("models activate", "1.0.0", *why)


def _wait_for_model(gate: riskgate.Client) -> riskgate.DecideResponse:
    # Stop 20 pips, slippage 2.0, buffer 2.0 + 0.5: 24.5 pips are 245 a lot, so 0.20 for 50.
    answers = []

    def speaks() -> bool:
        answers.append(gate.decide(**order(), dry_run=True))
        return answers[-1].model_digest != b""

    assert wait_until(speaks, timeout_s=5)
    assert (answers[-1].lot_size, answers[-1].sl_buffer_pips) == (0.20, 2.5)
    return answers[-1]
