"""Rows S3-14, S3-16, S3-18, S3-20: what is new in the services of limits, over a real port."""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psycopg

from riskgate.v1 import admin_pb2, breaker_pb2, reference_pb2, risk_config_pb2, state_pb2, types_pb2
from server import feed
from server.hotpath import layout
from tests.archive_rows import TODAY, add_decision, add_report
from tests.control_harness import Control, eurusd, low_risk, play, put_account, refusal

WHY = admin_pb2.ChangeNote(actor="ann", reason="limits of the desk")


async def published(parts: Control, kind: int, key: str) -> Any:
    data: Any = await parts.redis.hget(feed.STATE_KEY, feed.state_field(kind, key))
    rows = state_pb2.StateChange.FromString(data).rows
    return np.frombuffer(rows, layout.CHANGE_ROWS[kind])


async def add_breaker(parts: Control, **changes: Any) -> breaker_pb2.CircuitBreaker:
    values: dict[str, Any] = {
        "name": "late spread",
        "account_id": "account123",
        "condition": types_pb2.BREAKER_CONDITION_EXPRESSION,
        "expression": "spread_pips > 3 && hour >= 22",
        "action": types_pb2.BREAKER_ACTION_REDUCE_SIZE,
        "providers": [
            breaker_pb2.BreakerProvider(provider_id="7", provider_type=types_pb2.PROVIDER_TYPE_USER)
        ],
        "strategies": ["trend"],
    }
    breaker = breaker_pb2.CircuitBreaker(**(values | changes))
    request = breaker_pb2.CreateBreakerRequest(breaker=breaker, note=WHY)
    created: breaker_pb2.CircuitBreaker = (await parts.breakers.CreateBreaker(request)).breaker
    return created


