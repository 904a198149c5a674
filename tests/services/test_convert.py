"""Every field of the decision port in and out, and the values that cannot be packed."""

import math
from typing import Any

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.types_pb2 import SIDE_SELL
from server.errors import InvalidFieldError
from server.hotpath import layout, reasons, records
from server.hotpath.memory import Capacity, State, new_state
from server.services.convert import (
    read_decision,
    read_report_result,
    write_report,
    write_request,
)

IDS = (
    "client_order_id",
    "account_id",
    "connection_id",
    "provider_id",
    "position_id",
    "replaces_client_order_id",
    "group_id",
    "signal_id",
    "strategy_id",
)
SYMBOLS = ("symbol", "exchange")
ENUMS = ("provider_type", "side", "order_type", "time_in_force", "session")
FLAGS = ("reduce_only", "explain", "dry_run")
NUMBERS = {
    "entry_price": records.HAS_ENTRY_PRICE,
    "stop_loss": records.HAS_STOP_LOSS,
    "take_profit": records.HAS_TAKE_PROFIT,
    "requested_lots": records.HAS_REQUESTED_LOTS,
    "atr": records.HAS_ATR,
    "volatility_index": records.HAS_VOLATILITY_INDEX,
}


@pytest.fixture(scope="module")
def state() -> State:
    return new_state(Capacity(**dict.fromkeys(Capacity._fields, 16)))


def message_of(**fields: Any) -> pb.DecideRequest:
    return pb.DecideRequest(**fields)


def written(message: pb.DecideRequest) -> Any:
    record = np.full(1, -1, np.dtype((np.void, records.REQUEST.itemsize))).view(records.REQUEST)
    record.view(np.uint8)[:] = 0xFF  # what an earlier request left must not shine through
    write_request(message, record)
    return record[0]


def test_write_request_when_everything_is_absent_then_the_record_is_zero() -> None:
    assert not any(written(pb.DecideRequest()).tobytes())


