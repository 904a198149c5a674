"""Rows S3-14, S3-16 to S3-20: the services of limits without a database, over a record in memory
that keeps the contract of the real one.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from riskgate.v1 import admin_pb2, breaker_pb2, rights_pb2, risk_config_pb2, state_pb2, types_pb2
from server.changes import risk_configuration_rows, unix_ns
from server.entities import Account
from server.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidFieldError,
    NotFoundError,
    PreconditionError,
)
from server.forms.risk_configuration import read_risk_configuration
from server.hotpath import layout
from server.security.caller import INSECURE_LOOPBACK, Call, Caller, set_current_call
from server.services.breaker import BreakerService
from server.services.risk_config import RiskConfigService
from tests.control_harness import low_risk
from tests.memory_record import MEMORY, MemoryParts

WHY = admin_pb2.ChangeNote(actor="ann", reason="limits of the desk")
CREATED = admin_pb2.CHANGE_OUTCOME_CREATED
UPDATED = admin_pb2.CHANGE_OUTCOME_UPDATED
UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
BREAKER = state_pb2.CHANGE_KIND_BREAKER
RESET = state_pb2.CHANGE_KIND_BREAKER_RESET
CONFIGURATION = state_pb2.CHANGE_KIND_RISK_CONFIGURATION
ACCOUNT_ID = "account123"


class Desk:
    """Both services over one record in memory, with one account in it."""

    def __init__(self) -> None:
        self.parts = MemoryParts()
        now = datetime.now(UTC)
        account = Account(
            account_id=ACCOUNT_ID, currency="USD", equity=Decimal(1000), equity_as_of=now
        )
        self.parts.database.accounts[ACCOUNT_ID] = account
        parts: Any = self.parts
        self.risk = RiskConfigService(parts, MEMORY)
        self.breakers = BreakerService(parts, MEMORY)

    @property
    def changes(self) -> list[tuple[int, str, bytes]]:
        return self.parts.database.changes

    @property
    def audits(self) -> list[tuple[str, str, str]]:
        return [row[:3] for row in self.parts.database.audits]

    def row(self, kind: int) -> Any:
        (rows,) = (rows for of, _, rows in self.changes[-1:] if of == kind)
        return np.frombuffer(rows, layout.CHANGE_ROWS[kind])[0]

    async def create(self, **changes: Any) -> Any:
        request = risk_config_pb2.CreateRiskConfigurationRequest(
            configuration=low_risk(**changes), note=WHY
        )
        return await self.risk.CreateRiskConfiguration(request, None)

    async def update(self, expected: int | None = None, **changes: Any) -> Any:
        request = risk_config_pb2.UpdateRiskConfigurationRequest(
            configuration=low_risk(**changes), expected_version=expected, note=WHY
        )
        return await self.risk.UpdateRiskConfiguration(request, None)

    async def save(self, config_id: str, expected: int | None = None) -> Any:
        request = risk_config_pb2.SaveRiskConfigurationRequest(
            config_id=config_id, account_id=ACCOUNT_ID, expected_version=expected, note=WHY
        )
        return await self.risk.SaveRiskConfiguration(request, None)

    async def load(self, config_id: str) -> risk_config_pb2.AccountLimits:
        request = risk_config_pb2.LoadRiskConfigurationRequest(
            config_id=config_id, account_id=ACCOUNT_ID
        )
        return (await self.risk.LoadRiskConfiguration(request, None)).limits

    async def add_breaker(self, **changes: Any) -> breaker_pb2.CircuitBreaker:
        values: dict[str, Any] = {
            "name": "my drawdown",
            "account_id": ACCOUNT_ID,
            "condition": types_pb2.BREAKER_CONDITION_EXPRESSION,
            "expression": "drawdown > 0.12",
            "action": types_pb2.BREAKER_ACTION_CLOSE,
        }
        breaker = breaker_pb2.CircuitBreaker(**(values | changes))
        request = breaker_pb2.CreateBreakerRequest(breaker=breaker, note=WHY)
        return (await self.breakers.CreateBreaker(request, None)).breaker


def play(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(Desk())

    asyncio.run(run())


def test_a_configuration_is_stored_published_and_audited_in_one_change() -> None:
    async def scenario(desk: Desk) -> None:
        answer = await desk.create(max_order_value=1_000, message_limit=50)
        assert (answer.configuration.version, answer.state_version) == (1, 1)
        assert answer.configuration.message_window_ms == 1_000
        ((kind, key, rows),) = desk.changes
        assert (kind, key) == (CONFIGURATION, ACCOUNT_ID)
        own = np.frombuffer(rows, layout.CHANGE_RISK_CONFIGURATION)[0]
        assert (own["max_order_value_micros"], own["message_limit"]) == (10**9, 50)
        assert desk.audits == [("create", "risk_configuration", "account123/low_risk")]
        assert desk.parts.woken == 1

    play(scenario)


def test_what_is_refused_leaves_no_row_no_change_and_no_audit() -> None:
    async def scenario(desk: Desk) -> None:
        bad = low_risk()
        bad.symbol_configs.add().CopyFrom(bad.symbol_configs[0])
        bad.symbol_configs[1].symbol = "ETHUSDT"
        bad.symbol_configs[1].max_order_lots = 0
        request = risk_config_pb2.CreateRiskConfigurationRequest(configuration=bad, note=WHY)
        with pytest.raises(InvalidFieldError) as refused:
            await desk.risk.CreateRiskConfiguration(request, None)
        assert refused.value.field == "configuration.symbol_configs[1].max_order_lots"
        with pytest.raises(PreconditionError):
            await desk.create(account_id="nobody")
        assert (desk.changes, desk.audits, desk.parts.woken) == ([], [], 0)
        assert desk.parts.database.configurations == {}

    play(scenario)


def test_an_unchanged_configuration_makes_no_change_and_a_stale_one_is_a_conflict() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create()
        assert (await desk.update(1)).outcome == UNCHANGED
        assert (await desk.update(1, max_notional=5_000)).configuration.version == 2
        with pytest.raises(ConflictError):
            await desk.update(1, max_notional=6_000)
        assert len(desk.changes) == 2

    play(scenario)


def test_only_one_configuration_of_an_account_is_active() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create()
        with pytest.raises(AlreadyExistsError):
            await desk.create(config_id="second")
        await desk.create(config_id="second", is_active=False)
        assert len(desk.changes) == 1

    play(scenario)


def test_loading_what_was_saved_gives_what_was_saved() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create(max_order_value=1_000, repeat_limit=3)
        await desk.add_breaker(strategies=["trend"])
        await desk.add_breaker(
            name="a built-in one",
            condition=types_pb2.BREAKER_CONDITION_DAILY_LOSS,
            expression="",
            parameters=breaker_pb2.BreakerParameters(threshold=0.02, cooling_off_minutes=60),
        )
        changes = len(desk.changes)
        saved = await desk.save("friday")
        assert saved.outcome == CREATED
        assert await desk.load("friday") == saved.limits
        assert [each.name for each in saved.limits.breakers] == ["a built-in one", "my drawdown"]
        assert saved.limits.breakers[1].strategies == ["trend"]
        # Its limits are those of the active one, and no engine hears of it.
        kept, active = saved.limits.configuration, (await desk.load("low_risk")).configuration
        assert not kept.is_active
        entities = [read_risk_configuration(each) for each in (kept, active)]
        assert risk_configuration_rows(entities[0]) == risk_configuration_rows(entities[1])
        assert len(desk.changes) == changes

    play(scenario)


def test_what_is_saved_stays_when_the_account_changes_and_is_replaced_by_saving_again() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create()
        breaker = await desk.add_breaker()
        saved = await desk.save("friday")
        assert (await desk.save("friday")).outcome == UNCHANGED
        gone = breaker_pb2.DeleteBreakerRequest(breaker_id=breaker.breaker_id, note=WHY)
        await desk.breakers.DeleteBreaker(gone, None)
        await desk.update(max_leverage=2)
        assert await desk.load("friday") == saved.limits
        with pytest.raises(ConflictError):
            await desk.save("friday", expected=7)
        again = await desk.save("friday", expected=1)
        assert (again.outcome, list(again.limits.breakers)) == (UPDATED, [])
        assert again.limits.configuration.max_leverage == 2
        assert await desk.load("friday") == again.limits

    play(scenario)


def test_a_configuration_that_was_not_saved_loads_with_the_present_breakers() -> None:
    async def scenario(desk: Desk) -> None:
        await desk.create()
        breaker = await desk.add_breaker()
        limits = await desk.load("low_risk")
        assert list(limits.breakers) == [breaker]
        assert not limits.HasField("breakers_saved_at")
        with pytest.raises(NotFoundError):
            await desk.load("friday")

    play(scenario)


def test_saving_needs_an_active_configuration_and_another_name() -> None:
    async def scenario(desk: Desk) -> None:
        with pytest.raises(PreconditionError):
            await desk.save("friday")
        await desk.create()
        with pytest.raises(InvalidFieldError) as refused:
            await desk.save("low_risk")
        assert refused.value.field == "config_id"
        with pytest.raises(NotFoundError):
            await desk.save("friday", expected=1)

    play(scenario)


def enable(account_id: str = ACCOUNT_ID, actor: str = "ann") -> Any:
    note = admin_pb2.ChangeNote(actor=actor, reason="the fault is mended")
    return risk_config_pb2.EnableStrategyRequest(
        account_id=account_id, strategy_id="trend", note=note
    )


def test_a_strategy_is_enabled_by_a_change_of_its_own() -> None:
    async def scenario(desk: Desk) -> None:
        answer = await desk.risk.EnableStrategy(enable(), None)
        row = desk.row(state_pb2.CHANGE_KIND_STRATEGY)
        assert layout.text(row["account_id"]) == ACCOUNT_ID
        assert layout.text(row["strategy_id"]) == "trend"
        enabled_at = answer.enabled_at.ToDatetime(tzinfo=UTC)
        assert row["enabled_at_ns"] == unix_ns(enabled_at)
        assert desk.audits == [("enable", "strategy", "account123/trend")]
        later = await desk.risk.EnableStrategy(enable(), None)
        assert later.enabled_at.ToDatetime(tzinfo=UTC) > enabled_at
        assert [key for _, key, _ in desk.changes] == ["account123\ttrend"] * 2

    play(scenario)


def test_a_strategy_is_enabled_by_a_person_with_a_name_and_for_a_known_account() -> None:
    async def scenario(desk: Desk) -> None:
        with pytest.raises(PreconditionError):
            await desk.risk.EnableStrategy(enable(account_id="nobody"), None)
        nobody = Caller(INSECURE_LOOPBACK, rights_pb2.ROLE_ADMIN, is_insecure=True)
        set_current_call(Call(nobody))
        with pytest.raises(InvalidFieldError) as refused:
            await desk.risk.EnableStrategy(enable(actor=""), None)
        assert refused.value.field == "note.actor"
        assert desk.changes == []
        await desk.risk.EnableStrategy(enable(), None)
        set_current_call(Call(Caller("spiffe://riskgate/admin/ann", rights_pb2.ROLE_ADMIN)))
        await desk.risk.EnableStrategy(enable(actor=""), None)
        assert len(desk.changes) == 2

    play(scenario)


def test_a_breaker_goes_out_with_its_program_and_is_switched() -> None:
    async def scenario(desk: Desk) -> None:
        breaker = await desk.add_breaker()
        assert (breaker.over_request, breaker.expression) == (False, "drawdown > 0.12")
        assert desk.row(BREAKER)["program_length"] == 3
        disable = breaker_pb2.DisableBreakerRequest(breaker_id=breaker.breaker_id, note=WHY)
        await desk.breakers.DisableBreaker(disable, None)
        assert desk.row(BREAKER)["enabled"] == 0
        again = await desk.breakers.DisableBreaker(disable, None)
        assert (again.outcome, len(desk.changes)) == (UNCHANGED, 2)
        request = breaker_pb2.EnableBreakerRequest(breaker_id=breaker.breaker_id, note=WHY)
        await desk.breakers.EnableBreaker(request, None)
        assert desk.row(BREAKER)["enabled"] == 1

    play(scenario)


def test_a_reset_is_a_change_of_its_own_and_leaves_the_definition() -> None:
    async def scenario(desk: Desk) -> None:
        breaker = await desk.add_breaker()
        request = breaker_pb2.ResetBreakerRequest(breaker_id=breaker.breaker_id, note=WHY)
        answer = await desk.breakers.ResetBreaker(request, None)
        assert answer.breaker.version == breaker.version
        row = desk.row(RESET)
        assert layout.text(row["breaker_id"]) == breaker.breaker_id
        assert row["reset_at_ns"] == unix_ns(answer.breaker.reset_at.ToDatetime(tzinfo=UTC))
        assert desk.audits[-1] == ("reset", "circuit_breaker", breaker.breaker_id)
        unknown = breaker_pb2.ResetBreakerRequest(breaker_id="999", note=WHY)
        with pytest.raises(NotFoundError):
            await desk.breakers.ResetBreaker(unknown, None)

    play(scenario)


def test_a_trip_that_somebody_tells_of_stands_among_the_events() -> None:
    async def scenario(desk: Desk) -> None:
        breaker = await desk.add_breaker()
        request = breaker_pb2.LogBreakerEventRequest(breaker_id=breaker.breaker_id, note=WHY)
        with pytest.raises(InvalidFieldError) as refused:
            await desk.breakers.LogBreakerEvent(request, None)
        assert refused.value.field == "triggered_values"
        request.triggered_values["drawdown"] = 0.12
        request.action_result["success"] = True
        logged = (await desk.breakers.LogBreakerEvent(request, None)).event
        assert logged.action_taken == types_pb2.BREAKER_ACTION_CLOSE
        assert not logged.HasField("directive_id")
        events = breaker_pb2.ListBreakerEventsRequest(breaker_id=breaker.breaker_id)
        assert list((await desk.breakers.ListBreakerEvents(events, None)).events) == [logged]
        assert desk.audits[-1][:2] == ("log", "circuit_breaker_event")
        request.triggered_values["long"] = "x" * 16_384
        with pytest.raises(InvalidFieldError, match="at most 16384 bytes"):
            await desk.breakers.LogBreakerEvent(request, None)
        del request.triggered_values["long"]
        request.triggered_values["drawdown"] = float("nan")
        with pytest.raises(InvalidFieldError, match="JSON does not know"):
            await desk.breakers.LogBreakerEvent(request, None)

    play(scenario)
