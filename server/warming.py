"""Compiling ahead: every kernel that an engine process calls, so that the next start is quick."""

from typing import Final

import numpy as np

from riskgate.v1.decision_pb2 import DecideRequest
from riskgate.v1.state_pb2 import StateChange
from server.engine import Engine
from server.hotpath.change_kinds import KILL
from server.hotpath.journal.entries import KIND_DECIDE
from server.hotpath.kills import KILL_ACCOUNT
from server.hotpath.layout import CHANGE_ROWS, LAYOUT_VERSION
from server.hotpath.memory import Capacity, new_state
from server.journal.calls import CallJournal
from server.journal.writer import append_start, new_start
from server.lane_libraries import is_lane_possible
from server.replays.replayer import warm_replay
from server.services.directive_calls import DirectiveCalls
from server.services.judge import Judge
from server.shards import WHOLE
from server.snapshots.index import link_state
from server.telemetry.decision_counts import DecisionCounts

_SMALL: Final = Capacity(**dict.fromkeys(Capacity._fields, 16))._replace(answer_bytes=1 << 20)


def warm_kernels() -> None:
    """Compile every kernel that an engine process calls, or load it from the cache."""
    engine = Engine(_SMALL, started_at_ns=1)
    calls = CallJournal(engine)
    calls.begin(KIND_DECIDE, b"")
    Judge(engine, DecisionCounts(), calls).judge(DecideRequest(), 1)
    calls.note_decision(1, 1)
    calls.end(KIND_DECIDE, 1, b"", b"")
    engine.deny(0, 1)
    engine.recall(1)
    engine.report(2)
    engine.tick(3)
    for kind, dtype in CHANGE_ROWS.items():
        rows = np.zeros(1, dtype)
        if kind == KILL:
            rows["scope"] = KILL_ACCOUNT  # of nobody: there is no scope 0
        change = StateChange(kind=kind, rows=rows.tobytes(), layout_version=LAYOUT_VERSION)  # type: ignore[arg-type]
        engine.submit(change.SerializeToString())
    engine.drain(4)
    engine.warm()
    DirectiveCalls(engine, calls, WHOLE).warm()
    start = new_start(
        engine,
        epoch=1,
        started_at_ns=1,
        restarted=False,
        idempotency_min_age_ns=1,
        request_bytes_max=1,
    )
    append_start(engine, start)
    warm_replay(engine)
    link_state(new_state(_SMALL))  # a fresh one: linking rows twice could fill an index
    if is_lane_possible():
        from server.lane import warm_lane  # noqa: PLC0415

        warm_lane(engine)
