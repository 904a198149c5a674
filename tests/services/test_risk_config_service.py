"""Rows S3-01 to S3-11, S3-16, S3-17, S3-23, X-4: configurations, atomic and in percent at the
edge.
"""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psycopg
import pytest

from riskgate.v1 import admin_pb2, state_pb2
from riskgate.v1 import risk_config_pb2 as pb
from server import feed
from server.forms.order_limits import ACCOUNT_LIMITS
from server.hotpath import layout
from server.record.pool import connection
from server.record.risk_configurations import RiskConfigurationRepository
from tests.control_harness import Control, low_risk, play, put_account, refusal

UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
UPDATED = admin_pb2.CHANGE_OUTCOME_UPDATED
WHY = admin_pb2.ChangeNote(reason="limits of the desk")


def create(configuration: pb.RiskConfiguration) -> pb.CreateRiskConfigurationRequest:
    return pb.CreateRiskConfigurationRequest(configuration=configuration, note=WHY)


def update(
    configuration: pb.RiskConfiguration, expected_version: int | None = None
) -> pb.UpdateRiskConfigurationRequest:
    return pb.UpdateRiskConfigurationRequest(
        configuration=configuration, expected_version=expected_version, note=WHY
    )


async def published_rows(parts: Control, account_id: str = "account123") -> Any:
    field = feed.state_field(state_pb2.CHANGE_KIND_RISK_CONFIGURATION, account_id)
    data: Any = await parts.redis.hget(feed.STATE_KEY, field)
    message = state_pb2.StateChange.FromString(data)
    return np.frombuffer(message.rows, dtype=layout.CHANGE_RISK_CONFIGURATION)


def without_times(configuration: pb.RiskConfiguration) -> pb.RiskConfiguration:
    copy = pb.RiskConfiguration()
    copy.CopyFrom(configuration)
    for name in ("version", "created_at", "updated_at"):
        copy.ClearField(name)
    return copy


