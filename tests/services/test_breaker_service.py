"""Rows S3-12 to S3-18, S3-22, S3-23: breakers, each of the twelve repository methods, and their
RPCs.
"""

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psycopg
import pytest

from riskgate.v1 import admin_pb2, state_pb2, types_pb2
from riskgate.v1 import breaker_pb2 as pb
from server import feed
from server.errors import NotFoundError, PreconditionError
from server.hotpath import layout
from server.record.circuit_breakers import CircuitBreakerRepository
from server.record.pool import connection
from tests.control_harness import Control, play, put_account, refusal

UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED
UPDATED = admin_pb2.CHANGE_OUTCOME_UPDATED
WHY = admin_pb2.ChangeNote(reason="limits of the desk")


def sample(**changes: Any) -> pb.CircuitBreaker:
    """The sample breaker of seed 003."""
    values: dict[str, Any] = {
        "name": "max_drawdown_10_percent",
        "description": "Close position when drawdown exceeds 10%",
        "account_id": "account123",
        "condition": types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
        "action": types_pb2.BREAKER_ACTION_CLOSE,
        "parameters": pb.BreakerParameters(threshold=0.1),
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "exchanges": ["binance"],
        "enabled": True,
    }
    return pb.CircuitBreaker(**(values | changes))


async def create(parts: Control, **changes: Any) -> pb.CreateBreakerResponse:
    request = pb.CreateBreakerRequest(breaker=sample(**changes), note=WHY)
    answer: pb.CreateBreakerResponse = await parts.breakers.CreateBreaker(request)
    return answer


async def published_row(parts: Control, breaker_id: str) -> Any:
    field = feed.state_field(state_pb2.CHANGE_KIND_BREAKER, breaker_id)
    data: Any = await parts.redis.hget(feed.STATE_KEY, field)
    rows = state_pb2.StateChange.FromString(data).rows
    return np.frombuffer(rows, dtype=layout.CHANGE_BREAKER)


