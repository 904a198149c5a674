"""What a limited caller did comes out again in a replay, which knows nothing of grants."""

import time
from pathlib import Path

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2
from riskgate.v1.identity_pb2 import Identity
from server.engine import Engine
from server.hotpath.journal.entries import KIND_BATCH, KIND_DECIDE, KIND_NAMES, KIND_REPORT
from server.journal.reader import read_change, read_entries
from server.replays.replayer import Replayer
from server.replays.substitution import Substitution
from server.security.grants import Grants
from tests.cases.world import ROOMY
from tests.decision_harness import good_request
from tests.journaled_engine import JournaledEngine, find_model
from tests.journaled_example import new_example_engine

TRADER = "spiffe://riskgate/trader/desk"
ENTRY = Identity(uri=TRADER, accounts=["A"], providers=["channel_12345"])
OTHERS = good_request(account_id="B", client_order_id="other")


def play(live: JournaledEngine, grants: Grants) -> None:
    """Let a limited caller ask for its own and for what is not its own, in every way."""
    live.grant = grants.row_for(TRADER, 0, 1)
    live.change(15, TRADER, ENTRY.SerializeToString(), 5, time.time_ns())
    assert live.decide(good_request(client_order_id="a")).decision_id
    assert live.call(KIND_DECIDE, OTHERS.SerializeToString()) == b""
    assert len(live.batch(good_request(client_order_id="b"), good_request(symbol="XXX"))) == 2
    for together in (False, True):
        requests = [good_request(client_order_id="c"), OTHERS]
        raw = pb.DecideBatchRequest(requests=requests, all_or_none=together).SerializeToString()
        assert live.call(KIND_BATCH, raw) == b"", "as a whole: a replay could not tell"
    report = pb.ExecutionReport(report_id="r", account_id="B", client_order_id="o", kind=4)  # type: ignore[arg-type]
    raw = pb.ReportExecutionRequest(report=report).SerializeToString()
    assert live.call(KIND_REPORT, raw) == b""
    live.change(15, TRADER, b"", 6, time.time_ns())
    assert live.report(report_id="r", account_id="A", client_order_id="a", kind=4).outcome


def test_the_calls_of_a_limited_caller_come_out_as_they_were(tmp_path: Path) -> None:
    grants = Grants("riskgate")
    grants.put(ENTRY)
    with new_example_engine(tmp_path) as live:
        play(live, grants)
        version, sequence = live.engine.state_version, live.sequence
    kinds = [KIND_NAMES[entry.kind] for entry in read_entries(tmp_path)]
    assert (kinds.count("decide"), kinds.count("batch"), kinds.count("report")) == (1, 1, 1)
    replayer = Replayer(Engine(ROOMY), tmp_path, find_model)
    assert not replayer.advance()
    assert (replayer.difference_count, replayer.differences) == (0, [])
    assert (replayer.engine.state_version, version) == (6, 6)
    assert int(replayer.engine.state.engine[0]["sequence"]) == sequence


def test_an_identity_is_journaled_and_changes_nothing_but_version_and_sequence(
    tmp_path: Path,
) -> None:
    with new_example_engine(tmp_path) as live:
        before = live.engine.state.engine[0].copy()
        live.change(15, TRADER, ENTRY.SerializeToString(), 9, time.time_ns())
        after = live.engine.state.engine[0]
        moved = {
            name for name in before.dtype.names if before[name].tobytes() != after[name].tobytes()
        }
        assert moved <= {"state_version", "sequence", "reading_ns", "now_ns"}
        assert (after["state_version"], after["unknown_changes"]) == (9, before["unknown_changes"])
    last = list(read_entries(tmp_path))[-1]
    message = state_pb2.StateChange.FromString(read_change(last).change)
    assert (message.kind, message.key) == (state_pb2.CHANGE_KIND_IDENTITY, TRADER)
    assert Identity.FromString(message.rows) == ENTRY


def test_a_simulation_passes_over_identities(tmp_path: Path) -> None:
    with new_example_engine(tmp_path) as live:
        live.change(15, TRADER, ENTRY.SerializeToString(), 9, time.time_ns())
    change = read_change(list(read_entries(tmp_path))[-1])
    engine = Engine(ROOMY)
    Substitution([], find_model).apply(engine, change, time.time_ns())
    assert engine.state_version == 9