def test_create_when_seed_sample_then_comes_back_identical_and_reaches_redis(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        answer = await parts.risk.CreateRiskConfiguration(create(low_risk()))
        request = pb.GetRiskConfigurationRequest(config_id="low_risk", account_id="account123")
        read = (await parts.risk.GetRiskConfiguration(request)).configuration
        assert without_times(read) == low_risk()
        assert read.version == 1
        await parts.published(answer.state_version)
        own, override = await published_rows(parts)
        assert own["risk_per_trade_ppm"] == 5_000
        assert own["daily_max_drawdown_ppm"] == 20_000
        assert override["max_leverage_ppm"] == 5_000_000

    play(database_url, redis_url, tmp_path, scenario)


def test_create_when_percent_has_four_decimals_then_round_trip_is_exact(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        sent = low_risk(risk_per_trade_percentage=0.1234, max_position_size_percentage=33.3333)
        answer = await parts.risk.CreateRiskConfiguration(create(sent))
        assert without_times(answer.configuration) == sent
        with psycopg.connect(database_url) as opened:
            row = opened.execute(
                "SELECT risk_per_trade_fraction::text FROM riskgate.risk_configuration"
            ).fetchone()
        assert row == ("0.001234",)
        finer = low_risk(config_id="finer", risk_per_trade_percentage=0.12345, is_active=False)
        code, _, field = await refusal(parts.risk.CreateRiskConfiguration(create(finer)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert field == "configuration.risk_per_trade_percentage"

    play(database_url, redis_url, tmp_path, scenario)


def test_create_when_one_symbol_row_is_bad_then_nothing_is_stored(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        version = (await put_account(parts)).state_version
        bad = low_risk()
        bad.symbol_configs.add().CopyFrom(bad.symbol_configs[0])
        bad.symbol_configs[1].symbol = "ETHUSDT"
        bad.symbol_configs[1].risk_per_trade_percentage = 101
        code, _, field = await refusal(parts.risk.CreateRiskConfiguration(create(bad)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        assert field == "configuration.symbol_configs[1].risk_per_trade_percentage"
        # The same in the database alone: the second symbol row fails, the first must not stay.
        with psycopg.connect(database_url, autocommit=True) as opened:
            opened.execute(
                "ALTER TABLE riskgate.symbol_risk_configuration"
                " ADD CONSTRAINT no_eth CHECK (symbol <> 'ETHUSDT')"
            )
        bad.symbol_configs[1].risk_per_trade_percentage = 0.3
        await refusal(parts.risk.CreateRiskConfiguration(create(bad)))
        with psycopg.connect(database_url) as opened:
            for table in ("risk_configuration", "symbol_risk_configuration"):
                count = opened.execute(f"SELECT count(*) FROM riskgate.{table}").fetchone()  # noqa: S608 - two fixed names
                assert count == (0,)
            newest = opened.execute("SELECT version FROM riskgate.state_version").fetchone()
        assert newest == (version,)

    play(database_url, redis_url, tmp_path, scenario)


def test_update_when_spec_is_unchanged_then_no_version_and_when_stale_then_aborted(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        created = await parts.risk.CreateRiskConfiguration(create(low_risk()))
        same = await parts.risk.UpdateRiskConfiguration(update(low_risk(), 1))
        assert (same.outcome, same.state_version) == (UNCHANGED, created.state_version)
        wider = await parts.risk.UpdateRiskConfiguration(
            update(low_risk(risk_per_trade_percentage=1), 1)
        )
        assert (wider.outcome, wider.configuration.version) == (UPDATED, 2)
        for configuration in (low_risk(), low_risk(risk_per_trade_percentage=1)):
            call = parts.risk.UpdateRiskConfiguration(update(configuration, 1))
            assert (await refusal(call))[0] == grpc.StatusCode.ABORTED
        await parts.published(wider.state_version)
        assert (await published_rows(parts))[0]["risk_per_trade_ppm"] == 10_000

    play(database_url, redis_url, tmp_path, scenario)


def test_create_when_taken_or_second_active_or_no_account_then_typed(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        orphan = parts.risk.CreateRiskConfiguration(create(low_risk()))
        assert (await refusal(orphan))[0] == grpc.StatusCode.FAILED_PRECONDITION
        await put_account(parts)
        await parts.risk.CreateRiskConfiguration(create(low_risk()))
        for taken in (low_risk(), low_risk(config_id="second")):
            call = parts.risk.CreateRiskConfiguration(create(taken))
            assert (await refusal(call))[0] == grpc.StatusCode.ALREADY_EXISTS
        spare = low_risk(config_id="second", is_active=False)
        await parts.risk.CreateRiskConfiguration(create(spare))
        missing = parts.risk.UpdateRiskConfiguration(update(low_risk(config_id="third")))
        assert (await refusal(missing))[0] == grpc.StatusCode.NOT_FOUND

    play(database_url, redis_url, tmp_path, scenario)


def test_delete_when_active_then_engines_lose_it_and_when_inactive_then_they_do_not(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        await parts.risk.CreateRiskConfiguration(create(low_risk()))
        spare = low_risk(config_id="spare", is_active=False)
        before = (await parts.risk.CreateRiskConfiguration(create(spare))).state_version

        def delete(config_id: str) -> pb.DeleteRiskConfigurationRequest:
            return pb.DeleteRiskConfigurationRequest(
                config_id=config_id, account_id="account123", note=WHY
            )

        kept = await parts.risk.DeleteRiskConfiguration(delete("spare"))
        assert kept.state_version == before
        gone = await parts.risk.DeleteRiskConfiguration(delete("low_risk"))
        await parts.published(gone.state_version)
        assert len(await published_rows(parts)) == 0

    play(database_url, redis_url, tmp_path, scenario)


def test_repository_when_asked_by_its_old_names_then_speaks_percent(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        await parts.risk.CreateRiskConfiguration(create(low_risk()))
        repository = RiskConfigurationRepository()
        async with connection(parts.pool) as database:
            (stored,) = await repository.get_all_for_account(database, "account123")
            assert await repository.get_by_id(database, "low_risk", "account123") == stored
            assert await repository.get_active(database, "account123") == stored
            assert await repository.get_by_id(database, "nope", "account123") is None
        named = repository.to_dict(stored)
        assert named["risk_per_trade_percentage"] == pytest.approx(0.5)
        assert named["max_position_size_percentage"] == 5
        assert named["symbol_configs"][0]["position_max_drawdown_percentage"] == 2
        assert named["market_regime_thresholds"] == {}
        assert not [name for name in named if "fraction" in name]

    play(database_url, redis_url, tmp_path, scenario)


DOUBLES = [
    name
    for name, field in pb.RiskConfiguration.DESCRIPTOR.fields_by_name.items()
    if field.type == field.TYPE_DOUBLE
]


def test_create_when_any_number_is_bad_then_invalid_argument_names_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        for name in DOUBLES:
            bad: list[float | None] = [float("nan"), float("inf"), -0.0001, 1e308, 1e-300]
            if name in ACCOUNT_LIMITS:
                bad.append(0.0)
            elif name not in {"max_leverage", "min_provider_score"}:
                bad.append(None)
            for value in bad:
                call = parts.risk.CreateRiskConfiguration(create(low_risk(**{name: value})))
                code, text, field = await refusal(call)
                assert code == grpc.StatusCode.INVALID_ARGUMENT, (name, value, text)
                assert field == f"configuration.{name}", (name, value, text)

    play(database_url, redis_url, tmp_path, scenario)