def test_create_when_seed_sample_then_comes_back_identical_and_reaches_redis(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        created = await create(parts)
        request = pb.GetBreakerRequest(name="max_drawdown_10_percent", account_id="account123")
        read = (await parts.breakers.GetBreaker(request)).breaker
        assert read == created.breaker
        for name in ("breaker_id", "version", "created_at", "updated_at", "over_request"):
            read.ClearField(name)
        assert read == sample()
        await parts.published(created.state_version)
        (row,) = await published_row(parts, created.breaker.breaker_id)
        assert (row["threshold"], row["symbol_count"], row["enabled"]) == (100_000, 2, 1)
        taken = parts.breakers.CreateBreaker(pb.CreateBreakerRequest(breaker=sample(), note=WHY))
        assert (await refusal(taken))[0] == grpc.StatusCode.ALREADY_EXISTS

    play(database_url, redis_url, tmp_path, scenario)


def test_switch_when_repeated_then_only_the_first_changes(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        breaker_id = (await create(parts)).breaker.breaker_id
        outcomes, versions = [], []
        for call, request in (
            (parts.breakers.EnableBreaker, pb.EnableBreakerRequest),
            (parts.breakers.DisableBreaker, pb.DisableBreakerRequest),
            (parts.breakers.DisableBreaker, pb.DisableBreakerRequest),
            (parts.breakers.EnableBreaker, pb.EnableBreakerRequest),
        ):
            note = admin_pb2.ChangeNote(actor="ann", reason="drill")
            answer = await call(request(breaker_id=breaker_id, note=note))
            outcomes.append(answer.outcome)
            versions.append(answer.state_version)
        assert outcomes == [UNCHANGED, UPDATED, UNCHANGED, UPDATED]
        assert versions == [2, 3, 3, 4]
        with psycopg.connect(database_url) as opened:
            audit = opened.execute(
                "SELECT action, actor, reason FROM riskgate.audit_log"
                " WHERE subject = 'circuit_breaker' ORDER BY audit_id"
            ).fetchall()
        assert audit[1:] == [("disable", "ann", "drill"), ("enable", "ann", "drill")]

    play(database_url, redis_url, tmp_path, scenario)


def test_update_when_unchanged_stale_or_moved_then_typed(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        await put_account(parts, "other")
        breaker_id = (await create(parts)).breaker.breaker_id

        def update(expected: int | None = None, **changes: Any) -> Any:
            breaker = sample(breaker_id=breaker_id, **changes)
            request = pb.UpdateBreakerRequest(breaker=breaker, expected_version=expected, note=WHY)
            return parts.breakers.UpdateBreaker(request)

        assert (await update()).outcome == UNCHANGED
        assert (await update(1, symbols=[])).outcome == UPDATED
        assert (await refusal(update(1)))[0] == grpc.StatusCode.ABORTED
        moved = update(account_id="other")
        assert (await refusal(moved))[0] == grpc.StatusCode.FAILED_PRECONDITION
        gone = pb.DeleteBreakerRequest(breaker_id=breaker_id, note=WHY)
        version = (await parts.breakers.DeleteBreaker(gone)).state_version
        await parts.published(version)
        assert len(await published_row(parts, breaker_id)) == 0
        assert (await refusal(update()))[0] == grpc.StatusCode.NOT_FOUND

    play(database_url, redis_url, tmp_path, scenario)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": "n" * 65}, "name"),
    ({"description": "d" * 1_025}, "description"),
    ({"account_id": ""}, "account_id"),
    ({"condition": 0}, "condition"),
    ({"condition": 99}, "condition"),
    ({"action": 99}, "action"),
    ({"parameters": pb.BreakerParameters()}, "parameters.threshold"),
    ({"parameters": pb.BreakerParameters(threshold=10)}, "parameters.threshold"),
    ({"parameters": pb.BreakerParameters(threshold=float("nan"))}, "parameters.threshold"),
    (
        {"parameters": pb.BreakerParameters(threshold=0.1, multiplier=1.1)},
        "parameters.multiplier",
    ),
    (
        {
            "condition": types_pb2.BREAKER_CONDITION_CONSECUTIVE_LOSSES,
            "parameters": pb.BreakerParameters(threshold=3),
        },
        "parameters.cooling_off_minutes",
    ),
    (
        {
            "condition": types_pb2.BREAKER_CONDITION_CONSECUTIVE_LOSSES,
            "parameters": pb.BreakerParameters(threshold=2.5, cooling_off_minutes=5),
        },
        "parameters.threshold",
    ),
    ({"symbols": ["BTCUSDT", ""]}, "symbols[1]"),
    ({"symbols": ["BTCUSDT", "BTCUSDT"]}, "symbols"),
    ({"symbols": [f"S{number}" for number in range(33)]}, "symbols"),
    ({"exchanges": ["x" * 33]}, "exchanges[0]"),
]


def test_create_when_field_is_bad_then_named(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        for changes, field in BAD:
            code, text, named = await refusal(create(parts, **changes))
            assert code == grpc.StatusCode.INVALID_ARGUMENT, (changes, text)
            assert named == f"breaker.{field}", (changes, text)

    play(database_url, redis_url, tmp_path, scenario)


def test_repository_when_every_method_is_called_then_each_does_its_part(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_account(parts)
        breaker_id = int((await create(parts)).breaker.breaker_id)
        second = int((await create(parts, name="a second", symbols=[])).breaker.breaker_id)
        repository = CircuitBreakerRepository()
        async with connection(parts.pool) as database:
            stored = await repository.get_by_id(database, breaker_id)
            assert stored is not None
            named = await repository.get_by_name(database, stored.breaker.name, "account123")
            assert named == stored
            everything = await repository.get_all_for_account(database, "account123")
            assert [each.breaker_id for each in everything] == [second, breaker_id]
            assert not (await repository.disable(database, breaker_id)).breaker.enabled
            assert (await repository.enable(database, breaker_id)).breaker.enabled
            for drawdown in (0.11, 0.12):
                await repository.log_event(
                    database,
                    breaker_id,
                    triggered_values={"drawdown": drawdown},
                    action_taken="close_position",
                    action_result={"success": True},
                    positions_affected=[{"symbol": "BTCUSDT", "exchange": "binance"}],
                )
            (newest,) = await repository.get_events(database, breaker_id, 1)
            assert repository.event_to_dict(newest)["triggered_values"] == {"drawdown": 0.12}
            assert repository.to_dict(stored)["parameters"] == {
                "threshold": stored.breaker.threshold
            }
            assert repository.to_dict(stored)["symbols"] == ["BTCUSDT", "ETHUSDT"]
            assert repository.to_dict(everything[0])["symbols"] is None
            assert await repository.delete(database, second)
            assert not await repository.delete(database, second)
            with pytest.raises(NotFoundError):
                await repository.enable(database, second)
        with pytest.raises(PreconditionError):
            async with connection(parts.pool) as database:
                await repository.log_event(
                    database, second, triggered_values={}, action_taken="block"
                )
        first = await parts.breakers.ListBreakerEvents(pb.ListBreakerEventsRequest(page_size=1))
        assert first.events[0].triggered_values["drawdown"] == 0.12
        assert first.events[0].positions_affected[0]["exchange"] == "binance"
        rest = await parts.breakers.ListBreakerEvents(
            pb.ListBreakerEventsRequest(page_size=1, page_token=first.next_page_token)
        )
        assert rest.events[0].triggered_values["drawdown"] == 0.11

    play(database_url, redis_url, tmp_path, scenario)
