"""One event per trip: numbered, kept until acknowledged, overwritten when the ring is full."""

import math

import numpy as np
import pytest

from server.hotpath.events import (
    acknowledge_event_nb,
    event_row_nb,
    first_event_nb,
    make_event_nb,
    next_event_nb,
    same_event_nb,
)
from server.hotpath.layout import text, words
from server.hotpath.memory import Capacity, State, new_state
from server.hotpath.rows import EVENT_POSITIONS_MAX

SMALL = {**dict.fromkeys(Capacity._fields, 8), "answer_bytes": 64, "positions": 32, "events": 4}
NOW_NS = 1_770_000_000 * 10**9


@pytest.fixture
def state() -> State:
    """Two accounts with a drawdown breaker each: rows 1 and 2 of both tables."""
    made = new_state(Capacity(**SMALL))
    for row, name in ((1, "A"), (2, "B")):
        account = made.accounts.rows[row]
        account["account_id"] = words(name)
        account["equity_micros"], account["peak_micros"] = 88_000_000, 100_000_000
        account["consecutive_losses"] = 3
        breaker = made.breakers.rows[row]
        breaker["breaker_id"], breaker["name"] = words(f"id-{name}"), words("deep fall")
        breaker["account_row"], breaker["condition"], breaker["action"] = row, 1, 4
        breaker["threshold"], breaker["state"] = 100_000, 2
    made.engine["sequence"] = 41
    return made


def _trip(state: State, breaker_row: int = 1, at_ns: int = NOW_NS) -> int:
    return int(make_event_nb(state.memory[0], breaker_row, at_ns, False))


def _chain(state: State, account_row: int) -> list[int]:
    found, row = [], first_event_nb(state.memory[0], account_row)
    while row:
        found.append(int(state.events[row]["event_id"]))
        row = next_event_nb(state.memory[0], row)
    return found


def _acknowledge(state: State, event_id: int, detail: bytes = b"") -> bool:
    place = np.frombuffer(detail or b"\0", np.uint8)
    return bool(
        acknowledge_event_nb(
            state.memory[0], event_id, True, place.ctypes.data, len(detail), NOW_NS + 1
        )
    )


def test_an_event_says_who_tripped_by_how_much_and_when(state: State) -> None:
    event = state.events[event_row_nb(state.memory[0], _trip(state))]
    assert (event["event_id"], event["at_ns"], event["sequence"]) == (1, NOW_NS, 42)
    assert text(event["breaker_id"]) == "id-A"
    assert text(event["breaker_name"]) == "deep fall"
    assert text(event["account_id"]) == "A"
    assert (event["condition"], event["action"], event["state"]) == (1, 4, 2)
    assert (event["threshold"], event["observed"]) == (0.10, 0.12)
    assert (event["equity_micros"], event["drawdown_ppm"]) == (88_000_000, 120_000)
    assert event["consecutive_losses"] == 3
    assert state.breakers.rows[1]["event_at_ns"] == NOW_NS


def test_without_a_peak_nothing_can_be_observed(state: State) -> None:
    state.accounts.rows[1]["peak_micros"] = 0
    event = state.events[event_row_nb(state.memory[0], _trip(state))]
    assert math.isnan(event["observed"])
    assert event["drawdown_ppm"] == -1


def test_an_event_lists_the_net_positions_in_scope_and_counts_all_of_them(state: State) -> None:
    rows = state.positions.rows
    for number in range(1, 13):
        instrument = state.instruments.rows[number % 7 + 1]
        instrument["symbol"] = words(f"S{number % 7 + 1}", 4)
        instrument["lot_mantissa"], instrument["lot_scale"] = 1, 100
        rows[number]["instrument_row"] = number % 7 + 1
        rows[number]["net_steps"] = -number
        rows[number]["next_position"] = number + 1 if number < 12 else 0
    rows[2]["position_id"] = words("own")  # no net position
    rows[3]["net_steps"] = 0
    state.accounts.rows[1]["first_position"] = 1
    event = state.events[event_row_nb(state.memory[0], _trip(state))]
    assert event["position_count"] == 10
    assert event["position_steps"].tolist() == [-1, -4, -5, -6, -7, -8, -9, -10]
    assert text(event["position_symbols"][:4]) == "S2"
    assert len(event["position_steps"]) == EVENT_POSITIONS_MAX
    breaker = state.breakers.rows[1]
    breaker["symbol_count"] = 1
    breaker["symbols"][:4] = words("S5", 4)
    event = state.events[event_row_nb(state.memory[0], _trip(state))]
    assert event["position_steps"][: event["position_count"]].tolist() == [-4, -11]


