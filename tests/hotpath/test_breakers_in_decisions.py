"""Circuit breakers in a decision: over the request, in whose scope, what they deny and reduce."""

import math
from typing import Any

import numpy as np
import pytest

from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    NOT_SET,
    SECOND_NS,
    currency_word,
    text,
    words,
)
from server.hotpath.reasons import (
    R_BREAKER_REDUCED_SIZE,
    R_BREAKER_TRIPPED,
    R_VOLATILITY_MISSING,
    S_DENY,
    S_NOTE,
    S_PASS,
)
from tests.breaker_desk import (
    ALERT,
    ALLOW,
    BLOCK,
    CLOSED,
    DENY,
    HALF_OPEN,
    LOCKED,
    MINUTE_S,
    REDUCE_SIZE,
    TRIPPED,
    VOLATILITY,
    BreakerDesk,
    expression,
)

MINUTE_NS = MINUTE_S * SECOND_NS


@pytest.fixture
def desk() -> BreakerDesk:
    return BreakerDesk()


# --- Expressions ---


def test_an_expression_over_the_state_trips_and_says_what_it_has_read(desk: BreakerDesk) -> None:
    desk.put(**expression("drawdown > 0.05 && consecutive_losses >= 2 || drawdown > 0.2"))
    desk.report(-700.0)
    assert desk.state_of() == CLOSED
    desk.report(-1.0)
    assert desk.state_of() == TRIPPED
    (event,) = desk.events
    assert event["value_count"] == 2
    assert event["value_names"][:2].tolist() == [2, 6]
    assert event["values"][:2].tolist() == pytest.approx([0.0701, 2.0])
    assert math.isnan(event["threshold"])


def test_an_expression_that_cannot_be_judged_holds(desk: BreakerDesk) -> None:
    desk.put(**expression("leverage > 3"))
    assert desk.state_of() == CLOSED
    desk.mark(-5)
    assert desk.state_of() == TRIPPED


def test_a_request_trips_a_breaker_over_the_request(desk: BreakerDesk) -> None:
    desk.put(**expression("requested_lots > 1"))
    large = {"present": 3 | 8 | 16, "requested_lots": 1.5}
    assert desk.decide(dry_run=False, **large)["verdict"] == DENY
    (event,) = desk.events
    assert text(event["symbol"]) == "EURUSD"
    assert event["values"][0] == 1.5
    small = {"present": 3 | 8 | 16, "requested_lots": 0.1}
    assert desk.decide(dry_run=False, **small)["verdict"] == ALLOW
    assert desk.state_of() == CLOSED


def test_what_a_request_leaves_out_is_unknown_and_holds(desk: BreakerDesk) -> None:
    desk.put(**expression("requested_lots > 1"))
    assert desk.decide()["verdict"] == DENY


def test_a_breaker_over_the_request_that_cools_stays_tripped_for_the_next_one(
    desk: BreakerDesk,
) -> None:
    desk.put(
        cooling_off_ns=MINUTE_NS, half_open_ns=MINUTE_NS, **expression("volatility_index > 80")
    )
    desk.decide(dry_run=False, volatility=90.0)
    decision = desk.decide(dry_run=False)
    assert decision["verdict"] == DENY
    assert decision["breaker_closes_at_ns"][0] == desk.now_ns + MINUTE_NS
    desk.wait(MINUTE_S)
    decision = desk.decide(dry_run=False)
    assert decision["status"][R_BREAKER_REDUCED_SIZE] == S_NOTE
    assert desk.state_of() == HALF_OPEN
    desk.wait(MINUTE_S)
    desk.decide(dry_run=False)
    assert desk.state_of() == CLOSED


def test_a_request_every_second_makes_one_event_a_minute(desk: BreakerDesk) -> None:
    desk.put(lock_after_trips=3, **expression("is_buy"))
    for _ in range(119):
        desk.decide(dry_run=False, side=1)
        desk.decide(dry_run=False, side=2, stop_loss=1.102)
        desk.wait(1)
    assert desk.trips == 2
    assert desk.breaker()["trip_count"] == 2
    desk.wait(1)
    desk.decide(dry_run=False)
    assert desk.state_of() == LOCKED
    assert desk.decide(side=2, stop_loss=1.102)["verdict"] == DENY


@pytest.mark.parametrize("cooling_s", [0, 60])
@pytest.mark.parametrize("half_open_s", [0, 60])
@pytest.mark.parametrize("lock_after", [0, 2])
def test_a_dry_run_finds_what_a_decision_would_and_changes_nothing(
    cooling_s: int, half_open_s: int, lock_after: int
) -> None:
    desk = BreakerDesk()
    desk.put(
        cooling_off_ns=cooling_s * SECOND_NS,
        half_open_ns=half_open_s * SECOND_NS,
        lock_after_trips=lock_after,
        action=REDUCE_SIZE,
        **expression("volatility_index > 80"),
    )
    chance = np.random.default_rng(14)
    for _ in range(60):
        volatility = float(chance.choice([20.0, 90.0]))
        before = desk.breaker(), desk.trips
        dry = desk.decide(volatility=volatility)
        after = desk.breaker(), desk.trips
        for column in set(before[0].dtype.names) - {"judged_state", "next_open"}:
            assert np.array_equal(before[0][column], after[0][column], equal_nan=True)
        assert before[1] == after[1]
        wet = desk.decide(volatility=volatility, dry_run=False)
        for column in ("breaker_count", "breaker_state", "breaker_tripped_at_ns"):
            assert dry[column].tolist() == wet[column].tolist()
        assert dry["breaker_closes_at_ns"].tolist() == wet["breaker_closes_at_ns"].tolist()
        assert dry["risk_money_micros"] == wet["risk_money_micros"]
        assert dry["verdict"] == wet["verdict"]
        desk.wait(int(chance.integers(1, 40)))


