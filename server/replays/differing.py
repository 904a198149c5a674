"""How two messages or two states differ, field by field."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from server.hotpath.memory import State
from server.snapshots.contents import sections_of
from server.snapshots.file import read_file


class FieldDifference(NamedTuple):
    """One field that is not the same.

    Attributes:
        field: Its path, such as `results[3].response.lot_size`.
        was: What was journaled.
        now: What came out again.
    """

    field: str
    was: Any
    now: Any


def list_differences(was: Any, now: Any, path: str = "") -> Iterator[FieldDifference]:
    """Compare plain values as `view_message` makes them: dicts, lists, numbers, text, None."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in {**was, **now}:
            inner = f"{path}.{name}" if path else str(name)
            yield from list_differences(was.get(name), now.get(name), inner)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from list_differences(one, other, f"{path}[{index}]")
    elif was != now:
        yield FieldDifference(path, was, now)


def list_state_differences(path: Path, state: State) -> Iterator[str]:
    """Compare a state with a snapshot of the same moment; yields what is not the same, in words.

    Raises:
        SnapshotDamagedError: The file is not what was written.
    """
    _, arrays = read_file(path)
    for section in sections_of(state):
        found, kept = np.concatenate(section.pieces), arrays[section.name]
        if len(found) != len(kept):
            yield f"{section.name}: {len(kept)} rows in the snapshot, {len(found)} now"
            continue
        for column in found.dtype.names or ():
            if column not in (kept.dtype.names or ()):
                continue
            rows = np.flatnonzero((_bits(found[column]) != _bits(kept[column])).any(axis=1))
            if len(rows):
                yield f"{section.name}.{column}: {len(rows)} rows, the first is {rows[0]}"


def _bits(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a column as bytes, one row of them for each; so NaN equals itself."""
    whole = np.ascontiguousarray(column)
    return whole.view(np.uint8).reshape(len(whole), -1) if len(whole) else whole.reshape(0, 1)
