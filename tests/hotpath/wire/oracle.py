"""The same bytes to the Python service and to the compiled wire, over engines of equal state."""

import math
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.hotpath.layout import text
from server.hotpath.records import (
    HAS_ATR,
    HAS_ENTRY_PRICE,
    HAS_REQUESTED_LOTS,
    HAS_STOP_LOSS,
    HAS_TAKE_PROFIT,
    HAS_VOLATILITY_INDEX,
    REPORT_HAS_COMMISSION,
    REPORT_HAS_CUMULATIVE,
    REPORT_HAS_LOTS,
    REPORT_HAS_PNL,
    REPORT_HAS_PRICE,
)
from server.hotpath.wire.batch import BATCH_BYTES_MAX, answer_batch_nb
from server.hotpath.wire.decision import answer_decide_nb
from server.hotpath.wire.memory import new_wire
from server.hotpath.wire.outcome import REFUSED, WAIT
from server.hotpath.wire.report import answer_report_nb
from server.hotpath.wire.stream import answer_stream_item_nb
from server.services.decision import DecisionService
from server.services.refusal import Refusal, refusal_of
from server.telemetry.decision_counts import DecisionCounts

TOOK_NS = 1_234
Outcome = bytes | tuple[int, str, str]

_OPTIONAL = {
    "entry_price": HAS_ENTRY_PRICE,
    "stop_loss": HAS_STOP_LOSS,
    "take_profit": HAS_TAKE_PROFIT,
    "requested_lots": HAS_REQUESTED_LOTS,
    "atr": HAS_ATR,
    "volatility_index": HAS_VOLATILITY_INDEX,
}
_OPTIONAL_OF_REPORT = {
    "lots": REPORT_HAS_LOTS,
    "price": REPORT_HAS_PRICE,
    "cumulative_lots": REPORT_HAS_CUMULATIVE,
    "realised_pnl": REPORT_HAS_PNL,
    "commission": REPORT_HAS_COMMISSION,
}


class _Clock:
    """Stands in for the module `time` of the Python judge."""

    def __init__(self) -> None:
        self.now_ns = 0

    def time_ns(self) -> int:
        return self.now_ns


class _Owner:
    """Nothing waits in the ring, and no newer state is coming."""

    def drain(self) -> None:
        pass

    async def wait_for_version(self, version: int, wait_s: float) -> bool:
        return False


class _NoDeadline:
    def time_remaining(self) -> None:
        return None


class ByPython:
    """What the grpcio lane answers."""

    def __init__(self, engine: Engine, patch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        self.counts = DecisionCounts()
        self.clock = _Clock()
        patch.setattr("server.services.judge.time", self.clock)
        owner: Any = _Owner()
        self.service = DecisionService(engine, owner, self.counts, is_ready=lambda: True)

    def answer(self, method: str, raw: bytes, received_ns: int) -> Outcome:
        self.clock.now_ns = received_ns + TOOK_NS
        if method == "DecideStream":
            return self._item(raw, received_ns)
        name = {"Decide": "_decide", "DecideBatch": "_decide_batch", "ReportExecution": "_report"}
        try:
            outcome = _run(getattr(self.service, name[method])(raw, received_ns, math.inf))
        except Exception as error:  # noqa: BLE001 - as the service does
            outcome = refusal_of(error)
        if isinstance(outcome, Refusal):
            return outcome.code.value[0], outcome.field, outcome.message
        return outcome

    def _item(self, raw: bytes, received_ns: int) -> bytes:
        tag, outcome = _run(self.service._decide_tagged(raw, received_ns, _NoDeadline()))
        response = pb.DecideStreamResponse(tag=tag)
        if isinstance(outcome, Refusal):
            response.error.CopyFrom(outcome.to_error())
        else:
            response.response.MergeFromString(outcome)
        return response.SerializeToString()


def _run(coroutine: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value


class ByWire:
    """What the compiled lane answers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.memory = new_wire(engine.state.answers, request_bytes_max=65_536)
        self.wire = self.memory.record[0]
        self._out = np.zeros(BATCH_BYTES_MAX, np.uint8)

    def answer(self, method: str, raw: bytes, received_ns: int) -> Outcome:
        state, models = self.engine.state.memory[0], self.engine.state.models
        # Behind the message lies something else, which must not matter.
        data = np.frombuffer(raw + b"\x0a\xff\xff\xff\xff\xff\xff\xff", np.uint8)
        at = (data.ctypes.data, len(raw), received_ns)
        decided_ns, out = received_ns + TOOK_NS, self._out.ctypes.data
        for may_wait in (1, 0):
            self.wire["may_wait"] = may_wait
            if method == "Decide":
                length = answer_decide_nb(state, models, self.wire, *at, decided_ns, out)
            elif method == "DecideBatch":
                length = answer_batch_nb(state, models, self.wire, *at, decided_ns, out)
            elif method == "DecideStream":
                length = answer_stream_item_nb(state, models, self.wire, *at, decided_ns, out, 1)
            else:
                length = answer_report_nb(state, self.wire, *at, out)
            if length != WAIT:
                break
        if length == REFUSED:
            return self._refusal()
        return self._out[:length].tobytes()

    def _refusal(self) -> tuple[int, str, str]:
        field = _bytes_at(self.wire["refusal_field"], self.wire["refusal_field_bytes"])
        message = _bytes_at(self.wire["refusal_message"], self.wire["refusal_message_bytes"])
        return int(self.wire["refusal_code"]), field.decode(), message.decode()


def _bytes_at(address: int, length: int) -> bytes:
    import ctypes

    return ctypes.string_at(int(address), int(length))


def request_message(row: Any) -> pb.DecideRequest:
    """Return the message that is packed as this REQUEST row."""
    message = pb.DecideRequest()
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if name in _OPTIONAL:
            if row["present"] & _OPTIONAL[name]:
                setattr(message, name, float(row[name]))
        elif name == "sent_at":
            if row["sent_at_ns"] > 0:
                message.sent_at.FromNanoseconds(int(row["sent_at_ns"]))
        elif row.dtype[name].shape:
            setattr(message, name, text(row[name]))
        else:
            setattr(message, name, _number(int(row[name]), field))
    return message


def report_message(row: Any) -> pb.ReportExecutionRequest:
    """Return the request whose report is packed as this REPORT row."""
    request = pb.ReportExecutionRequest()
    message = request.report
    message.SetInParent()
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if name in _OPTIONAL_OF_REPORT:
            if row["present"] & _OPTIONAL_OF_REPORT[name]:
                setattr(message, name, float(row[name]))
        elif name == "event_time":
            if row["event_time_ns"] > 0:
                message.event_time.FromNanoseconds(int(row["event_time_ns"]))
        elif row.dtype[name].shape:
            setattr(message, name, text(row[name]))
        else:
            setattr(message, name, _number(int(row[name]), field))
    return request


def _number(value: int, field: Any) -> int:
    return bool(value) if field.type == field.TYPE_BOOL else value
