"""Changes through the ring: the same tables as without it, malformed ones refused in place."""

import threading
from collections import Counter
from typing import Any, Final

import numba
import numpy as np
import pytest

from riskgate.v1 import state_pb2
from server.change_packing import key_row
from server.changes import state_change
from server.engine import CHANGE_BYTES_MAX, Engine
from server.hotpath.change_frame import drain_nb
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    CONVERSION_RATE,
    INSTRUMENT,
    KILL,
    MODEL,
    PROVIDER,
    RISK_CONFIGURATION,
)
from server.hotpath.intrinsics import load_acquire
from server.hotpath.layout import CHANGE_ROWS, LAYOUT_VERSION, text
from server.hotpath.table import Table
from tests.cases import Change, World
from tests.small_engine import NOW_NS, new_small_engine, rate_change, rate_of, rate_rows

PROVIDER_NAMES: Final = {1: "channel_source", 2: "user"}
CHANGES: Final = 4_000
RACE_CHANGES: Final = 20_000


def key_of(kind: int, rows: Any) -> str:
    row = rows[0]
    if kind == INSTRUMENT:
        return text(row["symbol"])
    if kind in {ACCOUNT, RISK_CONFIGURATION}:
        return text(row["account_id"])
    if kind == PROVIDER:
        return f"{PROVIDER_NAMES[int(row['provider_type'])]}:{text(row['provider_id'])}"
    if kind == CONVERSION_RATE:
        return f"{text(rows['from_currency'])}/{text(rows['to_currency'])}"
    return text(row["breaker_id"]) if kind == BREAKER else ""


def submit(engine: Engine, change: Change) -> None:
    """Put a change of the world into the ring as the record would publish it."""
    kind, rows, slot = change.kind, change.rows.copy(), -1
    if kind == MODEL:
        slot = int(rows["slot"][0])
        rows["slot"] = 0
    message = state_change(
        kind,  # type: ignore[arg-type]
        key_of(kind, rows),
        b"" if change.deleted else rows.tobytes(),
        version=change.version,
    )
    assert engine.submit(message.SerializeToString(), slot)


def apply_directly(engine: Engine, change: Change) -> None:
    kind, rows = change.kind, change.rows
    engine.apply_rows(
        kind,
        change.version,
        key_row(kind, key_of(kind, rows)) if change.deleted else rows,
        deleted=change.deleted,
        reading_ns=change.reading_ns,
    )


def memory_of(engine: Engine) -> dict[str, bytes]:
    """Return all that changes can touch; addresses differ and are left out."""
    parts: dict[str, bytes] = {}
    for name, part in engine.state._asdict().items():
        if isinstance(part, Table):
            parts[name] = part.rows.tobytes() + part.cells.tobytes()
        elif name in {"engine", "policy", "configurations", "wheel"}:
            parts[name] = part.tobytes()
    return parts


def _is_refused(change: Change) -> bool:
    """Tell whether it is a kill of no scope, which worlds have and no ring takes."""
    return bool(change.kind == KILL and not 1 <= change.rows["scope"][0] <= 6)


def changes_of_a_world(seed: int) -> tuple[World, list[Change]]:
    world, changes = World(seed), list[Change]()
    events = iter(world.initial_changes())
    while len(changes) < CHANGES:
        event = next(events, None) or world.next_event()
        if isinstance(event, Change) and event.version >= 0 and not _is_refused(event):
            changes.append(event)
    # Chance rarely deletes a breaker.
    newest = next(change for change in reversed(changes) if change.kind == BREAKER)
    return world, [*changes, newest._replace(deleted=True)]


@pytest.mark.parametrize("seed", [1, 4])
def test_change_of_every_kind_when_it_comes_through_the_ring_then_the_tables_are_the_same(
    seed: int,
) -> None:
    world, changes = changes_of_a_world(seed)
    direct, drained = (Engine(world.capacity, started_at_ns=world.started_at_ns) for _ in range(2))
    for change in changes:
        apply_directly(direct, change)
        submit(drained, change)
        assert drained.drain(change.reading_ns) == 1
    assert memory_of(drained) == memory_of(direct)
    seen = Counter((change.kind, change.deleted) for change in changes)
    assert {kind for kind, _ in seen} == set(CHANGE_ROWS)
    assert {kind for kind, gone in seen if gone} == {1, 2, 3, 4, 6, 7}
    assert drained.refused_changes == 0


def test_changes_when_drained_together_then_they_are_applied_in_order() -> None:
    world, changes = changes_of_a_world(2)
    moment = changes[-1].reading_ns
    direct, drained = (Engine(world.capacity, started_at_ns=world.started_at_ns) for _ in range(2))
    for start in range(0, len(changes), 100):
        some = changes[start : start + 100]
        for change in some:
            apply_directly(direct, change._replace(reading_ns=moment + start))
            submit(drained, change)
        assert drained.submitted_changes - drained.taken_changes == len(some)
        assert drained.drain(moment + start) == len(some)
    assert memory_of(drained) == memory_of(direct)


MALFORMED: Final[dict[str, tuple[Any, str]]] = {
    "no message": (b"\xff\xfe\xfd", "not a StateChange"),
    "unknown kind": (state_pb2.StateChange(kind=99, layout_version=LAYOUT_VERSION), "kind 99"),  # type: ignore[arg-type]
    "other layout": (state_pb2.StateChange(kind=6, layout_version=1), "layout version 1"),  # type: ignore[arg-type]
}


