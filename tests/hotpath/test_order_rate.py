"""Message rate, repeated execution and duplicates by content, with numbers worked by hand."""

from typing import Any, Final

import pytest

from server.hotpath.layout import SECOND_NS
from server.hotpath.reasons import (
    R_CONTENTS_FULL,
    R_DUPLICATE_ORDER,
    R_MESSAGE_RATE,
    R_REPEATED_EXECUTION,
    R_STRATEGIES_FULL,
    R_STRATEGY_REQUIRED,
    S_ABSENT,
    S_NOT_APPLICABLE,
    S_PASS,
)
from tests.control_desk import (
    ALLOW,
    DENY,
    FILL,
    SELL,
    ControlDesk,
    denials,
    numbers,
)
from tests.desk import NOW_NS, SMALL

FLOW = (R_MESSAGE_RATE, R_STRATEGY_REQUIRED, R_STRATEGIES_FULL, R_REPEATED_EXECUTION,
        R_DUPLICATE_ORDER, R_CONTENTS_FULL)  # fmt: skip
# All of them at once, so wide that they let a few orders through.
EVERY: Final[dict[str, Any]] = {
    "message_limit": 100,
    "message_window_ns": 100 * SECOND_NS,
    "repeat_limit": 10,
    "repeat_window_ns": 60 * SECOND_NS,
    "duplicate_window_ns": 10 * SECOND_NS,
    "max_strategy_notional_micros": 10**15,
}


def counts(desk: ControlDesk) -> dict[str, Any]:
    """Return all that an order leaves behind, but the numbers of the engine's events."""
    state = desk.engine.state
    engine = state.engine[0]
    tables = (state.accounts, state.strategies, state.contents, state.reservations)
    return {
        "rows": [table.rows.tobytes() for table in tables],
        "indexes": [table.cells.tobytes() for table in tables],
        "ring": (int(engine["content_oldest"]), int(engine["content_count"])),
    }


def test_a_limit_of_zero_is_none() -> None:
    desk = ControlDesk()
    for _ in range(50):
        decision = desk.order()
        assert decision["verdict"] == ALLOW
    assert [decision["status"][check] for check in FLOW] == [S_NOT_APPLICABLE] * 6


def test_a_dry_run_counts_nothing_and_a_denial_neither() -> None:
    desk = ControlDesk(**EVERY)
    desk.order(strategy_id="grid")
    before = counts(desk)
    assert desk.order(0.2, strategy_id="trend", dry_run=True)["verdict"] == ALLOW
    assert counts(desk) == before
    assert desk.order(strategy_id="grid")["verdict"] == DENY
    assert counts(desk) == before


# --- Message rate ---


# 3 in 3 s: each takes 1 s to be forgotten.
def test_so_many_messages_may_be_sent_at_once_and_then_one_per_interval() -> None:
    desk = ControlDesk(message_limit=3, message_window_ns=3 * SECOND_NS)
    for sent in range(3):
        decision = desk.order()
        assert (decision["verdict"], numbers(decision, R_MESSAGE_RATE)) == (ALLOW, (3, sent))
    decision = desk.order()
    assert (decision["verdict"], denials(decision)) == (DENY, {R_MESSAGE_RATE})
    assert numbers(decision, R_MESSAGE_RATE) == (3, 3)
    assert decision["binding"] == R_MESSAGE_RATE + 1
    assert decision["largest_passing_lots"] == 0.0
    desk.pass_time(ns=SECOND_NS - 1)
    assert denials(desk.order()) == {R_MESSAGE_RATE}
    desk.pass_time(ns=1)
    assert numbers(desk.order(), R_MESSAGE_RATE) == (3, 2)
    assert denials(desk.order()) == {R_MESSAGE_RATE}
    desk.pass_time(seconds=3)
    assert numbers(desk.order(), R_MESSAGE_RATE) == (3, 0)