def test_a_request_that_trips_a_breaker_is_named_by_its_symbol(state: State) -> None:
    state.request["symbol"] = words("EURUSD", 4)
    number = make_event_nb(state.memory[0], 1, NOW_NS, True)
    assert text(state.events[event_row_nb(state.memory[0], number)]["symbol"]) == "EURUSD"
    assert text(state.events[event_row_nb(state.memory[0], _trip(state))]["symbol"]) == ""


def test_what_an_expression_has_read_is_listed_once_each(state: State) -> None:
    breaker = state.breakers.rows[1]
    breaker["condition"], breaker["program_length"] = 7, 5
    breaker["program"][:5] = [1 | 2 << 8, 2, 1 | 6 << 8, 1 | 2 << 8, 10]
    state.memory["variables"][0][[2, 6]] = [0.12, 3.0]
    event = state.events[event_row_nb(state.memory[0], _trip(state))]
    assert event["value_count"] == 2
    assert event["value_names"][:2].tolist() == [2, 6]
    assert event["values"][:2].tolist() == [0.12, 3.0]
    assert math.isnan(event["threshold"])
    assert math.isnan(event["observed"])


def test_unacknowledged_events_of_an_account_stand_newest_first(state: State) -> None:
    for breaker_row in (1, 2, 1):
        _trip(state, breaker_row)
    assert _chain(state, 1) == [3, 1]
    assert _chain(state, 2) == [2]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_acknowledged_event_leaves_the_chain_and_stays_known(state: State, number: int) -> None:
    for _ in range(3):
        _trip(state)
    assert _acknowledge(state, number, "closed 2 of 2, très bien".encode())
    assert _chain(state, 1) == [other for other in (3, 2, 1) if other != number]
    event = state.events[event_row_nb(state.memory[0], number)]
    assert (event["acknowledged_at_ns"], event["succeeded"]) == (NOW_NS + 1, 1)
    assert text(event["detail"]) == "closed 2 of 2, très bien"
    assert not _acknowledge(state, number)


def test_a_long_detail_is_cut(state: State) -> None:
    assert _acknowledge(state, _trip(state), b"x" * 300)
    event = state.events[1]
    assert text(event["detail"]) == "x" * 256
    assert event["next_of_account"] == 0


@pytest.mark.parametrize("number", [0, -1, 2, 2**62])
def test_an_event_that_was_never_made_cannot_be_acknowledged(state: State, number: int) -> None:
    _trip(state)
    assert not _acknowledge(state, number)
    assert _chain(state, 1) == [1]


def test_a_full_ring_overwrites_the_oldest_which_leaves_its_chain(state: State) -> None:
    for breaker_row in (1, 2, 1, 2, 1):
        _trip(state, breaker_row)
    assert event_row_nb(state.memory[0], 1) == 0
    assert _chain(state, 1) == [5, 3]
    assert _chain(state, 2) == [4, 2]
    assert not _acknowledge(state, 1)
    assert _acknowledge(state, 3)
    assert _chain(state, 1) == [5]
    for _ in range(4):
        _trip(state, 2)
    assert _chain(state, 1) == []
    assert _chain(state, 2) == [9, 8, 7, 6]


def test_chains_agree_with_lists_through_many_events(state: State) -> None:
    chance = np.random.default_rng(614)
    made: dict[int, int] = {}
    for _ in range(2_000):
        if chance.random() < 0.6:
            breaker_row = int(chance.integers(1, 3))
            made[_trip(state, breaker_row)] = breaker_row
        elif made:
            number = int(chance.choice(list(made)))
            assert _acknowledge(state, number)
            del made[number]
        newest = int(state.engine[0]["event_count"])
        made = {number: row for number, row in made.items() if number > newest - 4}
        for row in (1, 2):
            assert _chain(state, row) == sorted((n for n in made if made[n] == row), reverse=True)


def test_what_was_kept_of_an_event_is_compared_without_what_changes_later(state: State) -> None:
    kept = state.events[_trip(state)].tobytes()
    place = np.frombuffer(kept, np.uint8)
    _acknowledge(state, 1)
    assert same_event_nb(state.memory[0], 1, place.ctypes.data)
    assert not same_event_nb(state.memory[0], 2, place.ctypes.data)
    state.events[1]["observed"] = 0.13
    assert not same_event_nb(state.memory[0], 1, place.ctypes.data)
