"""What of a state goes into a snapshot, and how it comes back.

Only rows that were ever used are kept, of a ring only its live part. A row keeps its number,
because rows refer to each other by it. Only where the capacity of a ring has changed its rows move
to the beginning: nothing refers to those. An event goes where its number belongs; a smaller ring
keeps the newest, as if the others had been overwritten.

Columns are matched by name; one that the snapshot lacks is zero.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from server.hotpath.memory import TABLES, State
from server.hotpath.rows import RESERVATION_HELD, WHEEL_BUCKETS, WHEEL_SHIFT
from server.snapshots.file import Section
from server.snapshots.index import link_state, linked_rows, rows_used

Array = np.ndarray[Any, np.dtype[Any]]

# Tables whose rows form a ring, and how its columns in the engine's record begin.
RINGS: Final = {"idempotency": "idempotency", "reports": "report", "contents": "content"}
_BYTE: Final = np.dtype([("byte", "|u1")])


def parts_of(state: State) -> dict[str, Array]:
    """Return every array that a snapshot holds all or some of, by name."""
    return {
        "engine": state.engine,
        "policy": state.policy,
        "configurations": state.configurations,
        **{name: getattr(state, name).rows for name in TABLES},
        "events": state.events,
        # Last, since its size is no whole number of words.
        "answers": state.answers.view(_BYTE),
    }


def sections_of(state: State) -> Iterator[Section]:
    """Return what is written, without copying it."""
    for name, part in parts_of(state).items():
        yield Section(name, _pieces_of(state, name, part))


def fill_state(state: State, arrays: Mapping[str, Array], capacity: Mapping[str, int]) -> None:
    """Fill a fresh state with what was read and checked.

    Args:
        state: Still empty.
        arrays: By name.
        capacity: Of the state that they were saved from.
    """
    parts = parts_of(state)
    for name, array in arrays.items():
        if name not in RINGS and name not in {"answers", "events"}:
            _copy(parts[name][: len(array)], array)
    for name in RINGS:
        _fill_ring(state, name, arrays[name], capacity.get(name, capacity["idempotency"]))
    _fill_events(state, arrays["events"])
    _fill_answers(state, arrays["answers"], capacity["answer_bytes"])
    _fill_wheel(state)
    link_state(state)


def _pieces_of(state: State, name: str, part: Array) -> list[Array]:
    engine = state.engine[0]
    if name in {"engine", "policy"}:
        return [part]
    if name in RINGS:
        oldest, count = (int(engine[f"{RINGS[name]}_{what}"]) for what in ("oldest", "count"))
        return _ring_pieces(part[1:], max(oldest - 1, 0), count)
    if name == "answers":
        used = int(engine["answer_used"])
        return _ring_pieces(part, (int(engine["answer_head"]) - used) % len(part), used)
    if name == "reservations":
        return [part[: int(engine["reservation_fresh"]) + 1]]
    if name == "events":
        return [part[: min(int(engine["event_count"]), len(part) - 1) + 1]]
    counted = state.accounts.rows if name == "configurations" else part
    return [part[: rows_used(counted) + 1]]


def _ring_pieces(ring: Array, first: int, count: int) -> list[Array]:
    before = min(count, len(ring) - first)
    return [ring[first : first + before], ring[: count - before]]


def _fill_ring(state: State, name: str, rows: Array, capacity: int) -> None:
    ring, engine, oldest = getattr(state, name).rows[1:], state.engine[0], f"{RINGS[name]}_oldest"
    if len(ring) != capacity:
        engine[oldest] = 1
    _place(ring, max(int(engine[oldest]) - 1, 0), rows)


def _fill_events(state: State, events: Array) -> None:
    capacity = len(state.events) - 1
    numbers = events["event_id"]
    places = np.flatnonzero(numbers > max(int(state.engine[0]["event_count"]) - capacity, 0))
    rows = (numbers[places] - 1) % capacity + 1
    for column in events.dtype.names or ():
        state.events[column][rows] = events[column][places]


def _fill_answers(state: State, answers: Array, capacity: int) -> None:
    ring, engine = state.answers, state.engine[0]
    used = len(answers)
    tail = (int(engine["answer_head"]) - used) % capacity
    if len(ring) != capacity:
        rows = state.idempotency.rows
        live = linked_rows(state, "idempotency")
        offsets = (rows["answer_offset"][live] - tail) % capacity
        # Never so; but from outside the ring no answer may be read.
        inside = offsets + rows["answer_bytes"][live] <= used
        rows["answer_offset"][live] = np.where(inside, offsets, 0)
        rows["answer_bytes"][live] *= inside
        engine["answer_head"] = used % len(ring)
        tail = 0
    _place(ring.view(_BYTE), tail, answers)


def _place(ring: Array, first: int, source: Array) -> None:
    for target in _ring_pieces(ring, first, len(source)):
        _copy(target, source[: len(target)])
        source = source[len(target) :]


def _copy(target: Array, source: Array) -> None:
    if target.dtype == source.dtype:
        target[:] = source
        return
    for column in target.dtype.names or ():
        target[column] = source[column] if column in (source.dtype.names or ()) else 0


def _fill_wheel(state: State) -> None:
    """Let each bucket begin with the row that has none before it; the rows hold the lists."""
    rows = state.reservations.rows[: int(state.engine[0]["reservation_fresh"]) + 1]
    first = np.flatnonzero((rows["state"] == RESERVATION_HELD) & (rows["previous_expiring"] == 0))
    buckets = (rows["expires_at_ns"][first] >> WHEEL_SHIFT) & (WHEEL_BUCKETS - 1)
    state.wheel[buckets] = first
