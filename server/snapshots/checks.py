"""What a snapshot is refused for before any of it reaches a state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from server.errors import (
    BrokenInvariantError,
    SnapshotCapacityError,
    SnapshotDamagedError,
    SnapshotLayoutError,
)
from server.hotpath.memory import TABLES, State
from server.snapshots.contents import RINGS, parts_of
from server.snapshots.index import KEY_WORDS, rows_used

Array = np.ndarray[Any, np.dtype[Any]]


def check_fresh(state: State) -> None:
    """Refuse a state that has been used.

    Raises:
        BrokenInvariantError: Something was applied to it or decided in it.
    """
    engine = state.engine[0]
    counters = (
        "sequence", "reservation_fresh", "idempotency_oldest", "report_oldest", "content_oldest",
        "event_count",
    )  # fmt: skip
    used = [name for name in TABLES if rows_used(getattr(state, name).rows)]
    if used or any(engine[name] for name in (*counters, "answer_used")):
        raise BrokenInvariantError("a snapshot is loaded into a fresh engine only")


def check_contents(
    path: Path, arrays: Mapping[str, Array], state: State, capacity: Mapping[str, int]
) -> None:
    """Refuse arrays that do not fit a state.

    Args:
        path: For the errors.
        arrays: By name.
        state: Still empty.
        capacity: Of the state that they were saved from.

    Raises:
        SnapshotLayoutError: Names the table or column that is gone or shaped otherwise.
        SnapshotDamagedError: The counters are not those of the rows.
        SnapshotCapacityError: Names the table that is too small.
    """
    parts = parts_of(state)
    for name, array in arrays.items():
        if name not in parts:
            raise SnapshotLayoutError(f"{path}: there is no table {name} any more", detail=name)
        _check_columns(path, name, array.dtype, parts[name].dtype)
    _check_counters(path, arrays)
    _check_events(path, arrays, capacity.get("events", 0))
    for name in (name for name in (*TABLES, "answers") if name in arrays):
        # Row 0 is not counted, and of a ring not saved; answers are bytes.
        room = len(parts[name]) - (1 if name in TABLES else 0)
        used = len(arrays[name]) - (0 if name in {*RINGS, "answers"} else 1)
        if used > room:
            setting = {"reports": "idempotency", "answers": "answer_bytes"}.get(name, name)
            raise SnapshotCapacityError(
                f"{path}: {used} of {name} are in use, there is room for {room}; "
                f"raise the capacity {setting}",
                detail=f"capacity {setting} of {room} is below {used} {name} in use",
            )


def _check_columns(path: Path, name: str, saved: np.dtype[Any], ours: np.dtype[Any]) -> None:
    for column in saved.names or ():
        if column not in (ours.names or ()) or saved[column] != ours[column]:
            raise SnapshotLayoutError(
                f"{path}: {name}.{column} is gone or has another shape in this release",
                detail=f"{name}.{column}",
            )
    if _key_of(name, saved) != _key_of(name, ours):
        raise SnapshotLayoutError(f"{path}: {name} has another key in this release", detail=name)


def _key_of(name: str, dtype: np.dtype[Any]) -> list[str]:
    """Return the columns that make up the key of a table's rows."""
    fields: Any = dtype.fields
    return [column for column in fields if fields[column][1] < 8 * KEY_WORDS.get(name, 0)]


def _check_counters(path: Path, arrays: Mapping[str, Array]) -> None:
    """Refuse counters that would lead out of the rows that were saved."""
    needed = {"engine", "policy", "configurations", "accounts", "answers", "events", *RINGS}
    missing = needed - set(arrays)
    if missing or len(arrays["engine"]) != 1 or len(arrays["policy"]) != 1:
        raise SnapshotDamagedError(f"{path}: {sorted(missing)} are missing")
    engine = arrays["engine"][0]
    counted = {
        "reservations": engine["reservation_fresh"] + 1,
        "idempotency": engine["idempotency_count"],
        "reports": engine["report_count"],
        "contents": engine["content_count"],
        "answers": engine["answer_used"],
        "configurations": rows_used(arrays["accounts"]) + 1,
    }
    for name, array in arrays.items():
        if name in {"engine", "policy", "events"}:
            continue
        expected = counted[name] if name in counted else rows_used(array) + 1
        if len(array) != expected:
            raise SnapshotDamagedError(f"{path}: {name} has {len(array)} rows, not {expected}")


def _check_events(path: Path, arrays: Mapping[str, Array], capacity: int) -> None:
    """Refuse events that do not stand where their numbers belong."""
    made, events = int(arrays["engine"]["event_count"][0]), arrays["events"]
    if made < 0 or len(events) != min(made, capacity) + 1:
        raise SnapshotDamagedError(f"{path}: events has {len(events)} rows, {made} were made")
    numbers = events["event_id"][1:]
    places = (numbers - 1) % max(capacity, 1)
    known = (numbers >= 1) & (numbers <= made) & (places == np.arange(len(numbers)))
    # A ring that was larger once has lost some.
    if not (known | (numbers == 0)).all():
        raise SnapshotDamagedError(f"{path}: events do not stand where their numbers belong")
