"""How DecideRequest and ExecutionReport are decoded: one row per field number and message.

Built from the generated numbers and from the dtypes of the records, whose columns bear the names of
the fields.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    REPORT,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
    REQUEST,
)
from server.hotpath.wire.fields import (
    DECIDE_REQUEST_FIELDS,
    EXECUTION_REPORT_FIELDS,
    TEXT,
    TIMESTAMP,
    UNSIGNED,
)
from server.hotpath.wire.refusal_texts import (
    IN_REPORT,
    NAMES,
)

IS_REQUEST: Final = 0
IS_REPORT: Final = 1
NUMBERS: Final = 32  # field numbers are below

_RECORDS: Final = (REQUEST, REPORT)
_FIELDS: Final = (DECIDE_REQUEST_FIELDS, EXECUTION_REPORT_FIELDS)
_TIME_COLUMNS: Final = {"sent_at": "sent_at_ns", "event_time": "event_time_ns"}
_PRESENCE: Final = (
    {
        "entry_price": HAS_ENTRY_PRICE,
        "stop_loss": HAS_STOP_LOSS,
        "take_profit": HAS_TAKE_PROFIT,
        "requested_lots": HAS_REQUESTED_LOTS,
        "atr": HAS_ATR,
        "volatility_index": HAS_VOLATILITY_INDEX,
    },
    {
        "lots": REPORT_HAS_LOTS,
        "price": REPORT_HAS_PRICE,
        "cumulative_lots": REPORT_HAS_CUMULATIVE,
        "realised_pnl": REPORT_HAS_PNL,
        "commission": REPORT_HAS_COMMISSION,
    },
)


def _offset(message: int, field: str) -> int:
    return int(_RECORDS[message].fields[_TIME_COLUMNS.get(field, field)][1])  # type: ignore[index]


def _texts(message: int) -> list[tuple[int, int, int]]:
    """Return name, room and offset of each text, in the order in which they are checked."""
    record = _RECORDS[message]
    known = {name for name, _, kind in _FIELDS[message] if kind == TEXT}
    columns = [column for column in record.names or () if column in known]
    return [(NAMES.index(name), record[name].itemsize, _offset(message, name)) for name in columns]


def _only(message: int, wanted: int) -> str:
    (name,) = [name for name, _, kind in _FIELDS[message] if kind == wanted]
    return name


_EMPTY: Final = (2, NUMBERS)
KIND: Final = np.zeros(_EMPTY, np.int64)
OFFSET: Final = np.zeros(_EMPTY, np.int64)
PRESENT: Final = np.zeros(_EMPTY, np.int64)  # bit of the column `present`
TEXT_ROW: Final = np.zeros(_EMPTY, np.int64)
NAME: Final = np.zeros(_EMPTY, np.int64)  # of a text

_TEXTS: Final = [_texts(message) for message in (IS_REQUEST, IS_REPORT)]
TEXT_COUNT: Final = np.array([len(texts) for texts in _TEXTS], np.int64)
# By message and row: name, room in bytes, offset of the column.
TEXTS: Final = np.zeros((2, max(map(len, _TEXTS)), 3), np.int64)

for _message, _fields in enumerate(_FIELDS):
    for _name, _number, _kind in _fields:
        KIND[_message, _number] = _kind
        OFFSET[_message, _number] = _offset(_message, _name)
        PRESENT[_message, _number] = _PRESENCE[_message].get(_name, 0)
        if _kind == TEXT:
            NAME[_message, _number] = NAMES.index(_name)
    for _row, _text in enumerate(_TEXTS[_message]):
        TEXTS[_message, _row] = _text
        TEXT_ROW[_message, NAME[_message] == _text[0]] = _row

RECORD_BYTES: Final = np.array([record.itemsize for record in _RECORDS], np.int64)
PRESENT_AT: Final = np.array([_offset(message, "present") for message in (0, 1)], np.int64)
TIME_AT: Final = np.array([_offset(m, _only(m, TIMESTAMP)) for m in (0, 1)], np.int64)
TIME_NAME: Final = np.array([NAMES.index(_only(m, TIMESTAMP)) for m in (0, 1)], np.int64)
UNSIGNED_AT: Final = np.array([_offset(m, _only(m, UNSIGNED)) for m in (0, 1)], np.int64)
UNSIGNED_NAME: Final = np.array([NAMES.index(_only(m, UNSIGNED)) for m in (0, 1)], np.int64)
# In a report every field is named below `report`.
PREFIX: Final = np.array([0, IN_REPORT], np.int64)

# Where an all-or-none batch looks for what it refuses.
REPLACES_ROW: Final = [text[0] for text in _TEXTS[IS_REQUEST]].index(
    NAMES.index("replaces_client_order_id")
)
