"""Writes server/hotpath/wire/fields.py: the field numbers that the compiled wire needs.

    python -m protos.number_fields FILE

Compiled code may import neither google.protobuf nor the generated stubs, so the numbers are written
down from the descriptors by `make proto`, and `make check` writes them again and compares.
"""
# ruff: noqa: INP001 - the contract's folder is no package

import re
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import decision_pb2 as pb

MESSAGES: Final[tuple[type[Message], ...]] = (
    pb.DecideRequest,
    pb.DecideResponse,
    pb.InputAges,
    pb.CheckResult,
    pb.BreakerStatus,
    pb.Directive,
    pb.DirectivePosition,
    pb.DirectiveOutcome,
    pb.DecideBatchRequest,
    pb.DecideBatchResponse,
    pb.BatchResult,
    pb.RequestError,
    pb.DecideStreamRequest,
    pb.DecideStreamResponse,
    pb.ExecutionReport,
    pb.ReportExecutionRequest,
    pb.ReportExecutionResponse,
    pb.WatchDirectivesRequest,
    pb.WatchDirectivesResponse,
    pb.AckDirectiveRequest,
    pb.AckDirectiveResponse,
    Timestamp,
)
# Decoded by table: their kinds are needed too.
DECODED: Final = (pb.DecideRequest, pb.ExecutionReport)
KINDS: Final = {
    FieldDescriptor.TYPE_STRING: "TEXT",
    FieldDescriptor.TYPE_DOUBLE: "DOUBLE",
    FieldDescriptor.TYPE_ENUM: "ENUM",
    FieldDescriptor.TYPE_BOOL: "BOOL",
    FieldDescriptor.TYPE_UINT64: "UNSIGNED",
    FieldDescriptor.TYPE_MESSAGE: "TIMESTAMP",
}
HEAD: Final = '''"""Field numbers of riskgate.v1, written by `make proto`; do not edit."""

from __future__ import annotations

from typing import Final

# How a decoded field is read.
TEXT: Final = 1
DOUBLE: Final = 2
ENUM: Final = 3
BOOL: Final = 4
UNSIGNED: Final = 5
TIMESTAMP: Final = 6
'''


def _lines_of(message: type[Message]) -> Iterator[str]:
    descriptor = message.DESCRIPTOR
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", descriptor.name).upper()
    yield f"# {descriptor.full_name}"
    for field in descriptor.fields:
        yield f"{prefix}_{field.name.upper()}: Final = {field.number}"
    if message in DECODED:
        yield f"{prefix}_FIELDS: Final = ("
        for field in descriptor.fields:
            yield f'    ("{field.name}", {field.number}, {KINDS[field.type]}),'
        yield ")"


def main(target: Path) -> None:
    """Write the module."""
    lines = [HEAD, *chain.from_iterable(map(_lines_of, MESSAGES))]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
