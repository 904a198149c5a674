"""Writes server/hotpath/wire/fields.py: the field numbers that the compiled wire needs.

    python protos/number_fields.py FILE

Compiled code may import neither google.protobuf nor the generated stubs, so the numbers are written
down from the descriptors by `make proto`, and `make check` writes them again and compares.
"""

import re
import sys
from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import decision_pb2 as pb

MESSAGES = (
    pb.DecideRequest,
    pb.DecideResponse,
    pb.InputAges,
    pb.CheckResult,
    pb.BreakerStatus,
    pb.DecideBatchRequest,
    pb.DecideBatchResponse,
    pb.BatchResult,
    pb.RequestError,
    pb.DecideStreamRequest,
    pb.DecideStreamResponse,
    pb.ExecutionReport,
    pb.ReportExecutionRequest,
    pb.ReportExecutionResponse,
    Timestamp,
)
# Decoded by table: their kinds are needed too.
DECODED = (pb.DecideRequest, pb.ExecutionReport)
KINDS = {
    FieldDescriptor.TYPE_STRING: "TEXT",
    FieldDescriptor.TYPE_DOUBLE: "DOUBLE",
    FieldDescriptor.TYPE_ENUM: "ENUM",
    FieldDescriptor.TYPE_BOOL: "BOOL",
    FieldDescriptor.TYPE_UINT64: "UNSIGNED",
    FieldDescriptor.TYPE_MESSAGE: "TIMESTAMP",
}
HEAD = '''"""Field numbers of riskgate.v1, written by `make proto`; do not edit."""

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


def main(target: Path) -> None:
    """Write the module."""
    lines = [HEAD]
    for message in MESSAGES:
        descriptor = message.DESCRIPTOR
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", descriptor.name).upper()
        lines.append(f"# {descriptor.full_name}")
        for field in descriptor.fields:
            lines.append(f"{prefix}_{field.name.upper()}: Final = {field.number}")
        if message in DECODED:
            lines.append(f"{prefix}_FIELDS: Final = (")
            for field in descriptor.fields:
                lines.append(f'    ("{field.name}", {field.number}, {KINDS[field.type]}),')
            lines.append(")")
        lines.append("")
    target.write_text("\n".join(lines[:-1]) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