# 2·10^9 ns div 3 are 666,666,666 ns.
def test_an_interval_is_whole_nanoseconds_and_at_least_one() -> None:
    desk = ControlDesk(message_limit=3, message_window_ns=2 * SECOND_NS)
    desk.order()
    assert desk.account["message_full_at_ns"] == NOW_NS + 666_666_666
    desk = ControlDesk(message_limit=3, message_window_ns=2)
    desk.order()
    assert desk.account["message_full_at_ns"] == NOW_NS + 1


def test_exits_are_counted_and_never_stopped() -> None:
    desk = ControlDesk(message_limit=2, message_window_ns=2 * SECOND_NS)
    desk.report(desk.order(0.9), FILL, 0.9)
    for _ in range(5):
        decision = desk.order(0.1, side=SELL, exits=True)
        assert decision["verdict"] == ALLOW
    # However many exits there were, new risk waits for one interval.
    assert desk.account["message_full_at_ns"] == NOW_NS + 2 * SECOND_NS
    assert denials(desk.order()) == {R_MESSAGE_RATE}
    desk.pass_time(seconds=1)
    assert desk.order()["verdict"] == ALLOW


# --- Repeated execution ---


def test_the_last_execution_that_is_allowed_stops_the_strategy() -> None:
    desk = ControlDesk(repeat_limit=2)
    for executed in range(2):
        decision = desk.order(strategy_id="grid")
        assert numbers(decision, R_REPEATED_EXECUTION) == (2, executed)
    decision = desk.order(strategy_id="grid")
    assert denials(decision) == {R_REPEATED_EXECUTION}
    assert numbers(decision, R_REPEATED_EXECUTION) == (2, 2)
    assert decision["binding"] == R_REPEATED_EXECUTION + 1
    assert desk.strategy()["disabled_at_ns"] == NOW_NS
    assert desk.order(strategy_id="trend")["verdict"] == ALLOW
    desk.put_limits(repeat_limit=9)
    assert numbers(desk.order(strategy_id="grid"), R_REPEATED_EXECUTION) == (9, 2)
    assert denials(desk.order(strategy_id="grid")) == {R_REPEATED_EXECUTION}


def test_a_person_lets_a_strategy_go_on_and_it_counts_from_zero() -> None:
    desk = ControlDesk(repeat_limit=1)
    desk.order(strategy_id="grid")
    desk.enable_strategy("grid")
    assert numbers(desk.order(strategy_id="grid"), R_REPEATED_EXECUTION) == (1, 0)
    # The same word again, or an older one, does not help a second time.
    desk.enable_strategy("grid")
    desk.enable_strategy("grid", at_ns=NOW_NS - 1)
    assert denials(desk.order(strategy_id="grid")) == {R_REPEATED_EXECUTION}
    desk.enable_strategy("grid", at_ns=NOW_NS + 1)
    assert desk.order(strategy_id="grid")["verdict"] == ALLOW


def test_executions_count_in_their_window_and_a_stop_outlasts_it() -> None:
    desk = ControlDesk(repeat_limit=2, repeat_window_ns=60 * SECOND_NS)
    desk.order(strategy_id="grid")
    desk.pass_time(seconds=60)
    desk.order(strategy_id="grid")
    strategy = desk.strategy()
    assert (strategy["execution_count"], strategy["disabled_at_ns"]) == (1, 0)
    assert strategy["window_start_ns"] == desk.now_ns
    desk.pass_time(seconds=59)
    desk.order(strategy_id="grid")
    assert strategy["disabled_at_ns"] == desk.now_ns
    desk.pass_time(seconds=600)
    assert denials(desk.order(strategy_id="grid")) == {R_REPEATED_EXECUTION}


def test_without_a_strategy_nothing_can_be_counted() -> None:
    decision = ControlDesk(repeat_limit=2).order()
    assert denials(decision) == {R_STRATEGY_REQUIRED}
    assert decision["status"][R_STRATEGIES_FULL] == S_ABSENT
    assert decision["status"][R_REPEATED_EXECUTION] == S_ABSENT