def test_limits_and_hours_reach_redis_and_come_back_as_they_were_sent(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        hours = [reference_pb2.TradingHours(day_of_week=5, opens="09:30", closes="24:00")]
        sent = eurusd(
            restricted=True,
            collar_percentage=0.5,
            trading_hours=hours,
            hours_timezone="Europe/London",
            default_slippage_pips=0,
            commission_per_lot=0,
        )
        put = reference_pb2.PutInstrumentRequest(instrument=sent)
        await parts.reference.PutInstrument(put)
        request = reference_pb2.GetInstrumentRequest(symbol="EURUSD")
        assert (await parts.reference.GetInstrument(request)).instrument == sent
        limited = low_risk(
            max_order_value=1_000, repeat_limit=3, message_limit=5, message_window_ms=500
        )
        limited.symbol_configs[0].restricted = True
        create = risk_config_pb2.CreateRiskConfigurationRequest(configuration=limited, note=WHY)
        answer = await parts.risk.CreateRiskConfiguration(create)
        stored = answer.configuration
        for name in ("version", "created_at", "updated_at"):
            stored.ClearField(name)
        assert stored == limited
        await parts.published(answer.state_version)
        (row,) = await published(parts, state_pb2.CHANGE_KIND_INSTRUMENT, "EURUSD")
        assert (row["restricted"], row["collar_ppm"], row["hours_count"]) == (1, 5_000, 1)
        kind = state_pb2.CHANGE_KIND_RISK_CONFIGURATION
        own, override = await published(parts, kind, "account123")
        assert (own["max_order_value_micros"], own["message_window_ns"]) == (10**9, 500_000_000)
        assert override["restricted"] == 1

    play(database_url, redis_url, tmp_path, scenario)


def test_a_breaker_with_an_expression_is_stored_published_and_reset(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        created = await add_breaker(parts)
        read = breaker_pb2.GetBreakerRequest(breaker_id=created.breaker_id)
        assert (await parts.breakers.GetBreaker(read)).breaker == created
        assert created.over_request
        assert created.strategies == ["trend"]
        reset = breaker_pb2.ResetBreakerRequest(breaker_id=created.breaker_id, note=WHY)
        answer = await parts.breakers.ResetBreaker(reset)
        assert answer.breaker.version == 1
        assert answer.breaker.HasField("reset_at")
        await parts.published(answer.state_version)
        key = created.breaker_id
        (row,) = await published(parts, state_pb2.CHANGE_KIND_BREAKER, key)
        assert (row["over_request"], row["provider_count"], row["strategy_count"]) == (1, 1, 1)
        (row,) = await published(parts, state_pb2.CHANGE_KIND_BREAKER_RESET, key)
        assert row["reset_at_ns"] == answer.breaker.reset_at.ToNanoseconds()
        with psycopg.connect(database_url) as opened:
            audit = opened.execute(
                "SELECT action, reason, new_value->>'reset_at' IS NOT NULL FROM riskgate.audit_log"
                " WHERE subject = 'circuit_breaker' ORDER BY audit_id"
            ).fetchall()
        assert audit == [
            ("create", "limits of the desk", False),
            ("reset", "limits of the desk", True),
        ]

    play(database_url, redis_url, tmp_path, scenario)


def test_a_hostile_expression_is_refused_with_a_sentence(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        for text in ("(" * 500 + "is_buy" + ")" * 500, "hour > 1 || " * 80 + "is_buy", "hour > "):
            code, words, field = await refusal(add_breaker(parts, expression=text))
            assert code == grpc.StatusCode.INVALID_ARGUMENT
            assert field == "breaker.expression"
            assert len(words) > len("invalid field: breaker.expression: ")

    play(database_url, redis_url, tmp_path, scenario)


def test_what_is_saved_is_loaded_and_strategies_are_enabled_over_the_port(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        create = risk_config_pb2.CreateRiskConfigurationRequest(configuration=low_risk(), note=WHY)
        await parts.risk.CreateRiskConfiguration(create)
        await add_breaker(parts)
        name: Any = {"config_id": "friday", "account_id": "account123"}
        save = risk_config_pb2.SaveRiskConfigurationRequest(**name, note=WHY)
        saved = await parts.risk.SaveRiskConfiguration(save)
        load = risk_config_pb2.LoadRiskConfigurationRequest(**name)
        assert (await parts.risk.LoadRiskConfiguration(load)).limits == saved.limits
        assert [each.name for each in saved.limits.breakers] == ["late spread"]
        again = await parts.risk.SaveRiskConfiguration(save)
        assert again.outcome == admin_pb2.CHANGE_OUTCOME_UNCHANGED
        enable = risk_config_pb2.EnableStrategyRequest(
            account_id="account123", strategy_id="trend", note=WHY
        )
        answer = await parts.risk.EnableStrategy(enable)
        await parts.published(answer.state_version)
        key = feed.strategy_key("account123", "trend")
        (row,) = await published(parts, state_pb2.CHANGE_KIND_STRATEGY, key)
        assert row["enabled_at_ns"] == answer.enabled_at.ToNanoseconds()
        nobody = risk_config_pb2.EnableStrategyRequest(
            account_id="account123",
            strategy_id="trend",
            note=admin_pb2.ChangeNote(reason="it is mended"),
        )
        code, _, field = await refusal(parts.risk.EnableStrategy(nobody))
        assert (code, field) == (grpc.StatusCode.INVALID_ARGUMENT, "note.actor")

    play(database_url, redis_url, tmp_path, scenario)


def test_an_event_that_somebody_tells_of_is_stored_with_its_breaker(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        breaker_id = (await add_breaker(parts)).breaker_id
        request = breaker_pb2.LogBreakerEventRequest(breaker_id=breaker_id, note=WHY)
        request.triggered_values["drawdown"] = 0.12
        request.positions_affected.extend(["BTCUSDT", "ETHUSDT"])
        logged = (await parts.breakers.LogBreakerEvent(request)).event
        events = breaker_pb2.ListBreakerEventsRequest(breaker_id=breaker_id)
        assert list((await parts.breakers.ListBreakerEvents(events)).events) == [logged]
        assert logged.action_taken == types_pb2.BREAKER_ACTION_REDUCE_SIZE

    play(database_url, redis_url, tmp_path, scenario)


def test_a_breaker_is_tried_out_on_the_decisions_of_the_archive(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        with psycopg.connect(database_url, autocommit=True) as opened:
            add_decision(opened, 1)
            add_decision(opened, 2, decided_at=TODAY.replace(hour=3))
        request = breaker_pb2.TestBreakerRequest(
            account_id="account123",
            breaker=breaker_pb2.CircuitBreaker(
                condition=types_pb2.BREAKER_CONDITION_EXPRESSION, expression="hour > 6"
            ),
        )
        answer = await parts.breakers.TestBreaker(request)
        assert (answer.decision_count, answer.tripped_count, answer.unknown_count) == (2, 1, 0)
        assert [each.decision_id for each in answer.decisions] == [1]

    play(database_url, redis_url, tmp_path, scenario)


def test_ticks_and_lot_steps_stay_while_somebody_holds_the_instrument(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)

        def put(**changes: Any) -> Any:
            request = reference_pb2.PutInstrumentRequest(instrument=eurusd(**changes))
            return parts.reference.PutInstrument(request)

        await put()
        await put(tick_size=0.000005)
        with psycopg.connect(database_url, autocommit=True) as opened:
            add_report(opened, 1, 0.5)
        for changes in ({}, {"tick_size": 0.000005, "lot_step": 0.001}):
            code, words, _ = await refusal(put(**changes))
            assert code == grpc.StatusCode.FAILED_PRECONDITION
            assert "EURUSD is open in account account123" in words
        await put(tick_size=0.000005, restricted=True)
        with psycopg.connect(database_url, autocommit=True) as opened:
            add_report(opened, 2, 0)
        await put()

    play(database_url, redis_url, tmp_path, scenario)
