"""Every field of every call with every kind of bad value: a typed refusal or a coded denial."""

import math
from collections.abc import Iterator
from typing import Any

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import (
    REASON_ACCOUNT_UNKNOWN,
    REASON_ENUM_VALUE_UNKNOWN,
    REASON_EXCHANGE_MISMATCH,
    REASON_PROVIDER_UNKNOWN,
    REASON_STOP_REQUIRED,
    REASON_SYMBOL_UNKNOWN,
    SIDE_BUY,
    VERDICT_ALLOW,
    VERDICT_DENY,
)
from tests.decision_harness import PortCalls, good_request
from tests.lane_harness import OPENERS, Opener
from tests.port_calls import INVALID, Code, outcome_code, refused, refused_request


@pytest.fixture(scope="module", params=sorted(OPENERS))
def opener(request: pytest.FixtureRequest) -> Opener:
    """What opens a port of each kind: both must refuse alike."""
    return OPENERS[request.param]


@pytest.fixture(scope="module")
def shared_port(opener: Opener) -> Iterator[PortCalls]:
    with opener() as port:
        yield port


@pytest.fixture
def port(shared_port: PortCalls) -> PortCalls:
    shared_port.beat()
    return shared_port


# --- Bad input ---

TEXTS = (
    "client_order_id", "account_id", "connection_id", "provider_id", "symbol", "exchange",
    "position_id", "replaces_client_order_id", "group_id", "signal_id", "strategy_id",
)  # fmt: skip
REQUIRED = ("account_id", "provider_id", "provider_type", "symbol", "side", "entry_price")
PRICES = ("entry_price", "stop_loss", "take_profit")
NUMBERS = (*PRICES, "requested_lots", "atr", "volatility_index")
ENUMS = ("provider_type", "side", "order_type", "time_in_force", "session")


@pytest.mark.parametrize("name", REQUIRED)
def test_decide_when_a_required_field_is_absent_then_it_is_named(
    port: PortCalls, name: str
) -> None:
    assert refused_request(port, good_request(**{name: None})) == (INVALID, name)


def test_decide_when_the_stop_is_absent_then_the_order_is_denied(port: PortCalls) -> None:
    answer = port.decide(good_request(stop_loss=None))
    assert answer.verdict == VERDICT_DENY
    assert REASON_STOP_REQUIRED in answer.reasons


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -1.0, 1e308, -0.5])
def test_decide_when_a_number_is_impossible_then_it_is_named(
    port: PortCalls, name: str, number: float
) -> None:
    assert refused_request(port, good_request(**{name: number})) == (INVALID, name)


@pytest.mark.parametrize("name", [*PRICES, "requested_lots", "atr"])
@pytest.mark.parametrize("number", [0.0, -0.0])
def test_decide_when_a_number_is_zero_then_it_is_named(
    port: PortCalls, name: str, number: float
) -> None:
    assert refused_request(port, good_request(**{name: number})) == (INVALID, name)


def test_decide_when_volatility_is_zero_then_it_is_a_value(port: PortCalls) -> None:
    request = good_request(volatility_index=0.0, dry_run=True)
    assert port.decide(request).verdict == VERDICT_ALLOW
    assert refused_request(port, good_request(volatility_index=100.1)) == (
        INVALID,
        "volatility_index",
    )


@pytest.mark.parametrize(("name", "price"), [("entry_price", 1.100_005), ("stop_loss", 1.098_005),
                                             ("take_profit", 1.110_005)])  # fmt: skip
def test_decide_when_a_price_is_off_the_grid_then_it_is_named(
    port: PortCalls, name: str, price: float
) -> None:
    assert refused_request(port, good_request(**{name: price})) == (INVALID, name)
    assert refused_request(port, good_request(**{name: 30_000.0})) == (INVALID, name)


@pytest.mark.parametrize(("name", "side", "price"), [
    ("stop_loss", 1, 1.101), ("stop_loss", 1, 1.1), ("stop_loss", 2, 1.098),
    ("take_profit", 1, 1.099), ("take_profit", 1, 1.1), ("take_profit", 2, 1.101),
])  # fmt: skip
def test_decide_when_a_price_is_on_the_wrong_side_then_it_is_named(
    port: PortCalls, name: str, side: int, price: float
) -> None:
    stop = 1.102 if side == 2 else 1.098
    fields = {"side": side, "stop_loss": stop, name: price}
    assert refused_request(port, good_request(**fields)) == (INVALID, name)


