"""Circuit breakers as sentences: tripping, cooling, half open, locked, reset."""

import pytest

from server.hotpath.layout import (
    SECOND_NS,
)
from server.hotpath.reasons import (
    R_BREAKER_REDUCED_SIZE,
    R_BREAKER_TRIPPED,
    S_DENY,
    S_NOTE,
    S_PASS,
)
from tests.breaker_desk import (
    ALERT,
    ALLOW,
    CLOSE,
    CLOSED,
    CONSECUTIVE_LOSSES,
    COOLING,
    DENY,
    HALF_OPEN,
    LOCKED,
    MINUTE_S,
    TRIPPED,
    BreakerDesk,
    expression,
)

MINUTE_NS = MINUTE_S * SECOND_NS


@pytest.fixture
def desk() -> BreakerDesk:
    return BreakerDesk()


# --- Over the state ---


def test_a_drawdown_of_twelve_percent_trips_a_limit_of_ten_percent_once(desk: BreakerDesk) -> None:
    desk.put_drawdown(0.10, action=CLOSE)
    desk.mark(8_800)
    assert desk.state_of() == TRIPPED
    for equity in (8_700, 8_600, 8_790):
        desk.mark(equity)
    assert desk.trips == 1
    (event,) = desk.events
    assert (event["threshold"], event["observed"]) == (0.10, 0.12)
    assert (event["action"], event["state"], event["drawdown_ppm"]) == (CLOSE, TRIPPED, 120_000)
    decision = desk.decide()
    assert decision["verdict"] == DENY
    assert decision["status"][R_BREAKER_TRIPPED] == S_DENY
    assert decision["breaker_count"] == 1
    assert decision["breaker_state"][0] == TRIPPED


def test_exactly_ten_percent_does_not_trip(desk: BreakerDesk) -> None:
    desk.put_drawdown(0.10)
    desk.mark(9_000)
    assert desk.state_of() == CLOSED
    assert desk.decide()["status"][R_BREAKER_TRIPPED] == S_PASS


def test_a_breaker_closes_when_its_condition_no_longer_holds(desk: BreakerDesk) -> None:
    desk.put_drawdown()
    desk.mark(8_800)
    desk.mark(9_100)
    row = desk.breaker()
    assert (row["state"], row["tripped_at_ns"], row["closes_at_ns"]) == (CLOSED, 0, 0)
    assert desk.decide()["verdict"] == ALLOW


def test_a_breaker_that_trips_again_makes_another_event(desk: BreakerDesk) -> None:
    desk.put_drawdown()
    for equity in (8_800, 9_100, 8_900, 9_200, 8_000):
        desk.mark(equity)
    assert desk.trips == 3
    assert desk.breaker()["trip_count"] == 3


def test_a_breaker_with_a_cool_off_cools_before_it_closes(desk: BreakerDesk) -> None:
    desk.put_drawdown(cooling_off_ns=10 * MINUTE_NS)
    desk.mark(8_800)
    tripped_at = desk.now_ns
    desk.wait(60)
    desk.mark(9_100)
    row = desk.breaker()
    assert (row["state"], row["tripped_at_ns"]) == (COOLING, tripped_at)
    assert row["closes_at_ns"] == tripped_at + 10 * MINUTE_NS
    assert desk.account["breaker_due_ns"] == row["closes_at_ns"]
    assert desk.decide()["verdict"] == DENY
    desk.wait(10 * MINUTE_S)
    assert desk.decide()["verdict"] == ALLOW
    assert desk.state_of() == CLOSED
    assert desk.account["breaker_due_ns"] == 0


def test_a_cooling_breaker_whose_condition_holds_again_is_tripped_by_the_same_trip(
    desk: BreakerDesk,
) -> None:
    desk.put_drawdown(cooling_off_ns=10 * MINUTE_NS)
    desk.mark(8_800)
    tripped_at = desk.now_ns
    desk.mark(9_100)
    desk.mark(8_900)
    row = desk.breaker()
    assert (row["state"], row["tripped_at_ns"], row["closes_at_ns"]) == (TRIPPED, tripped_at, 0)
    assert desk.trips == 1