def test_volatility_is_judged_in_the_decision(desk: BreakerDesk) -> None:
    desk.put(condition=VOLATILITY, threshold=80_000_000, over_request=1)
    assert desk.decide(volatility=80.0, dry_run=False)["verdict"] == ALLOW
    assert desk.decide(volatility=80.1, dry_run=False)["verdict"] == DENY
    (event,) = desk.events
    assert (event["threshold"], event["observed"]) == (80.0, 80.1)
    missing = desk.decide(volatility=None)
    assert missing["status"][R_VOLATILITY_MISSING] == S_DENY
    assert missing["status"][R_BREAKER_TRIPPED] == S_PASS


# --- In a decision ---


def test_reduced_sizes_multiply_first_over_the_state_then_over_the_request(
    desk: BreakerDesk,
) -> None:
    whole = int(desk.decide()["risk_money_micros"])
    wanted: dict[str, Any] = {"action": REDUCE_SIZE}
    desk.put("r", multiplier_ppm=333_333, **wanted, **expression("is_buy"))
    desk.put("s", multiplier_ppm=700_001, **wanted, **expression("drawdown < 1"))
    desk.put("t", multiplier_ppm=900_007, **wanted, **expression("equity > 1"))
    decision = desk.decide()
    money = whole
    for ppm in (700_001, 900_007, 333_333):
        money = money * ppm // 1_000_000
    assert decision["risk_money_micros"] == money
    names = [desk.engine.state.breakers.rows[row]["name"] for row in decision["breaker_row"][:3]]
    assert [text(name) for name in names] == ["s", "t", "r"]


def test_only_eight_breakers_are_listed_and_all_act(desk: BreakerDesk) -> None:
    for number in range(9):
        desk.put_drawdown(0.1, f"b{number}", action=ALERT if number < 8 else BLOCK)
    desk.mark(8_000)
    decision = desk.decide()
    assert decision["breaker_count"] == 8
    assert decision["verdict"] == DENY


@pytest.mark.parametrize(
    ("columns", "asked", "verdict"),
    [
        ({"symbol_count": 1, "symbols": words("EURUSD", 4)}, {}, DENY),
        ({"symbol_count": 1, "symbols": words("GBPUSD", 4)}, {}, ALLOW),
        ({"exchange_count": 1, "exchanges": words("LMAX", 4)}, {}, DENY),
        ({"provider_count": 1, "providers": [*words("channel_12345"), 1]}, {}, DENY),
        ({"provider_count": 1, "providers": [*words("channel_12345"), 2]}, {}, ALLOW),
        ({"provider_count": 1, "providers": [*words("other"), 1]}, {}, ALLOW),
        ({"strategy_count": 2, "strategies": ["s1", "s2"]}, {}, DENY),
        ({"strategy_count": 2, "strategies": ["s1", "s2"]}, {"strategy_id": words("s2")}, DENY),
        ({"strategy_count": 2, "strategies": ["s1", "s2"]}, {"strategy_id": words("s3")}, ALLOW),
    ],
)
@pytest.mark.parametrize("source", ["drawdown > 0.1", "is_buy"])
def test_a_breaker_acts_in_its_scope_only(
    desk: BreakerDesk,
    columns: dict[str, Any],
    asked: dict[str, Any],
    verdict: int,
    source: str,
) -> None:
    desk.put(**columns, **expression(source))
    desk.mark(8_800)
    assert desk.decide(**asked)["verdict"] == verdict


def test_an_alert_denies_nothing(desk: BreakerDesk) -> None:
    desk.put_drawdown(action=ALERT)
    desk.mark(8_800)
    decision = desk.decide()
    assert decision["verdict"] == ALLOW
    assert decision["breaker_state"][0] == TRIPPED


def test_breakers_that_are_closed_are_in_no_chain_of_a_decision(desk: BreakerDesk) -> None:
    for number in range(6):
        source = "drawdown > 0.1" if number % 2 else "requested_lots > 9"
        desk.put(f"b{number}", **expression(source))
    rows = desk.engine.state.breakers.rows
    assert desk.account["first_active"] == 0
    chain, row = [], int(desk.account["first_judged"])
    while row:
        chain.append(row)
        row = int(rows[row]["next_judged"])
    assert chain == [1, 3, 5]
    desk.mark(8_800)
    assert int(desk.account["first_active"]) == 2
    assert [int(rows[row]["next_active"]) for row in (2, 4, 6)] == [4, 6, 0]


def test_a_breaker_that_moves_to_another_account_leaves_the_first(desk: BreakerDesk) -> None:
    desk.put_drawdown()
    desk.mark(8_800)
    assert desk.account["first_active"] != 0
    other = desk.engine.state.accounts.rows
    desk.engine.apply_rows(2, 1, _another_account(desk), deleted=False, reading_ns=desk.now_ns)
    desk.put_drawdown(account_id=words("B"))
    assert other[1]["first_active"] == 0
    assert desk.decide()["verdict"] == ALLOW
    assert desk.state_of() == CLOSED


def _another_account(desk: BreakerDesk) -> Any:
    row = np.zeros(1, CHANGE_ACCOUNT)
    row["account_id"], row["timezone"] = words("B"), words("Etc/UTC", 4)
    row["currency"] = currency_word("USD")
    row["equity_micros"], row["equity_at_ns"] = 10**9, desk.now_ns
    row["equity_max_age_ns"], row["reservation_ttl_ns"] = NOT_SET, SECOND_NS
    row["trading_state"] = 1
    return row
