"""Bytes that are no message, or hold text that is none: the field is named, nothing else."""

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import SIDE_BUY
from server.errors import InvalidFieldError
from server.hotpath import records
from server.services.convert import write_request
from server.services.parse import parse, split_fields

TEXTS = [
    field.name for field in pb.DecideRequest.DESCRIPTOR.fields if field.type == field.TYPE_STRING
]
BAD = b"\x03\xff\xfea"


@pytest.mark.parametrize("name", TEXTS)
def test_parse_when_text_is_not_utf8_then_its_field_is_named(name: str) -> None:
    number = pb.DecideRequest.DESCRIPTOR.fields_by_name[name].number
    raw = pb.DecideRequest(side=SIDE_BUY, atr=1.0).SerializeToString() + _tag(number) + BAD
    with pytest.raises(InvalidFieldError) as refused:
        parse(pb.DecideRequest, raw)
    assert (refused.value.field, refused.value.problem) == (name, "is not valid UTF-8")


def test_parse_when_text_in_a_nested_item_is_bad_then_the_path_names_it() -> None:
    item = _tag(pb.DecideRequest.DESCRIPTOR.fields_by_name["symbol"].number) + BAD
    good = pb.DecideRequest(account_id="a").SerializeToString()
    raw = b"".join(b"\x0a" + bytes([len(one)]) + one for one in (good, item))
    with pytest.raises(InvalidFieldError) as refused:
        parse(pb.DecideBatchRequest, raw)
    assert refused.value.field == "requests[1].symbol"
    report = _tag(pb.ExecutionReport.DESCRIPTOR.fields_by_name["report_id"].number) + BAD
    with pytest.raises(InvalidFieldError) as refused:
        parse(pb.ReportExecutionRequest, b"\x0a" + bytes([len(report)]) + report)
    assert refused.value.field == "report.report_id"


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff", b"\x0a\x05ab", b"\x07\x07\x07", b"\0"])
def test_parse_when_bytes_are_no_message_then_the_request_is_named(raw: bytes) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        parse(pb.DecideRequest, raw)
    assert refused.value.field == "request"
    with pytest.raises(InvalidFieldError):
        split_fields(raw)


def test_parse_when_bytes_are_random_then_only_typed_errors_come_out() -> None:
    random = np.random.Generator(np.random.PCG64(7))
    good = pb.DecideRequest(
        account_id="A", symbol="EURUSD", entry_price=1.1, sent_at=Timestamp(seconds=1)
    ).SerializeToString()
    refused = 0
    for _ in range(20_000):
        raw = bytearray(good)
        for _ in range(int(random.integers(1, 6))):
            raw[random.integers(len(raw))] = random.integers(256)
        try:
            write_request(parse(pb.DecideRequest, bytes(raw)), np.zeros(1, records.REQUEST))
        except InvalidFieldError:
            refused += 1
    assert refused > 1_000


def _tag(number: int) -> bytes:
    value = number << 3 | 2
    return bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7])