@pytest.mark.parametrize("name", TEXTS)
def test_decide_when_text_is_bad_then_it_is_named(port: PortCalls, name: str) -> None:
    limit = 32 if name in ("symbol", "exchange") else 64
    for text in ("x" * (limit + 1), "a\0b", "é" * limit):
        assert refused_request(port, good_request(**{name: text})) == (INVALID, name)
    number = pb.DecideRequest.DESCRIPTOR.fields_by_name[name].number
    tag = bytes([number << 3 | 2]) if number < 16 else bytes([(number << 3 | 2) & 127 | 128, 1])
    raw = good_request().SerializeToString() + tag + b"\x02\xff\xfe"
    assert refused(port, "Decide", raw)[:2] == (INVALID, name)


@pytest.mark.parametrize(("fields", "reason"), [
    ({"account_id": "nobody"}, REASON_ACCOUNT_UNKNOWN),
    ({"symbol": "XXX"}, REASON_SYMBOL_UNKNOWN),
    ({"exchange": "NYSE"}, REASON_EXCHANGE_MISMATCH),
    ({"provider_id": "nobody"}, REASON_PROVIDER_UNKNOWN),
    ({"provider_type": 2}, REASON_PROVIDER_UNKNOWN),
    ({"account_id": "x" * 64}, REASON_ACCOUNT_UNKNOWN),
    ({"symbol": "é" * 16}, REASON_SYMBOL_UNKNOWN),
])  # fmt: skip
def test_decide_when_a_name_is_unknown_then_a_code_denies(
    port: PortCalls, fields: dict[str, Any], reason: int
) -> None:
    answer = port.decide(good_request(**fields))
    assert answer.verdict == VERDICT_DENY
    assert answer.lot_size == 0.0
    assert reason in answer.reasons


@pytest.mark.parametrize("name", ENUMS)
@pytest.mark.parametrize("number", [6, 99, -1, 2**31 - 1, -(2**31)])
def test_decide_when_an_enum_is_unknown_then_a_code_denies(
    port: PortCalls, name: str, number: int
) -> None:
    answer = port.decide(good_request(**{name: number}))
    assert answer.verdict == VERDICT_DENY
    assert answer.reasons[0] == REASON_ENUM_VALUE_UNKNOWN


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff", b"\x12\x05ab", bytes(100)])
@pytest.mark.parametrize("method", ["Decide", "DecideBatch", "ReportExecution", "SyncAccount"])
def test_call_when_bytes_are_no_message_then_the_request_is_refused(
    port: PortCalls, method: str, raw: bytes
) -> None:
    code, field, _ = refused(port, method, raw)
    assert code == INVALID
    assert field in {"request", "requests"}


def test_decide_when_the_message_is_too_large_then_it_is_refused(port: PortCalls) -> None:
    padding = b"\xfa\x7f\x80\x80\x04" + bytes(65_536)
    raw = good_request().SerializeToString() + padding
    assert refused(port, "Decide", raw)[0] == Code.RESOURCE_EXHAUSTED
    assert refused(port, "ReportExecution", raw)[0] == Code.RESOURCE_EXHAUSTED


def test_decide_when_the_request_is_empty_then_its_first_field_is_named(port: PortCalls) -> None:
    assert refused(port, "Decide", b"")[:2] == (INVALID, "account_id")
    assert refused(port, "ReportExecution", b"")[:2] == (INVALID, "report")
    assert refused(port, "DecideBatch", b"")[:2] == (INVALID, "requests")
    assert refused(port, "SyncAccount", b"")[:2] == (INVALID, "account_id")


REPORT: dict[str, Any] = {
    "report_id": "r", "account_id": "A", "kind": 3, "lots": 0.1, "price": 1.1,
    "symbol": "EURUSD", "side": 1,
}  # fmt: skip