def test_a_cool_off_that_is_over_when_the_condition_ends_is_not_waited_for(
    desk: BreakerDesk,
) -> None:
    desk.put_drawdown(cooling_off_ns=10 * MINUTE_NS)
    desk.mark(8_800)
    desk.wait(11 * MINUTE_S)
    desk.mark(9_100)
    assert desk.state_of() == CLOSED


def test_a_half_open_breaker_lets_half_through_and_then_closes(desk: BreakerDesk) -> None:
    desk.put_drawdown(half_open_ns=5 * MINUTE_NS)
    whole = desk.decide()["lot_steps"]
    desk.mark(8_800)
    desk.mark(10_000)
    assert desk.state_of() == HALF_OPEN
    decision = desk.decide()
    assert decision["status"][R_BREAKER_REDUCED_SIZE] == S_NOTE
    assert decision["status"][R_BREAKER_TRIPPED] == S_PASS
    assert decision["lot_steps"] == whole // 2
    assert decision["breaker_state"][0] == HALF_OPEN
    desk.wait(5 * MINUTE_S)
    assert desk.decide()["lot_steps"] == whole
    assert desk.state_of() == CLOSED


def test_a_half_open_breaker_that_only_alerts_reduces_nothing(desk: BreakerDesk) -> None:
    desk.put_drawdown(half_open_ns=5 * MINUTE_NS, action=ALERT)
    desk.mark(8_800)
    desk.mark(10_000)
    assert desk.state_of() == HALF_OPEN
    assert desk.decide()["status"][R_BREAKER_REDUCED_SIZE] != S_NOTE


def test_a_half_open_breaker_trips_anew(desk: BreakerDesk) -> None:
    desk.put_drawdown(half_open_ns=5 * MINUTE_NS)
    for equity in (8_800, 9_100, 8_900):
        desk.mark(equity)
    assert desk.state_of() == TRIPPED
    assert desk.trips == 2


def test_cooling_leads_to_half_open_and_half_open_to_closed(desk: BreakerDesk) -> None:
    desk.put_drawdown(cooling_off_ns=10 * MINUTE_NS, half_open_ns=5 * MINUTE_NS)
    desk.mark(8_800)
    desk.mark(9_100)
    seen = []
    for _ in range(20):
        desk.wait(MINUTE_S)
        desk.decide()
        seen.append(desk.state_of())
    assert seen == [COOLING] * 9 + [HALF_OPEN] * 5 + [CLOSED] * 6


def test_the_third_trip_locks_until_a_person_resets(desk: BreakerDesk) -> None:
    desk.put_drawdown(lock_after_trips=3, cooling_off_ns=MINUTE_NS)
    for equity in (8_800, 9_100):
        desk.mark(equity)
        desk.wait(2 * MINUTE_S)
    desk.mark(8_800)
    desk.wait(2 * MINUTE_S)
    desk.mark(9_100)
    assert desk.state_of() == CLOSED
    desk.mark(8_800)
    assert desk.state_of() == LOCKED
    assert [event["state"] for event in desk.events] == [TRIPPED, TRIPPED, LOCKED]
    desk.wait(60 * MINUTE_S)
    desk.mark(12_000)
    assert desk.state_of() == LOCKED
    assert desk.decide()["verdict"] == DENY
    desk.reset()
    row = desk.breaker()
    assert (row["state"], row["trip_count"]) == (CLOSED, 0)
    assert desk.decide()["verdict"] == ALLOW


def test_a_reset_breaker_whose_condition_still_holds_trips_at_once(desk: BreakerDesk) -> None:
    desk.put_drawdown()
    desk.mark(8_800)
    desk.wait(1)
    desk.reset()
    assert desk.state_of() == TRIPPED
    assert desk.trips == 2
    desk.reset()  # the same moment is no newer one
    assert desk.trips == 2


