"""Rows of the shared dtypes as named tuples of plain Python values.

Text stays zero padded bytes, numbers become int or float, a column of several numbers becomes a
tuple, a column of several texts a tuple of bytes.
"""

import struct
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from server.hotpath.layout import CHANGE_ROWS
from server.hotpath.records import REPORT, REQUEST

Read = Callable[[Any], Any]

NO_ID = bytes(64)
NO_SYMBOL = bytes(32)

# Columns of several words that are numbers; all others are text or digests.
_NUMBERS = {
    "regime_multiplier_ppm",
    "regime_blocked",
    "multiplier_score_micropoints",
    "multiplier_ppm",
    "quality_score_micropoints",
    "quality_ppm",
    "score_weights_ppm",
    "hours_open_minute",
    "hours_close_minute",
    "program",
    "constants",
}
# Columns that hold several texts, and the bytes of one; a provider is an id and its type.
_LISTS = {"regime_names": 32, "symbols": 32, "exchanges": 32, "providers": 72, "strategies": 64}


def reader(dtype: np.dtype[np.void]) -> Read:
    """Return a function that turns one row of `dtype` into a named tuple."""
    assert dtype.names is not None
    assert dtype.fields is not None
    form, columns = "<", []
    for name in dtype.names:
        kind = dtype.fields[name][0]
        count = int(np.prod(kind.shape)) if kind.shape else 1
        if not kind.shape:
            form += "d" if kind.kind == "f" else "q"
        elif name in _NUMBERS:
            form += f"{count}{'d' if kind.base.kind == 'f' else 'q'}"
        else:
            form += f"{8 * count}s"
        columns.append((name, count if kind.shape and name in _NUMBERS else 0))
    unpack = struct.Struct(form).unpack
    row_type: Any = namedtuple("Row", dtype.names)  # type: ignore[misc] # noqa: PYI024
    if not any(count for _name, count in columns) and not _LISTS.keys() & set(dtype.names):
        return lambda row: row_type._make(unpack(row.tobytes()))

    def read(row: Any) -> Any:
        words = iter(unpack(row.tobytes()))
        values: list[Any] = []
        for name, count in columns:
            if count:
                values.append(tuple(next(words) for _ in range(count)))
            elif name in _LISTS:
                joined, size = next(words), _LISTS[name]
                values.append(tuple(joined[at : at + size] for at in range(0, len(joined), size)))
            else:
                values.append(next(words))
        return row_type._make(values)

    return read


read_request: Read = reader(REQUEST)
read_report: Read = reader(REPORT)
read_change: dict[int, Read] = {kind: reader(dtype) for kind, dtype in CHANGE_ROWS.items()}


def unpadded(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
