"""Trips, acknowledgements and an engine's own kills become rows of the record, each once."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1 import kill_pb2, state_pb2
from server.hotpath.condition_codes import V_DRAWDOWN, V_SPREAD_PIPS
from server.hotpath.layout import SYMBOL_WORDS, words
from server.kill_rows import Target, engine_kill
from server.record.archive import Database
from tests.journal_builder import NOW_NS
from tests.recorded_journal import SECOND_NS, RecordedJournal
from tests.recorder.conftest import Record

NOW: Final = datetime.fromtimestamp(NOW_NS // SECOND_NS, UTC)
_BY: Final = "spiffe://r/trader/x"


@pytest.fixture
def breaker_id(database: Database) -> int:
    """The breaker of the record that trips."""
    database.execute(
        "INSERT INTO riskgate.account (account_id, currency, equity, equity_as_of)"
        " VALUES ('desk', 'USD', 10000, now())"
        " ON CONFLICT DO NOTHING"
    )
    database.execute("DELETE FROM riskgate.circuit_breaker")
    row = database.execute(
        "INSERT INTO riskgate.circuit_breaker (account_id, name, condition, action, threshold)"
        " VALUES ('desk', 'max_drawdown_10_percent', 'max_drawdown', 'close_position', 0.1)"
        " RETURNING breaker_id"
    ).fetchone()
    assert row is not None
    return int(row[0])


def events(database: Database, columns: str) -> list[Any]:
    query = f"SELECT {columns} FROM riskgate.circuit_breaker_event ORDER BY event_id"  # noqa: S608 - columns of a test
    return database.execute(query).fetchall()


def positions(*held: tuple[str, int]) -> dict[str, Any]:
    symbols, steps = np.zeros(8 * SYMBOL_WORDS, np.int64), np.zeros(8, np.int64)
    for place, (symbol, lots) in enumerate(held):
        symbols[place * SYMBOL_WORDS : (place + 1) * SYMBOL_WORDS] = words(symbol, SYMBOL_WORDS)
        steps[place] = lots
    return {"position_count": len(held), "position_symbols": symbols, "position_steps": steps}


def test_a_trip_when_recorded_then_says_what_tripped_it_and_what_it_touches(
    journal: RecordedJournal, record: Record, database: Database, breaker_id: int
) -> None:
    held = positions(("EURUSD", -50), ("XAUUSD", 120))
    journal.trip(1, str(breaker_id), drawdown_ppm=120_000, **held)
    record()
    assert events(
        database,
        "breaker_id, account_id, breaker_name, occurred_at, action_taken, shard, epoch,"
        " directive_id, action_result, acknowledged_at",
    ) == [
        (
            *(breaker_id, "desk", "max_drawdown_10_percent", NOW, "close_position"),
            *(0, 1, 1, None, None),
        )
    ]
    ((values, touched),) = events(database, "triggered_values, positions_affected")
    assert values == {
        "drawdown": 0.12,
        "threshold": 0.1,
        "equity": 8800.0,
        "consecutive_losses": 0,
        "state": "tripped",
    }
    assert touched == [{"symbol": "EURUSD", "lots": -0.5}, {"symbol": "XAUUSD", "lots": 1.2}]


def test_an_expression_when_it_trips_then_its_variables_are_on_record(
    journal: RecordedJournal, record: Record, database: Database, breaker_id: int
) -> None:
    names, numbers = np.zeros(8, np.int64), np.zeros(8)
    names[:2], numbers[:2] = (V_DRAWDOWN, V_SPREAD_PIPS), (0.2, math.nan)
    journal.trip(
        1, str(breaker_id), condition=7, observed=math.nan, threshold=math.nan, state=5,
        value_count=2, value_names=names, values=numbers, symbol=words("EURUSD", SYMBOL_WORDS),
    )  # fmt: skip
    record()
    ((values,),) = events(database, "triggered_values")
    assert (values["drawdown"], values["spread_pips"]) == (0.2, None)
    assert (values["symbol"], values["state"]) == ("EURUSD", "locked")


def test_an_acknowledgement_when_recorded_then_is_the_result_of_the_action(
    journal: RecordedJournal, record: Record, database: Database, breaker_id: int
) -> None:
    journal.trip(1, str(breaker_id))
    journal.trip(2, str(breaker_id))
    journal.acknowledge(2, success=True, detail="closed")
    record()
    journal.acknowledge(1, success=False, detail="the broker is away")
    record()
    assert events(database, "directive_id, action_result, acknowledged_by") == [
        (1, {"success": False, "detail": "the broker is away", "by": _BY}, _BY),
        (2, {"success": True, "detail": "closed", "by": _BY}, _BY),
    ]
    ((_,), (at,)) = events(database, "acknowledged_at")
    assert at == NOW + timedelta(seconds=2)


def test_a_breaker_that_is_gone_stops_nothing_and_its_trips_stay(
    journal: RecordedJournal, record: Record, database: Database, breaker_id: int
) -> None:
    journal.trip(1, str(breaker_id))
    record()
    database.execute("DELETE FROM riskgate.circuit_breaker")
    journal.trip(2, str(breaker_id))
    journal.trip(3, "no number")
    record()
    assert events(database, "directive_id, breaker_id, breaker_name") == [
        (number, None, "max_drawdown_10_percent") for number in (1, 2, 3)
    ]


def test_an_acknowledgement_of_a_trip_that_is_not_on_record_stops_nothing(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    journal.acknowledge(9, success=True)
    record()
    assert events(database, "1") == []


def test_recording_the_same_entries_twice_writes_each_trip_once(
    journal: RecordedJournal, record: Record, database: Database, breaker_id: int
) -> None:
    journal.trip(1, str(breaker_id))
    record()
    record()
    assert events(database, "directive_id") == [(1,)]


def test_a_kill_that_only_the_engine_heard_is_handed_to_control_once(
    journal: RecordedJournal, record: Record, database: Database
) -> None:
    reason = state_pb2.KillReason(caller=_BY, actor="kim", reason="halt", said_to="engine 0/1")
    target = Target(kill_pb2.KILL_SCOPE_ACCOUNT, 0, "desk")
    heard = engine_kill(target, kill_pb2.KILL_MODE_ALL, NOW_NS, reason)
    for version in (0, 5):  # the second came from the record
        journal.change(
            state_pb2.CHANGE_KIND_KILL, heard.rows, heard.SerializeToString(), version=version
        )
    record()
    record()
    ((change,),) = database.execute("SELECT change FROM riskgate.kill_report").fetchall()
    assert state_pb2.StateChange.FromString(change) == heard