def test_write_request_when_each_field_is_set_alone_then_only_its_column_changes() -> None:
    covered = {"min_state_version", "sent_at"}
    for index, name in enumerate(IDS + SYMBOLS):
        text = f"é-{index}"
        row = written(message_of(**{name: text}))
        assert layout.text(row[name]) == text
        assert np.count_nonzero(np.frombuffer(row.tobytes(), "<i8")) == 1
        covered.add(name)
    for name in ENUMS:
        for number in (1, 2**31 - 1, -5):
            row = written(message_of(**{name: number}))
            assert row[name] == number
        covered.add(name)
    for name in FLAGS:
        assert written(message_of(**{name: True}))[name] == 1
        covered.add(name)
    for name, bit in NUMBERS.items():
        for value in (1.5, 0.0, -1.0, 1e308, math.inf, -math.inf):
            row = written(message_of(**{name: value}))
            assert row[name] == value
            assert row["present"] == bit
        assert math.isnan(written(message_of(**{name: math.nan}))[name])
        covered.add(name)
    moment = Timestamp(seconds=1_700_000_000, nanos=5)
    assert written(pb.DecideRequest(sent_at=moment))["sent_at_ns"] == 1_700_000_000_000_000_005
    assert written(pb.DecideRequest(min_state_version=2**63 - 1))["min_state_version"] == 2**63 - 1
    assert covered == set(pb.DecideRequest.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(("name", "limit"), [*((n, 64) for n in IDS), *((n, 32) for n in SYMBOLS)])
def test_write_request_when_text_is_at_and_over_its_limit_then_only_more_is_refused(
    name: str, limit: int
) -> None:
    for text in ("x" * limit, "é" * (limit // 2)):
        assert layout.text(written(message_of(**{name: text}))[name]) == text
    for text in ("x" * (limit + 1), "é" * (limit // 2) + "x", "x" * 100_000, "a\0b", "\0"):
        with pytest.raises(InvalidFieldError) as refused:
            written(message_of(**{name: text}))
        assert refused.value.field == name


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (0, 0),
        (-1, 0),
        (1, -1),
        (1, 1_000_000_000),
        (2**63 // 10**9 + 1, 0),
        (-(2**63), 0),
        (2**62, 0),
    ],
)
def test_write_request_when_a_time_is_out_of_range_then_it_is_refused(
    seconds: int, nanos: int
) -> None:
    with pytest.raises(InvalidFieldError) as refused:
        written(pb.DecideRequest(sent_at=Timestamp(seconds=seconds, nanos=nanos)))
    assert refused.value.field == "sent_at"
    report = pb.ExecutionReport(event_time=Timestamp(seconds=seconds, nanos=nanos))
    with pytest.raises(InvalidFieldError) as refused:
        write_report(report, np.zeros(1, records.REPORT))
    assert refused.value.field == "report.event_time"


def test_write_request_when_an_unsigned_number_leaves_int64_then_it_is_refused() -> None:
    with pytest.raises(InvalidFieldError) as refused:
        written(pb.DecideRequest(min_state_version=2**63))
    assert refused.value.field == "min_state_version"
    with pytest.raises(InvalidFieldError) as refused:
        write_report(pb.ExecutionReport(decision_id=2**64 - 1), np.zeros(1, records.REPORT))
    assert refused.value.field == "report.decision_id"


def test_write_report_when_each_field_is_set_then_its_column_has_it() -> None:
    record = np.zeros(1, records.REPORT)
    message = pb.ExecutionReport(
        report_id="r",
        account_id="a",
        client_order_id="c",
        decision_id=2**63 - 1,
        kind=99,  # type: ignore[arg-type]
        lots=1.5,
        price=2.5,
        cumulative_lots=3.5,
        realised_pnl=-4.5,
        commission=0.0,
        event_time=Timestamp(seconds=1, nanos=2),
        position_id="p",
        symbol="s" * 32,
        side=SIDE_SELL,
    )
    assert len(message.ListFields()) == len(pb.ExecutionReport.DESCRIPTOR.fields)
    write_report(message, record)
    row = record[0]
    for name in ("report_id", "account_id", "client_order_id", "position_id", "symbol"):
        assert layout.text(row[name]) == getattr(message, name)
    for name in ("decision_id", "kind", "side", "lots", "price", "cumulative_lots"):
        assert row[name] == getattr(message, name)
    assert (row["realised_pnl"], row["commission"]) == (-4.5, 0.0)
    assert row["event_time_ns"] == 1_000_000_002
    assert row["present"] == 31
    write_report(pb.ExecutionReport(), record)
    assert not any(record.tobytes())


def decided(state: State, **columns: Any) -> None:
    state.decision.view(np.uint8)[:] = 0
    values = {
        "sequence": 11,
        "epoch": 3,
        "verdict": 2,
        "mode": 1,
        "lot_size": 0.24,
        "lot_mantissa": 1,
        "lot_scale": 100,
        "state_version": 99,
        **dict.fromkeys((name for name in records.DECISION.names or () if "age_ns" in name), -1),
        **columns,
    }
    for name, value in values.items():
        state.decision[0][name] = value


def test_read_decision_when_nothing_optional_is_known_then_nothing_optional_is_there(
    state: State,
) -> None:
    decided(state, known=0)
    response = read_decision(state, explain=False, server_ns=5)
    optional: set[str] = {
        field.name for field in pb.DecideResponse.DESCRIPTOR.fields if field.has_presence
    }
    assert {field.name for field, _ in response.ListFields()} & optional == {"input_ages"}
    assert response.input_ages == pb.InputAges()
    assert response.binding_limit == 0
    assert (response.decision_id, response.epoch, response.verdict) == (11, 3, 2)
    assert (response.mode, response.durability, response.server_ns) == (1, 1, 5)
    assert (response.lot_size, response.state_version) == (0.24, 99)
    assert not response.model_digest
    assert not response.checks


def test_read_decision_when_everything_is_known_then_each_field_has_its_value(
    state: State,
) -> None:
    decided(
        state,
        known=127,
        sl_buffer_pips=0.5,
        stop_price=1.09795,
        trailing_stop_distance=0.002,
        predicted_slippage_pips=-0.25,
        slippage_micropips=1_500_000,
        score_micropoints=87_500_000,
        multiplier_ppm=1_350_000,
        largest_passing_lots=0.32,
        expires_at_ns=1_700_000_000_123_456_789,
        model_slot=1,
        session=4,
        binding=reasons.R_RISK_PER_TRADE + 1,
        heartbeat_age_ns=1_999_999,
        equity_age_ns=0,
        score_age_ns=86_400_000_000_000,
        atr_age_ns=1_000_000,
        volatility_age_ns=999_999,
        conversion_rate_age_ns=2_000_000,
        quote_age_ns=3_000_000,
    )
    slot = state.models.slots[1]
    slot["digest"] = np.frombuffer(bytes(range(32)), "<i8")
    slot["version"] = (1, 2, 3)
    state.policy[0]["digest"] = np.frombuffer(bytes(range(32, 64)), "<i8")
    state.policy[0]["version_major"] = 4
    response = read_decision(state, explain=False, server_ns=-5)
    assert (response.sl_buffer_pips, response.stop_price) == (0.5, 1.09795)
    assert response.trailing_stop_distance == 0.002
    assert (response.predicted_slippage_pips, response.sizing_slippage_pips) == (-0.25, 1.5)
    assert (response.performance_score, response.score_multiplier) == (87.5, 1.35)
    assert response.largest_passing_lots == 0.32
    assert response.reservation_expires_at == Timestamp(seconds=1_700_000_000, nanos=123_456_789)
    assert (response.model_version, response.model_digest) == ("1.2.3", bytes(range(32)))
    assert (response.policy_version, response.policy_digest) == ("4.0.0", bytes(range(32, 64)))
    assert (response.session, response.binding_limit, response.server_ns) == (4, 401, 0)
    assert response.input_ages == pb.InputAges(
        heartbeat_ms=1,
        equity_ms=0,
        score_ms=86_400_000,
        atr_ms=1,
        volatility_ms=0,
        conversion_rate_ms=2,
        quote_ms=3,
    )


def test_read_decision_when_reasons_mix_then_denials_come_first_and_notes_last(
    state: State,
) -> None:
    decided(state)
    status = state.decision[0]["status"]
    status[reasons.R_MODEL_MISSING] = reasons.S_NOTE
    status[reasons.R_FEED_DEGRADED] = reasons.S_NOTE
    status[reasons.R_LOT_STEP] = reasons.S_CUT
    status[reasons.R_MAX_LOT] = reasons.S_CUT
    status[reasons.R_POSITIONS_FULL] = reasons.S_DENY
    status[reasons.R_FEED_STALE] = reasons.S_DENY
    status[reasons.R_LEVERAGE] = reasons.S_PASS
    status[reasons.R_POSITION_SIZE] = reasons.S_NOT_APPLICABLE
    response = read_decision(state, explain=False, server_ns=0)
    assert list(response.reasons) == [101, 803, 403, 411, 105, 603]


def test_read_decision_when_explained_then_checks_have_their_units(state: State) -> None:
    decided(state)
    decision = state.decision[0]
    cases = {
        reasons.R_FEED_STALE: (30_000_000_000, 1_999_999, 30_000.0, 1.0, 29_999.0),
        reasons.R_PROVIDER_SCORE_LOW: (40_000_000, 87_500_000, 40.0, 87.5, -47.5),
        reasons.R_RISK_PER_TRADE: (67_500_000, 0, 67.5, 0.0, 67.5),
        reasons.R_MAX_LOT: (1_000, 0, 10.0, 0.0, 10.0),
        reasons.R_LEVERAGE: (5_000_000, 123_457, 5.0, 0.123457, 4.876543),
        reasons.R_RESERVATIONS_FULL: (8, 3, 8.0, 3.0, 5.0),
    }
    for index, (limit, observed, *_) in cases.items():
        decision["status"][index] = reasons.S_PASS
        decision["numbers"][index] = 1
        decision["limit"][index], decision["observed"][index] = limit, observed
    decision["numbers"][reasons.R_MAX_LOT] = 3
    decision["lots_max"][reasons.R_MAX_LOT] = 7
    decision["status"][reasons.R_MODEL_MISSING] = reasons.S_NOTE
    checks = {
        check.check: check for check in read_decision(state, explain=True, server_ns=0).checks
    }
    assert len(checks) == len(cases) + 1
    for index, (_, _, *numbers) in cases.items():
        check = checks[reasons.REASON_CODES[index]]  # type: ignore[index]
        assert check.unit == reasons.CHECK_UNITS[index]
        assert [check.limit, check.observed, check.headroom] == numbers
        assert check.HasField("lots_max") == (index == reasons.R_MAX_LOT)
    assert checks[403].lots_max == 0.07  # type: ignore[index]
    note = checks[603]  # type: ignore[index]
    assert (note.status, note.unit, note.HasField("limit")) == (reasons.S_NOTE, 0, False)


def test_read_decision_when_the_instrument_is_unknown_then_lot_numbers_are_left_out(
    state: State,
) -> None:
    decided(state, lot_mantissa=0, lot_scale=0)
    state.decision[0]["status"][reasons.R_MAX_LOT] = reasons.S_DENY
    state.decision[0]["numbers"][reasons.R_MAX_LOT] = 3
    (check,) = read_decision(state, explain=True, server_ns=0).checks
    assert not check.HasField("limit")
    assert not check.HasField("lots_max")


def test_read_decision_when_breakers_are_listed_then_times_of_zero_are_absent(
    state: State,
) -> None:
    decided(state, breaker_count=2)
    for row, name in ((3, "first"), (5, "second")):
        breaker = state.breakers.rows[row]
        breaker["breaker_id"] = layout.words(f"id-{name}")
        breaker["name"] = layout.words(name)
        breaker["action"] = row
    decision = state.decision[0]
    decision["breaker_row"][:2] = (5, 3)
    decision["breaker_state"][:2] = 2
    decision["breaker_tripped_at_ns"][:2] = (1_000_000_001, 2_000_000_000)
    decision["breaker_closes_at_ns"][:2] = (0, 3_000_000_000)
    second, first = read_decision(state, explain=False, server_ns=0).breakers
    assert (second.breaker_id, second.name, second.action, second.state) == (
        "id-second",
        "second",
        5,
        2,
    )
    assert second.tripped_at == Timestamp(seconds=1, nanos=1)
    assert not second.HasField("closes_at")
    assert first.closes_at == Timestamp(seconds=3)


def test_read_report_result_when_the_instrument_is_known_then_steps_become_lots(
    state: State,
) -> None:
    result = state.report_result[0]
    result["outcome"], result["sequence"] = 1, 12
    result["equity_micros"], result["held_steps"], result["position_steps"] = 10_000_500_000, 7, -24
    result["lot_mantissa"], result["lot_scale"] = 1, 100
    state.engine[0]["epoch"] = 3
    response = read_report_result(state)
    assert (response.outcome, response.sequence, response.epoch) == (1, 12, 3)
    assert (response.equity, response.held_lots, response.position_lots) == (10_000.5, 0.07, -0.24)
    result["lot_scale"] = 0
    assert read_report_result(state).held_lots == 0.0
