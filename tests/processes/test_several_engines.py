"""`riskgate serve --shards 2`: two engines share the accounts, callers see one gate."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pytest
import yaml

import riskgate
from riskgate.shards import find_shard
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from tests.order_flow import GOOD_PROVIDER_LOTS, WHOLE_LOTS, order
from tests.stack_harness import Stack, running_stack

COUNT: Final = 2
ACCOUNTS: Final = [f"account-{number}" for number in range(12)]
DEADLINE_S: Final = 5.0
ARRIVAL_S: Final = 20.0


@pytest.fixture(scope="module", params=["compiled", "grpcio"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    with running_stack(f"--shards={COUNT}", f"--lane={request.param}") as stack:
        path = tmp_path_factory.mktemp("shards") / "accounts.yaml"
        path.write_text(yaml.safe_dump(entries()), encoding="utf-8")
        stack.answer("apply", "--reason", "test", "-f", str(path))
        yield stack


def entries() -> dict[str, Any]:
    """Return the entries of outages.yaml, for a dozen accounts."""
    given = yaml.safe_load(Path(__file__).with_name("outages.yaml").read_text(encoding="utf-8"))
    account, configuration = given["accounts"][0], given["risk_configurations"][0]
    return {
        **given,
        "accounts": [{**account, "account_id": each} for each in ACCOUNTS],
        "risk_configurations": [{**configuration, "account_id": each} for each in ACCOUNTS],
        "circuit_breakers": [],
    }


def connect(stack: Stack) -> riskgate.Client:
    return riskgate.connect(stack.data_dir, deadline_s=DEADLINE_S)


def wait_for_lots(stack: Stack, lots: float, **fields: Any) -> None:
    """Wait until every account is given the size that was worked out by hand."""

    def arrived() -> bool:
        with connect(stack) as gate:
            found = [gate.decide(**{**order(each), **fields}, dry_run=True) for each in ACCOUNTS]
        return all(answer.lot_size == lots for answer in found)

    assert wait_until(arrived, timeout_s=ARRIVAL_S)


def test_decide_when_there_are_two_engines_then_each_answers_for_its_accounts(
    stack: Stack,
) -> None:
    assert {find_shard(each, COUNT) for each in ACCOUNTS} == {0, 1}
    wait_for_lots(stack, WHOLE_LOTS)
    assert len(set(stack.state.decision_addresses)) == COUNT
    assert stack.state.decision_address == stack.state.decision_addresses[0]
    for index, address in enumerate(stack.state.decision_addresses):
        with riskgate.Client(address, deadline_s=DEADLINE_S) as engine:
            for account_id in ACCOUNTS:
                if find_shard(account_id, COUNT) == index:
                    assert engine.decide(**order(account_id), dry_run=True).lot_size == WHOLE_LOTS
                    continue
                calls: dict[str, dict[str, Any]] = {
                    "decide": {**order(account_id), "dry_run": True},
                    "report": {"report_id": "r", "account_id": account_id, "kind": "ack"},
                    "sync_account": {"account_id": account_id, "equity": 5.0},
                }
                for method, fields in calls.items():
                    with pytest.raises(riskgate.NoDecisionError) as caught:
                        getattr(engine, method)(**fields)
                    assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
                    assert caught.value.field == "account_id"


def test_batch_and_stream_when_there_are_two_engines_then_outcomes_keep_their_order(
    stack: Stack,
) -> None:
    wait_for_lots(stack, WHOLE_LOTS)
    filled = {
        **order(),
        "side": types.SIDE_BUY,
        "provider_type": types.PROVIDER_TYPE_CHANNEL_SOURCE,
    }
    requests = [
        pb.DecideRequest(**{**filled, "account_id": each}, dry_run=True)
        for each in (*ACCOUNTS, "nobody")
    ]
    with connect(stack) as gate:
        for outcomes in (gate.decide_batch(requests), list(gate.stream(requests))):
            answers = [each for each in outcomes if isinstance(each, pb.DecideResponse)]
            assert [answer.lot_size for answer in answers] == [WHOLE_LOTS] * len(ACCOUNTS) + [0]
            assert types.REASON_ACCOUNT_UNKNOWN in answers[-1].reasons
        with pytest.raises(riskgate.NoDecisionError, match="different engines"):
            gate.decide_batch(requests, all_or_none=True)


def test_apply_when_there_are_two_engines_then_the_change_reaches_both(
    stack: Stack, tmp_path: Path
) -> None:
    path = tmp_path / "provider.yaml"
    entry = {"provider_id": "channel_new", "provider_type": "channel_source"}
    path.write_text(yaml.safe_dump({"providers": [{**entry, "performance_score": 87.5}]}))
    stack.answer("apply", "--reason", "test", "-f", str(path))
    wait_for_lots(stack, GOOD_PROVIDER_LOTS, provider_id="channel_new")


def test_commands_when_there_are_two_engines_then_they_find_both(stack: Stack) -> None:
    for account_id in ACCOUNTS[:6]:
        words = order(account_id)
        options = [
            f"--{name.removesuffix('_id').replace('_', '-')}={value}"
            for name, value in words.items()
            if name not in {"entry_price", "stop_loss"}
        ]
        answer = stack.answer("decide", *options, "--entry=1.1", "--stop=1.098", "--dry-run")
        assert answer["lot_size"] == WHOLE_LOTS
    assert wait_until(stack.is_healthy, timeout_s=ARRIVAL_S)
    assert {"engine-0", "engine-1", "engine_state-0", "engine_state-1"} <= set(stack.examine()[1])


def test_engine_when_one_of_two_is_killed_then_the_other_goes_on(stack: Stack) -> None:
    first, second = (
        next(each for each in ACCOUNTS if find_shard(each, COUNT) == index) for index in (0, 1)
    )
    words = psutil.Process(stack.state.pids["engine-1"]).cmdline()
    assert words[-5:] == ["engine", "--data-dir", str(stack.data_dir), "--shard", "1/2"]
    log_path = stack.data_dir / "logs" / "engine-1.log"
    assert log_path.exists()
    with connect(stack) as gate:
        epochs = [gate.decide(**order(each), dry_run=True).epoch for each in (first, second)]
        before = stack.state.pids
        os.kill(before["engine-1"], signal.SIGKILL)
        assert gate.decide(**order(first), dry_run=True).epoch == epochs[0]

        def is_back() -> bool:
            try:
                return gate.decide(**order(second), dry_run=True).epoch == epochs[1] + 1
            except riskgate.NoDecisionError:
                return False

        assert wait_until(is_back, timeout_s=60), log_path.read_text(encoding="utf-8")[-4_000:]
        assert gate.decide(**order(first), dry_run=True).epoch == epochs[0]
    after = stack.state.pids
    assert {name for name, pid in after.items() if before[name] != pid} == {"engine-1"}
    for index, epoch in enumerate((epochs[0], epochs[1] + 1)):
        assert int((stack.data_dir / f"epoch-{index}of2").read_text()) == epoch
    assert not (stack.data_dir / "epoch").exists()
