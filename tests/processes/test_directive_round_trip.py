"""A drawdown of 12 percent on real processes: one trip, one directive, its outcome on record."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

import riskgate
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from tests.stack_harness import Stack, running_stack

SAMPLE: Final = Path(__file__).parents[2] / "demo" / "sample.yaml"
ACCOUNT: Final = "account123"
_COLUMNS: Final = (
    "breaker_name, account_id, action_taken, triggered_values, positions_affected, action_result,"
    " acknowledged_at IS NOT NULL"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack("--insecure-loopback") as stack:
        stack.answer("apply", "--reason", "test", "-f", str(SAMPLE))
        yield stack


def wait_for(condition: Callable[[], Any]) -> Any:
    """Wait until something is there, and return it."""
    found: list[Any] = []

    def look() -> bool:
        found[:] = [condition()]
        return bool(found[0])

    assert wait_until(look, timeout_s=60)
    return found[0]


def sync(gate: riskgate.Client, equity: float) -> None:
    position = riskgate.Position(
        symbol="BTCUSDT", side=types.SIDE_BUY, lots=0.5, average_price=60_000.0, stop_loss=58_000.0
    )
    gate.sync_account(account_id=ACCOUNT, equity=equity, positions=[position])


def events_of(stack: Stack) -> list[Any]:
    with psycopg.connect(stack.state.database_url) as connection:
        return connection.execute(
            f"SELECT {_COLUMNS} FROM riskgate.circuit_breaker_event ORDER BY event_id"  # noqa: S608
        ).fetchall()


def is_known(gate: riskgate.Client) -> bool:
    try:
        sync(gate, 1_000_000.0)
    except riskgate.NoDecisionError:
        return False
    return True


def test_a_trip_is_told_acknowledged_and_recorded_once(stack: Stack) -> None:
    with riskgate.Client.from_data_dir(stack.data_dir, deadline_s=20.0) as gate:
        wait_for(lambda: is_known(gate))
        watch = gate.watch_directives(ACCOUNT)
        sync(gate, 880_000.0)
        sync(gate, 870_000.0)  # deeper, and still the same trip
        (told,) = islice(watch, 1)
        assert told.kind == types.DIRECTIVE_KIND_CLOSE
        assert told.breaker_name == "max_drawdown_10_percent"
        assert [(each.symbol, each.lots) for each in told.positions] == [("BTCUSDT", 0.5)]

        answer = ask(gate)
        assert answer.verdict == types.VERDICT_DENY
        assert list(answer.directives) == [told]
        assert types.REASON_BREAKER_TRIPPED in answer.reasons

        done = gate.acknowledge(told, success=True, detail="closed 0.5 BTCUSDT")
        assert done.outcome.success
        assert gate.acknowledge(told, success=True) == done
        assert not ask(gate).directives
        watch.close()

    (event,) = wait_for(lambda: [each for each in events_of(stack) if each[-1]])
    name, account_id, action, values, positions, result, _ = event
    assert (name, account_id, action) == ("max_drawdown_10_percent", ACCOUNT, "close_position")
    assert (values["drawdown"], values["threshold"]) == (pytest.approx(0.12), 0.1)
    assert positions == [{"symbol": "BTCUSDT", "lots": 0.5}]
    assert result == {"success": True, "detail": "closed 0.5 BTCUSDT", "by": ""}


def ask(gate: riskgate.Client) -> riskgate.DecideResponse:
    return gate.decide(
        account_id=ACCOUNT,
        provider_id="channel_12345",
        provider_type="channel_source",
        symbol="BTCUSDT",
        side="buy",
        entry_price=60_000.0,
        stop_loss=59_000.0,
    )