@pytest.mark.parametrize(("fields", "field"), [
    ({"report_id": ""}, "report_id"),
    ({"account_id": ""}, "account_id"),
    ({"kind": 0}, "kind"),
    ({"kind": 99}, "kind"),
    ({"kind": -1}, "kind"),
    ({"lots": None}, "lots"),
    ({"price": None}, "price"),
    ({"symbol": ""}, "symbol"),
    ({"side": 0}, "side"),
    ({"side": 99}, "side"),
    ({"kind": 7}, "realised_pnl"),
    *(({name: number}, name)
      for name in ("lots", "price", "cumulative_lots")
      for number in (math.nan, math.inf, -math.inf, -1.0, 0.0)),
    ({"lots": 1e308}, "lots"),
    *(({"kind": 7, "realised_pnl": 1.0, name: number}, name)
      for name in ("realised_pnl", "commission")
      for number in (math.nan, math.inf, -math.inf, 1e308)),
    *(({name: "x" * 65}, name)
      for name in ("report_id", "account_id", "client_order_id", "position_id", "symbol")),
    ({"decision_id": 2**64 - 1}, "decision_id"),
])  # fmt: skip
def test_report_when_a_field_is_bad_then_it_is_named(
    port: PortCalls, fields: dict[str, Any], field: str
) -> None:
    values = {name: value for name, value in {**REPORT, **fields}.items() if value is not None}
    message = pb.ReportExecutionRequest(report=pb.ExecutionReport(**values))
    code, named, _ = refused(port, "ReportExecution", message.SerializeToString())
    assert (code, named) == (INVALID, f"report.{field}")


def test_report_when_the_price_cannot_be_one_then_the_call_ends_typed(opener: Opener) -> None:
    with opener() as port:
        for number, price in enumerate((1e308, 1e-300, 1.100_005)):
            message = pb.ReportExecutionRequest(
                report=pb.ExecutionReport(**{**REPORT, "report_id": f"p{number}", "price": price})
            )
            assert outcome_code(port, "ReportExecution", message) in {Code.OK, INVALID}
        equity = port.report(**{**REPORT, "report_id": "last"}).equity
        assert equity == 10_000.0


def test_report_when_the_account_is_unknown_then_not_found(port: PortCalls) -> None:
    report = pb.ExecutionReport(**{**REPORT, "account_id": "nobody"})
    message = pb.ReportExecutionRequest(report=report)
    assert refused(port, "ReportExecution", message.SerializeToString())[0] == Code.NOT_FOUND


@pytest.mark.parametrize(("fields", "field"), [
    ({"equity": 0.0}, "equity"),
    ({"equity": math.nan}, "equity"),
    ({"equity": 1e308}, "equity"),
    ({"account_id": "x" * 65}, "account_id"),
    ({"positions": [pb.Position(side=SIDE_BUY, lots=1.0, average_price=1.0)]},
     "positions[0].symbol"),
    ({"positions": [pb.Position(symbol="EURUSD", lots=1.0, average_price=1.0)]},
     "positions[0].side"),
    ({"positions": [pb.Position(symbol="EURUSD", side=SIDE_BUY, average_price=1.0)]},
     "positions[0].lots"),
    ({"positions": [pb.Position(symbol="EURUSD", side=SIDE_BUY, lots=math.nan, average_price=1.0)]},
     "positions[0].lots"),
    ({"positions": [pb.Position(symbol="EURUSD", side=SIDE_BUY, lots=1.0)]},
     "positions[0].average_price"),
    ({"positions": [pb.Position(symbol="EURUSD", side=SIDE_BUY, lots=1.0, average_price=1.0,
                                stop_loss=-1.0)]}, "positions[0].stop_loss"),
    ({"positions": [pb.Position(symbol="EURUSD", side=9, lots=1.0, average_price=1.0)]},  # type: ignore[arg-type]
     "positions[0].side"),
    ({"working_orders": [pb.WorkingOrder(symbol="EURUSD", side=SIDE_BUY, lots=1.0, price=1.0)]},
     "working_orders[0].client_order_id"),
    ({"positions": [pb.Position()] * 4_097}, "positions"),
    ({"working_orders": [pb.WorkingOrder()] * 4_097}, "working_orders"),
])  # fmt: skip
def test_sync_when_a_field_is_bad_then_it_is_named(
    port: PortCalls, fields: dict[str, Any], field: str
) -> None:
    message = pb.SyncAccountRequest(**{"account_id": "A", **fields})
    code, named, _ = refused(port, "SyncAccount", message.SerializeToString())
    assert (code, named) == (INVALID, field)


def test_sync_when_numbers_leave_the_grid_then_no_call_ends_untyped(port: PortCalls) -> None:
    for lots, price in ((1e308, 1.1), (0.1, 1e308), (1e-9, 1.1), (0.1, 1e-12), (0.1, 1.100_005)):
        message = pb.SyncAccountRequest(account_id="A")
        message.positions.add(symbol="EURUSD", side=1, lots=lots, average_price=price)
        assert outcome_code(port, "SyncAccount", message) in {Code.OK, INVALID}