def malformed_bytes(name: str) -> tuple[bytes, str]:
    change, problem = MALFORMED[name]
    return (change if isinstance(change, bytes) else change.SerializeToString()), problem


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_change_when_it_comes_then_it_is_named_counted_and_the_next_applied(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    change, problem = malformed_bytes(name)
    engine = new_small_engine()
    assert engine.submit(rate_change(1))
    assert engine.submit(change)
    assert engine.submit(rate_change(3))
    assert problem in caplog.text
    # Counted where it stands in the order, not before.
    assert engine.refused_changes == 0
    assert drain_nb(engine._memory, engine.ring.record[0], engine.journal[0], NOW_NS, 2) == 1
    assert (engine.refused_changes, engine.taken_changes, engine.state_version) == (1, 2, 1)
    sequence = int(engine.state.engine[0]["sequence"])
    assert engine.drain(NOW_NS) == 1
    assert (engine.refused_changes, engine.taken_changes, engine.state_version) == (1, 3, 3)
    assert engine.state.engine[0]["sequence"] == sequence + 1
    assert rate_of(engine) == 3


def test_refused_version_when_it_is_the_newest_then_the_state_does_not_claim_it() -> None:
    engine = new_small_engine()
    late = state_pb2.StateChange(version=9, kind=6, key="EUR", rows=b"x", layout_version=1)  # type: ignore[arg-type]
    assert engine.submit(rate_change(1))
    assert engine.submit(late.SerializeToString())
    assert engine.drain(NOW_NS) == 1
    assert engine.state_version == 1


def test_submit_when_the_ring_is_full_then_it_refuses_until_the_owner_takes_one() -> None:
    engine, filled = new_small_engine(), 0
    large = state_change(
        state_pb2.CHANGE_KIND_CONVERSION_RATE, "k" * 60_000, rate_rows(1), version=1
    ).SerializeToString()
    while engine.submit(large):
        filled += 1
    assert filled > 50
    assert not engine.submit(large)
    assert engine.submitted_changes == filled
    assert drain_nb(engine._memory, engine.ring.record[0], engine.journal[0], NOW_NS, 1) == 1
    assert engine.submit(large)
    assert not engine.submit(large)
    assert engine.drain(NOW_NS) == filled
    assert engine.drain(NOW_NS) == 0


def test_submit_when_a_change_is_too_large_then_the_caller_is_told() -> None:
    engine = new_small_engine()
    with pytest.raises(ValueError, match="128 KiB"):
        engine.submit(bytes(CHANGE_BYTES_MAX + 1))
    assert engine.submitted_changes == 0


def test_drain_when_more_waits_than_it_may_take_then_the_rest_stays_in_order() -> None:
    engine = new_small_engine()
    for version in range(1, 8):
        assert engine.submit(rate_change(version))
    record = engine.ring.record[0]
    for expected in (3, 6, 7, 7):
        drain_nb(engine._memory, record, engine.journal[0], NOW_NS, 3)
        assert engine.state_version == rate_of(engine) == expected


def test_apply_rows_when_the_rows_are_of_another_kind_then_refused() -> None:
    engine = new_small_engine()
    rows = np.zeros(1, CHANGE_ROWS[ACCOUNT])
    with pytest.raises(ValueError, match="another dtype"):
        engine.apply_rows(BREAKER, 1, rows, reading_ns=NOW_NS)
    with pytest.raises(ValueError, match="another dtype"):
        engine.apply_rows(ACCOUNT, 1, rows[:0], reading_ns=NOW_NS)


@numba.njit(nogil=True, error_model="numpy")
def _own_nb(
    state: Any, ring: Any, journal: Any, reading_ns: int, changes: int, stop_address: int
) -> int:
    """Own an engine until so many changes are taken; return how many were applied."""
    applied = 0
    while ring.frames_popped < changes and load_acquire(stop_address) == 0:
        applied += drain_nb(state, ring, journal, reading_ns, 16)
    return applied


def test_owner_when_it_is_a_compiled_loop_then_threads_see_each_change_done() -> None:
    engine, stop, applied = new_small_engine(), np.zeros(1, np.int64), [0]
    place = (engine._memory, engine.ring.record[0], engine.journal[0], NOW_NS)
    assert _own_nb(*place, 0, stop.ctypes.data) == 0

    def own() -> None:
        applied[0] = _own_nb(*place, RACE_CHANGES, stop.ctypes.data)

    owner = threading.Thread(target=own)
    owner.start()
    try:
        for version in range(1, RACE_CHANGES + 1):
            change = rate_change(version) if version % 7 else b"\xff"
            while not engine.submit(change):
                assert owner.is_alive()
            # Whoever sees that a change is done with also sees what it did.
            taken = engine.taken_changes
            assert rate_of(engine) >= taken - 1
        owner.join(60)
    finally:
        stop[0] = 1
        owner.join()
    refused = RACE_CHANGES // 7
    assert (applied[0], engine.refused_changes) == (RACE_CHANGES - refused, refused)
    assert engine.state_version == rate_of(engine) == RACE_CHANGES


def test_model_change_when_it_is_applied_then_the_engine_uses_the_slot_that_was_filled() -> None:
    engine = new_small_engine()
    row = np.zeros(1, CHANGE_ROWS[MODEL])
    row["serial"], row["digest"] = 1, 7
    change = state_change(state_pb2.CHANGE_KIND_MODEL, "slippage", row.tobytes(), version=1)
    assert engine.submit(change.SerializeToString(), 2)
    assert engine.drain(NOW_NS) == 1
    assert engine.state.engine[0]["model_slot"] == 2