def test_a_strategy_without_room_is_denied_and_a_known_one_is_not() -> None:
    desk = ControlDesk(capacity=SMALL._replace(strategies=2), max_strategy_notional_micros=10**15)
    for used, name in enumerate(("a", "b")):
        assert numbers(desk.order(strategy_id=name), R_STRATEGIES_FULL) == (2, used)
    decision = desk.order(strategy_id="c")
    assert denials(decision) == {R_STRATEGIES_FULL}
    assert numbers(decision, R_STRATEGIES_FULL) == (2, 2)
    assert decision["status"][R_REPEATED_EXECUTION] == S_NOT_APPLICABLE
    assert desk.order(strategy_id="a")["verdict"] == ALLOW


# --- Duplicates ---


def test_the_same_content_is_a_duplicate_until_its_window_is_over() -> None:
    desk = ControlDesk(duplicate_window_ns=10 * SECOND_NS)
    decision = desk.order(client_order_id="first")
    assert decision["status"][R_DUPLICATE_ORDER] == S_PASS
    assert numbers(decision, R_CONTENTS_FULL) == (32, 0)
    desk.pass_time(seconds=4)
    decision = desk.order(client_order_id="second")
    assert (decision["verdict"], denials(decision)) == (DENY, {R_DUPLICATE_ORDER})
    assert numbers(decision, R_DUPLICATE_ORDER) == (10 * SECOND_NS, 4 * SECOND_NS)
    assert decision["binding"] == R_DUPLICATE_ORDER + 1
    assert decision["largest_passing_lots"] == 0.0
    desk.pass_time(ns=6 * SECOND_NS - 1)
    assert denials(desk.order()) == {R_DUPLICATE_ORDER}
    # The denials above did not begin another window.
    desk.pass_time(ns=1)
    assert desk.order()["verdict"] == ALLOW
    assert numbers(desk.order(), R_DUPLICATE_ORDER) == (10 * SECOND_NS, 0)


@pytest.mark.parametrize(
    "other",
    [
        {"lots": 0.11},
        {"lots": None},
        {"side": SELL},
        {"entry": 1.10001, "stop": 1.098},
        {"stop": 1.09801},
        {"take_profit": 1.2},
        {"strategy_id": "grid"},
        {"order_type": 1},
    ],
)
def test_an_order_that_differs_in_one_thing_is_another(other: dict[str, Any]) -> None:
    desk = ControlDesk(duplicate_window_ns=10 * SECOND_NS)
    desk.order()
    assert desk.order(**other)["verdict"] == ALLOW
    assert denials(desk.order(**other)) == {R_DUPLICATE_ORDER}
    assert denials(desk.order()) == {R_DUPLICATE_ORDER}


def test_an_account_has_its_share_of_contents() -> None:
    capacity = SMALL._replace(contents=16)
    desk = ControlDesk(capacity=capacity, duplicate_window_ns=10 * SECOND_NS)
    for count in range(2):
        decision = desk.order(0.1 + count / 100)
        assert numbers(decision, R_CONTENTS_FULL) == (2, count)
    decision = desk.order(0.5)
    assert (decision["verdict"], denials(decision)) == (DENY, {R_CONTENTS_FULL})
    assert numbers(decision, R_CONTENTS_FULL) == (2, 2)
    assert decision["binding"] == R_CONTENTS_FULL + 1
    desk.pass_time(seconds=10)
    assert numbers(desk.order(0.5), R_CONTENTS_FULL) == (2, 0)