def test_a_disabled_breaker_closes_and_starts_to_count_anew(desk: BreakerDesk) -> None:
    desk.put_drawdown(lock_after_trips=1)
    desk.mark(8_800)
    assert desk.state_of() == LOCKED
    desk.put_drawdown(lock_after_trips=2, enabled=False)
    assert desk.state_of() == CLOSED
    assert desk.decide()["verdict"] == ALLOW
    desk.put_drawdown(lock_after_trips=2)
    row = desk.breaker()
    assert (row["state"], row["trip_count"]) == (TRIPPED, 1)


def test_another_condition_closes_a_breaker_and_another_threshold_does_not(
    desk: BreakerDesk,
) -> None:
    desk.put_drawdown(0.10, lock_after_trips=1)
    desk.mark(8_800)
    desk.put_drawdown(0.20, lock_after_trips=1)
    assert desk.state_of() == LOCKED
    desk.put("b", condition=2, threshold=500_000)
    row = desk.breaker()
    assert (row["state"], row["trip_count"]) == (CLOSED, 0)


@pytest.mark.parametrize(
    "changed",
    ["drawdown > 0.12", "drawdown > 0.10 || leverage > 5", "drawdown > 0.1 && hour < 24"],
)
def test_another_expression_closes_a_breaker(desk: BreakerDesk, changed: str) -> None:
    desk.put(lock_after_trips=1, **expression("drawdown > 0.10"))
    desk.mark(8_850)
    assert desk.state_of() == LOCKED
    desk.put(lock_after_trips=1, **expression("drawdown > 0.10"))
    assert desk.state_of() == LOCKED
    desk.put(lock_after_trips=2, **expression(changed))
    assert desk.breaker()["trip_count"] <= 1
    assert desk.state_of() != LOCKED


def test_a_deleted_breaker_acts_no_more(desk: BreakerDesk) -> None:
    desk.put_drawdown()
    desk.put_drawdown(0.2, "other")
    desk.mark(7_000)
    desk.delete()
    desk.mark(6_900)
    assert desk.state_of() == CLOSED
    decision = desk.decide()
    assert decision["breaker_count"] == 1
    desk.delete("other")
    assert desk.decide()["verdict"] == ALLOW


def test_losses_in_a_row_trip_until_the_cool_off_ends_which_ends_the_count(
    desk: BreakerDesk,
) -> None:
    desk.put(condition=CONSECUTIVE_LOSSES, threshold=3, cooling_off_ns=10 * MINUTE_NS)
    for _ in range(3):
        desk.report(-1.0)
    row = desk.breaker()
    assert (row["state"], row["closes_at_ns"]) == (TRIPPED, desk.now_ns + 10 * MINUTE_NS)
    assert (desk.events[0]["threshold"], desk.events[0]["observed"]) == (3.0, 3.0)
    desk.wait(10 * MINUTE_S - 1)
    assert desk.decide()["verdict"] == DENY
    desk.wait(1)
    assert desk.decide()["verdict"] == ALLOW
    assert desk.account["consecutive_losses"] == 0


def test_a_win_ends_losses_in_a_row_by_way_of_half_open(desk: BreakerDesk) -> None:
    desk.put(condition=CONSECUTIVE_LOSSES, threshold=2, half_open_ns=MINUTE_NS)
    desk.report(-1.0)
    desk.report(-1.0)
    assert desk.state_of() == TRIPPED
    desk.report(0.0)
    assert desk.state_of() == HALF_OPEN
    desk.report(5.0)
    assert desk.state_of() == HALF_OPEN
    desk.wait(MINUTE_S)
    desk.decide()
    assert desk.state_of() == CLOSED


def test_locked_by_losses_in_a_row_stays_locked_through_time_and_wins(desk: BreakerDesk) -> None:
    desk.put(
        condition=CONSECUTIVE_LOSSES, threshold=1, cooling_off_ns=MINUTE_NS, lock_after_trips=1
    )
    desk.report(-1.0)
    row = desk.breaker()
    assert (row["state"], row["closes_at_ns"]) == (LOCKED, 0)
    desk.report(5.0)
    desk.wait(10 * MINUTE_S)
    assert desk.decide()["verdict"] == DENY
    assert desk.state_of() == LOCKED
