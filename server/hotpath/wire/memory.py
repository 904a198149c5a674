"""What a wire owns, allocated once."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.journal.entries import READING
from server.hotpath.records import DECISION
from server.hotpath.wire.directives import DIRECTIVE_BYTES_MAX
from server.hotpath.wire.explanation import BREAKER_BYTES_MAX
from server.hotpath.wire.response import ANSWER_BYTES_MAX
from server.hotpath.wire.together import JUDGED
from server.hotpath.wire.wire_record import ITEMS_MAX, WIRE

Array = np.ndarray[Any, np.dtype[Any]]

DURABILITY_MEMORY: Final = 1
_SLACK_BYTES: Final = 64
_SCRATCH_BYTES: Final = max(BREAKER_BYTES_MAX, DIRECTIVE_BYTES_MAX) + _SLACK_BYTES


class WireMemory(NamedTuple):
    """The WIRE record and what its addresses point to, which must live as long."""

    record: Array  # WIRE[1]
    parts: tuple[Array, ...]


def new_wire(
    answers: Array,
    *,
    request_bytes_max: int,
    durability: int = DURABILITY_MEMORY,
    shard: tuple[int, int] = (0, 1),
) -> WireMemory:
    """Allocate a wire.

    Args:
        answers: Ring of stored answers of the engine, uint8.
        request_bytes_max: Largest message besides batches.
        durability: What answers say about it, riskgate.v1.Durability.
        shard: Number of this engine and how many share the accounts.
    """
    parts = {
        "scratch": np.zeros(_SCRATCH_BYTES, np.uint8),
        "answer": np.zeros(ANSWER_BYTES_MAX + _SLACK_BYTES, np.uint8),
        "decisions": np.zeros(ITEMS_MAX, DECISION),
        "judged": np.zeros(ITEMS_MAX, JUDGED),
        "readings": np.zeros(ITEMS_MAX, READING),
        "answers": answers,
    }
    record = np.zeros(1, WIRE)
    for name, part in parts.items():
        record[name] = part.ctypes.data
    record["answer_capacity"] = len(answers)
    record["request_bytes_max"] = request_bytes_max
    record["durability"] = durability
    record["shard"], record["shards"] = shard
    return WireMemory(record, tuple(parts.values()))