# One content of 100 s stands at the beginning; behind it 31 of 1 s come and are emptied.
def test_emptied_contents_take_room_until_they_are_the_oldest() -> None:
    desk = ControlDesk(capacity=SMALL._replace(contents=32), duplicate_window_ns=100 * SECOND_NS)
    desk.order(0.5)
    desk.put_limits(duplicate_window_ns=SECOND_NS)
    for _ in range(31):
        desk.pass_time(seconds=2)
        assert desk.order()["verdict"] == ALLOW
        assert desk.account["content_count"] == 2
    desk.pass_time(seconds=2)
    decision = desk.order()
    assert denials(decision) == {R_CONTENTS_FULL}
    assert numbers(decision, R_CONTENTS_FULL) == (4, 2)
    assert decision["status"][R_DUPLICATE_ORDER] == S_PASS
    desk.pass_time(seconds=100 - 64)
    assert numbers(desk.order(), R_CONTENTS_FULL) == (4, 0)
    engine = desk.engine.state.engine[0]
    assert (int(engine["content_oldest"]), int(engine["content_count"])) == (1, 1)


def test_contents_go_around_their_ring() -> None:
    desk = ControlDesk(capacity=SMALL._replace(contents=16), duplicate_window_ns=SECOND_NS)
    for number in range(100):
        lots = 0.1 + number % 3 / 100
        assert desk.order(lots)["verdict"] == ALLOW
        assert R_DUPLICATE_ORDER in denials(desk.order(lots))
        desk.pass_time(seconds=0.5)
    assert desk.account["content_count"] == 2


# --- Taken back ---


def test_what_is_taken_back_leaves_no_count() -> None:
    desk = ControlDesk(**EVERY)
    desk.order(strategy_id="grid")
    full_at, strategy = int(desk.account["message_full_at_ns"]), desk.strategy().copy()
    second = desk.order(0.2, strategy_id="grid")
    third = desk.order(0.3, strategy_id="grid")
    for decision in (second, third):
        desk.engine.cancel(int(decision["reservation_row"]))
    assert desk.account["message_full_at_ns"] == full_at
    assert desk.strategy() == strategy
    assert desk.account["content_count"] == 1
    for lots in (0.2, 0.3):
        assert desk.order(lots, strategy_id="grid")["verdict"] == ALLOW
        assert denials(desk.order(lots, strategy_id="grid")) == {R_DUPLICATE_ORDER}


def test_a_strategy_that_was_stopped_by_what_is_taken_back_goes_on() -> None:
    desk = ControlDesk(repeat_limit=2, repeat_window_ns=60 * SECOND_NS)
    taken = [desk.order(strategy_id="grid") for _ in range(2)]
    assert desk.strategy()["disabled_at_ns"] == NOW_NS
    for decision in taken:
        desk.engine.cancel(int(decision["reservation_row"]))
    strategy = desk.strategy()
    assert (strategy["execution_count"], strategy["disabled_at_ns"]) == (0, 0)
    # Its window begins with what is sent.
    desk.pass_time(seconds=30)
    desk.order(strategy_id="grid")
    assert strategy["window_start_ns"] == desk.now_ns


def test_an_exit_that_is_taken_back_stays_counted() -> None:
    desk = ControlDesk(message_limit=9, message_window_ns=9 * SECOND_NS)
    desk.report(desk.order(0.9), FILL, 0.9)
    decision = desk.order(0.1, side=SELL, exits=True)
    desk.engine.cancel(int(decision["reservation_row"]))
    assert desk.account["message_full_at_ns"] == NOW_NS + 2 * SECOND_NS
    assert desk.order(side=SELL, lots=None, exits=True)["lot_size"] == 0.9


def test_an_exit_leaves_whatever_new_risk_may_not() -> None:
    desk = ControlDesk()
    desk.report(desk.order(0.9), FILL, 0.9)
    desk.put_limits(**{**EVERY, "message_limit": 1, "repeat_limit": 1})
    assert desk.order(strategy_id="grid")["verdict"] == ALLOW
    expected = {R_MESSAGE_RATE, R_REPEATED_EXECUTION, R_DUPLICATE_ORDER}
    assert denials(desk.order(strategy_id="grid")) == expected
    for _ in range(3):
        decision = desk.order(0.1, side=SELL, strategy_id="grid", exits=True)
        assert (decision["verdict"], decision["lot_size"]) == (ALLOW, 0.1)
