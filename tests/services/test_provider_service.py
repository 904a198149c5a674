"""Rows S0-01 to S0-12: providers, their scores from figures, and metrics of whole periods."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from riskgate.v1 import admin_pb2, state_pb2, types_pb2
from riskgate.v1 import provider_pb2 as pb
from server import feed
from server.hotpath import layout
from server.record.pool import connection
from tests.control_harness import Control, play, refusal

CHANNEL = types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE
USER = types_pb2.PROVIDER_TYPE_USER
UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED


def figures(**changes: Any) -> pb.ProviderFigures:
    """The figures of channel_12345 in seed 000."""
    values: dict[str, Any] = {
        "win_rate": 70.0,
        "max_drawdown": 12.5,
        "reward_to_risk_ratio": 2.85,
        "sl_compliance_rate": 98.0,
        "score_trend": pb.SCORE_TREND_UP,
        "total_signals": 120,
        "winning_signals": 84,
        "losing_signals": 36,
        "avg_slippage": 1.25,
        "max_slippage": 3.5,
        "avg_latency_ms": 125,
    }
    return pb.ProviderFigures(**(values | changes))


async def put(parts: Control, **values: Any) -> Any:
    provider = pb.Provider(**({"provider_id": "7", "provider_type": CHANNEL, **values}))
    return await parts.providers.PutProvider(pb.PutProviderRequest(provider=provider))


async def published_score(parts: Control, key: str) -> int:
    field = feed.state_field(state_pb2.CHANGE_KIND_PROVIDER, key)
    data: Any = await parts.redis.hget(feed.STATE_KEY, field)
    rows = state_pb2.StateChange.FromString(data).rows
    return int(np.frombuffer(rows, dtype=layout.CHANGE_PROVIDER)[0]["score_micropoints"])


def test_put_when_one_id_has_two_types_then_two_providers(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put(parts, performance_score=87.5)
        last = await put(parts, provider_type=USER, performance_score=62.3)
        await parts.published(last.state_version)
        assert await published_score(parts, "channel_source:7") == 87_500_000
        assert await published_score(parts, "user:7") == 62_300_000
        listed = await parts.providers.ListProviders(pb.ListProvidersRequest())
        assert [each.performance_score for each in listed.providers] == [87.5, 62.3]

    play(database_url, redis_url, tmp_path, scenario)


def test_put_when_only_figures_then_score_follows_from_the_formula(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        answer = await put(parts, figures=figures())
        # 0.35·70 + 0.25·100·(1 - 0.125/0.5) + 0.20·100·2.85/3 + 0.15·98 + 0.05·100
        by_hand = 24.5 + 18.75 + 19.0 + 14.7 + 5.0
        assert answer.provider.performance_score == by_hand
        assert answer.provider.figures == figures()
        again = await put(parts, figures=figures())
        assert (again.outcome, again.state_version) == (UNCHANGED, answer.state_version)
        assert again.provider.score_as_of == answer.provider.score_as_of
        worst = figures(
            win_rate=0,
            max_drawdown=80,
            reward_to_risk_ratio=0,
            sl_compliance_rate=0,
            score_trend=pb.SCORE_TREND_DOWN,
        )
        assert (await put(parts, figures=worst)).provider.performance_score == 0
        assert (await put(parts)).provider.performance_score == 50

    play(database_url, redis_url, tmp_path, scenario)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"provider_id": ""}, "provider_id"),
    ({"provider_id": "p" * 65}, "provider_id"),
    ({"provider_type": 0}, "provider_type"),
    ({"provider_type": 9}, "provider_type"),
    ({"performance_score": 100.1}, "performance_score"),
    ({"performance_score": float("nan")}, "performance_score"),
    ({"performance_score": 1e-9}, "performance_score"),
    ({"figures": figures(win_rate=100.1)}, "figures.win_rate"),
    ({"figures": figures(max_drawdown=-1)}, "figures.max_drawdown"),
    ({"figures": figures(sl_compliance_rate=None)}, "figures.sl_compliance_rate"),
    ({"figures": figures(reward_to_risk_ratio=float("inf"))}, "figures.reward_to_risk_ratio"),
    ({"figures": figures(total_signals=100)}, "figures.total_signals"),
    ({"figures": figures(max_slippage=1)}, "figures.max_slippage"),
    ({"figures": figures(score_trend=7)}, "figures.score_trend"),
]


def test_put_when_field_is_bad_then_named(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        for changes, field in BAD:
            code, text, named = await refusal(put(parts, **changes))
            assert code == grpc.StatusCode.INVALID_ARGUMENT, (changes, text)
            assert named == f"provider.{field}", (changes, text)

    play(database_url, redis_url, tmp_path, scenario)


def metric(**changes: Any) -> pb.ProviderMetric:
    values: dict[str, Any] = {
        "provider_id": "channel_12345",
        "provider_type": CHANNEL,
        "period_start": "2025-12-01",
        "period_end": "2025-12-31",
        "period_type": pb.PERIOD_TYPE_MONTHLY,
        "figures": figures(),
    }
    return pb.ProviderMetric(**(values | changes))


async def put_metrics(parts: Control, *metrics: pb.ProviderMetric) -> Any:
    request = pb.PutProviderMetricsRequest(metrics=metrics)
    return await parts.providers.PutProviderMetrics(request)


def test_put_metrics_when_newer_period_comes_then_score_moves_and_older_does_not(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        first = await put_metrics(parts, metric(performance_score=87.5))
        assert (first.written, first.scores_moved) == (1, 1)
        again = await put_metrics(parts, metric(performance_score=87.5))
        assert (again.written, again.unchanged, again.scores_moved) == (0, 1, 0)
        assert again.state_version == first.state_version
        older = metric(period_start="2025-11-01", period_end="2025-11-30", performance_score=10)
        assert (await put_metrics(parts, older)).scores_moved == 0
        # The ISO week over the year's end.
        week = metric(
            period_start="2025-12-29",
            period_end="2026-01-04",
            period_type=pb.PERIOD_TYPE_WEEKLY,
            performance_score=40,
        )
        moved = await put_metrics(parts, week)
        assert moved.scores_moved == 1
        await parts.published(moved.state_version)
        assert await published_score(parts, "channel_source:channel_12345") == 40_000_000

    play(database_url, redis_url, tmp_path, scenario)


def test_put_metrics_when_no_trend_is_stated_then_it_follows_from_the_period_before(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        unsaid = {"score_trend": pb.SCORE_TREND_UNSPECIFIED}
        months = [("2025-10-01", "2025-10-31"), ("2025-11-01", "2025-11-30")]
        months += [("2025-12-01", "2025-12-31"), ("2026-01-01", "2026-01-31")]
        # 0.35 points per percent of win rate: 1.05 up, 0.7 down, 1.05 down.
        rows = [
            metric(
                period_start=start,
                period_end=end,
                figures=figures(win_rate=rate, total_signals=100, winning_signals=60, **unsaid),
            )
            for (start, end), rate in zip(months, (70, 73, 71, 68), strict=True)
        ]
        seen = []
        for row in rows:
            await put_metrics(parts, row)
            listed = await parts.providers.ListProviders(pb.ListProvidersRequest())
            (provider,) = listed.providers
            seen.append((provider.figures.score_trend, provider.performance_score))
            assert provider.figures.win_rate == row.figures.win_rate
        # Without trend 79.45, 80.5, 79.8 and 78.75; a trend gives or takes 2.5.
        assert seen == [
            (pb.SCORE_TREND_STABLE, 79.45),
            (pb.SCORE_TREND_UP, 83.0),
            (pb.SCORE_TREND_STABLE, 79.8),
            (pb.SCORE_TREND_DOWN, 76.25),
        ]
        async with connection(parts.pool) as database:
            cursor = await database.execute(
                "SELECT performance_score_previous FROM riskgate.provider_metric "
                "ORDER BY period_start"
            )
            previous = [row["performance_score_previous"] for row in await cursor.fetchall()]
        assert previous == [None, Decimal("79.45"), Decimal(83), Decimal("79.8")]
        again = await put_metrics(parts, *rows)
        assert (again.written, again.unchanged) == (0, 4)

    play(database_url, redis_url, tmp_path, scenario)


def test_put_metrics_when_an_old_period_comes_late_then_a_stated_score_stays(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await put_metrics(parts, metric(performance_score=87.5))
        await put(parts, provider_id="channel_12345", performance_score=30)
        older = metric(period_start="2025-11-01", period_end="2025-11-30", performance_score=10)
        assert (await put_metrics(parts, older)).scores_moved == 0
        listed = await parts.providers.ListProviders(pb.ListProvidersRequest())
        assert [each.performance_score for each in listed.providers] == [30]

    play(database_url, redis_url, tmp_path, scenario)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"period_start": "2025-12-02"}, "period_end"),
        ({"period_end": "2025-12-30"}, "period_end"),
        ({"period_start": "yesterday"}, "period_start"),
        ({"period_type": 0}, "period_type"),
        ({"figures": figures(total_signals=None)}, "figures.total_signals"),
    ],
)
def test_put_metrics_when_one_row_is_bad_then_none_is_stored(
    database_url: str, redis_url: str, tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async def scenario(parts: Control) -> None:
        code, text, named = await refusal(put_metrics(parts, metric(), metric(**changes)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT, text
        assert named == f"metrics[1].{field}"
        listed = await parts.providers.ListProviders(pb.ListProvidersRequest())
        assert not listed.providers

    play(database_url, redis_url, tmp_path, scenario)
