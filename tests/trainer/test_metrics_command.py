"""`riskgate data metrics --push`: scores of providers follow from imported trades."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from riskgate.v1 import state_pb2
from server import feed
from server.commands.get import get
from server.hotpath import layout
from tests.control_harness import Control, play
from trainer.cli import data
from trainer.metrics import ProviderMetric, provider_metrics
from trainer.source import open_folder, read_stop_fills, read_trades

run = CliRunner().invoke
records = typer.Typer()
records.command()(get)


async def answer(app: typer.Typer, *words: str) -> Any:
    """Return what a command prints, run beside the control plane's event loop."""
    done = await asyncio.to_thread(run, app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


async def published_score(parts: Control, key: str) -> int:
    field = feed.state_field(state_pb2.CHANGE_KIND_PROVIDER, key)
    entry: Any = await parts.redis.hget(feed.STATE_KEY, field)
    rows = state_pb2.StateChange.FromString(entry).rows
    return int(np.frombuffer(rows, dtype=layout.CHANGE_PROVIDER)[0]["score_micropoints"])


def find_newest(metrics: list[ProviderMetric], provider_id: str) -> ProviderMetric:
    """Return the metric with all rates that ends last, the longest of those that end together."""
    own = [
        row
        for row in metrics
        if row.provider_id == provider_id
        and row.period_type != "overall"
        and row.sl_compliance_fraction is not None
    ]
    return max(own, key=lambda row: (row.period_end, -row.period_start.toordinal()))


def test_metrics_when_pushed_from_imported_trades_then_scores_reach_the_engines_feed(
    database_url: str, redis_url: str, tmp_path: Path, market_dir: Path
) -> None:
    where = ["--data-dir", str(tmp_path)]

    async def scenario(parts: Control) -> None:
        state = {
            "decision_address": "127.0.0.1:1",
            "control_address": parts.address,
            "database_url": database_url,
        }
        (tmp_path / "state.json").write_text(json.dumps(state))
        await answer(data, "import", str(market_dir), *where)
        pushed = await answer(data, "metrics", "--push", *where)
        assert pushed["written"] > 0
        assert pushed["scores_moved"] > 0
        await parts.published(pushed["state_version"])

        folder = open_folder(market_dir)
        metrics = provider_metrics(read_trades(folder), read_stop_fills(folder))
        shown = await answer(records, "providers", *where)
        assert {each["provider_id"] for each in shown} == {row.provider_id for row in metrics}
        for each in shown:
            newest = find_newest(metrics, each["provider_id"])
            assert newest.win_rate_fraction is not None
            assert each["figures"]["total_signals"] == newest.total_signals
            assert each["figures"]["win_rate"] == pytest.approx(
                100 * newest.win_rate_fraction, abs=1e-4
            )
            key = f"channel_source:{each['provider_id']}"
            assert await published_score(parts, key) == round(each["performance_score"] * 1e6)
        assert len({each["performance_score"] for each in shown}) > 1

        again = await answer(data, "metrics", "--push", *where)
        assert (again["written"], again["unchanged"]) == (0, pushed["written"])

    play(database_url, redis_url, tmp_path, scenario)


def test_metrics_when_no_stack_runs_then_push_names_the_mend(
    tmp_path: Path, market_dir: Path
) -> None:
    done = run(
        data, ["metrics", "--push", "--data", str(market_dir), "--data-dir", str(tmp_path / "none")]
    )
    assert done.exit_code == 1
    assert "riskgate serve" in " ".join(done.stderr.split())
