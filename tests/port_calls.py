"""Calls of the decision port that tests share: those that must fail, and streams."""

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from riskgate.v1 import decision_pb2 as pb
from server.services.decision import SERVICE_NAME
from tests.decision_harness import PortCalls

Code = grpc.StatusCode
INVALID = Code.INVALID_ARGUMENT
LEAKS = ("/", "Traceback", "Error", "server.", "numpy", "object at", "\n", "<class")


def refused(port: PortCalls, method: str, raw: bytes, **call: Any) -> tuple[Code, str, str]:
    """Make a call that must fail; return its code, the field that it names and its text."""
    with pytest.raises(grpc.RpcError) as failure:
        port.call(method, raw, **call)
    error: Any = failure.value
    metadata = dict(error.trailing_metadata() or ())
    field = metadata.get("riskgate-field", "")
    details = error.details()
    assert not [leak for leak in LEAKS if leak in details], details
    assert not field or details.startswith(f"{field}: ")
    return error.code(), field, details


def refused_request(port: PortCalls, request: pb.DecideRequest) -> tuple[Code, str]:
    code, field, _ = refused(port, "Decide", request.SerializeToString())
    return code, field


def outcome_code(port: PortCalls, method: str, message: Message) -> Code:
    call = port.channel.unary_unary(f"/{SERVICE_NAME}/{method}")
    code: Code = call.future(message.SerializeToString(), timeout=10).code()
    return code


def stream_of(
    port: PortCalls, *messages: pb.DecideStreamRequest | bytes
) -> list[pb.DecideStreamResponse]:
    call = port.channel.stream_stream(f"/{SERVICE_NAME}/DecideStream")
    raws = (one if isinstance(one, bytes) else one.SerializeToString() for one in messages)
    return [pb.DecideStreamResponse.FromString(raw) for raw in call(raws, timeout=10)]
