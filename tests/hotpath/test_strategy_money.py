"""What a strategy holds and has open, from the order to the end of its position.

A lot is 110,000 USD of notional, so 0.1 lots are 11,000.
"""

from typing import Any, Final

import pytest

from server.broker_view import BrokerPosition
from server.hotpath.layout import SECOND_NS
from server.hotpath.reasons import R_DUPLICATE_ORDER, R_STRATEGY_NOTIONAL
from server.hotpath.rows import RESERVATION_HELD, RESERVATION_WORKING
from tests.control_desk import (
    ACK,
    ALLOW,
    BUY,
    CANCEL,
    CLOSE,
    DENY,
    EXPIRE,
    FILL,
    PARTIAL_FILL,
    REDUCE,
    REJECT,
    SELL,
    UNKNOWN,
    ControlDesk,
    denials,
    lots_max,
    money,
)

LIMIT: Final[dict[str, Any]] = {"max_strategy_notional_micros": money(50_000)}


def new_desk(**limits: Any) -> ControlDesk:
    return ControlDesk(**{**LIMIT, **limits})


def held_and_open(desk: ControlDesk, row: int = 1) -> tuple[float, float]:
    strategy = desk.strategy(row)
    return strategy["held_notional_micros"] / 1e6, strategy["open_notional_micros"] / 1e6


def hold_of(desk: ControlDesk, decision: Any) -> Any:
    return desk.engine.state.reservations.rows[int(decision["reservation_row"])]


def test_a_hold_belongs_to_its_strategy() -> None:
    desk = new_desk()
    decision = desk.order(0.3, strategy_id="grid")
    assert hold_of(desk, decision)["strategy_row"] == 1
    assert held_and_open(desk) == (33_000, 0)


def test_without_a_limit_on_strategies_no_order_belongs_to_one() -> None:
    desk = ControlDesk()
    decision = desk.order(0.3, strategy_id="grid")
    assert hold_of(desk, decision)["strategy_row"] == 0
    assert not desk.engine.state.strategies.rows.tobytes().strip(b"\0")


def test_a_fill_moves_what_is_held_to_what_is_open_and_a_close_gives_it_up() -> None:
    desk = new_desk()
    decision = desk.order(0.3, strategy_id="grid")
    desk.report(decision, PARTIAL_FILL, 0.1)
    assert held_and_open(desk) == (22_000, 11_000)
    desk.report(decision, FILL, 0.2)
    assert held_and_open(desk) == (0, 33_000)
    desk.report(decision, CLOSE, 0.1)
    assert held_and_open(desk) == (0, 22_000)
    decision = desk.order(0.3, strategy_id="grid")
    assert (decision["verdict"], lots_max(decision, R_STRATEGY_NOTIONAL)) == (REDUCE, 25)


@pytest.mark.parametrize("kind", [REJECT, CANCEL, EXPIRE])
def test_an_order_that_ends_gives_back_what_it_still_holds(kind: int) -> None:
    desk = new_desk()
    decision = desk.order(0.3, strategy_id="grid")
    desk.report(decision, PARTIAL_FILL, 0.1)
    desk.report(decision, kind)
    assert held_and_open(desk) == (0, 11_000)


def test_a_hold_that_expires_gives_its_money_back() -> None:
    desk = new_desk()
    desk.order(0.3, strategy_id="grid")
    desk.pass_time(seconds=31)
    assert held_and_open(desk) == (0, 0)


@pytest.mark.parametrize("kind", [ACK, UNKNOWN])
def test_an_order_that_may_be_in_the_market_keeps_its_money(kind: int) -> None:
    desk = new_desk()
    decision = desk.order(0.3, strategy_id="grid")
    assert hold_of(desk, decision)["state"] == RESERVATION_HELD
    desk.report(decision, kind)
    assert hold_of(desk, decision)["state"] == RESERVATION_WORKING
    desk.pass_time(seconds=600)
    assert held_and_open(desk) == (33_000, 0)
    desk.report(decision, FILL, 0.3)
    assert held_and_open(desk) == (0, 33_000)


def test_what_is_unknown_after_a_fill_changes_nothing() -> None:
    desk = new_desk()
    decision = desk.order(0.3, strategy_id="grid")
    desk.report(decision, FILL, 0.3)
    desk.report(decision, UNKNOWN)
    assert held_and_open(desk) == (0, 33_000)


# Each has its own 33,000; the sale of one closes what the other has bought, and opens nothing.
def test_what_one_strategy_closes_is_not_taken_from_another() -> None:
    desk = new_desk()
    desk.report(desk.order(0.3, strategy_id="grid"), FILL, 0.3)
    desk.report(desk.order(0.3, side=SELL, strategy_id="trend"), FILL, 0.3)
    assert held_and_open(desk, 1) == (0, 33_000)
    assert held_and_open(desk, 2) == (0, 0)
    assert desk.account["open_notional_micros"] == 0


# Long 0.1, sold 0.3: 0.1 close (11,000 given up), 0.2 open short (22,000).
def test_a_turn_closes_and_opens() -> None:
    desk = new_desk()
    desk.report(desk.order(0.1, strategy_id="grid"), FILL, 0.1)
    desk.report(desk.order(0.3, side=SELL, strategy_id="grid"), FILL, 0.3)
    assert held_and_open(desk) == (0, 22_000)


def test_an_exit_belongs_to_the_strategy_that_it_names_if_that_is_known() -> None:
    desk = new_desk()
    desk.report(desk.order(0.3, strategy_id="grid"), FILL, 0.3)
    for name, row in (("nobody", 0), ("", 0), ("grid", 1)):
        decision = desk.order(0.1, side=SELL, strategy_id=name, exits=True)
        assert (decision["verdict"], hold_of(desk, decision)["strategy_row"]) == (ALLOW, row)
        desk.report(decision, FILL, 0.1)
    # Of the 33,000 the last exit took its third away; no strategy was made for "nobody".
    assert held_and_open(desk) == (0, 22_000)
    assert not desk.strategy(2)["strategy_id"].any()


# The old order leaves the sums while the new one is judged: 0.4 fit into 50,000, beside 0.3 not.
def test_a_replacement_is_judged_without_what_it_replaces() -> None:
    desk = new_desk()
    desk.order(0.3, strategy_id="grid", client_order_id="old")
    assert (
        desk.order(0.4, strategy_id="grid", client_order_id="other", dry_run=True)["verdict"]
        == REDUCE
    )
    replacing: dict[str, Any] = {
        "strategy_id": "grid",
        "client_order_id": "new",
        "replaces_client_order_id": "old",
    }
    assert desk.order(0.4, **replacing, dry_run=True)["verdict"] == ALLOW
    assert held_and_open(desk) == (33_000, 0)
    assert desk.order(0.4, **replacing)["verdict"] == ALLOW
    assert held_and_open(desk) == (44_000, 0)


def test_a_replacement_that_is_denied_leaves_the_old_order_as_it_was() -> None:
    desk = new_desk(duplicate_window_ns=10 * SECOND_NS)
    desk.order(0.3, strategy_id="grid", client_order_id="old")
    decision = desk.order(
        0.3, strategy_id="grid", client_order_id="new", replaces_client_order_id="old"
    )
    assert (decision["verdict"], denials(decision)) == (DENY, {R_DUPLICATE_ORDER})
    assert held_and_open(desk) == (33_000, 0)


# The broker knows of 0.1 lots only: no strategy of the account has more open than these 11,000.
def test_after_a_sync_no_strategy_has_more_open_than_its_account() -> None:
    desk = new_desk()
    desk.report(desk.order(0.3, strategy_id="grid"), FILL, 0.3)
    desk.report(desk.order(0.05, strategy_id="trend"), FILL, 0.05)
    desk.order(0.1, strategy_id="grid")
    kept = BrokerPosition("", desk.symbol, BUY, 0.1, 1.1, None)
    desk.pass_time(seconds=1)
    desk.engine.sync("A", None, desk.now_ns, [kept], [], desk.now_ns)
    assert held_and_open(desk, 1) == (0, 11_000)
    assert held_and_open(desk, 2) == (0, 5_500)
    desk.engine.sync("A", None, desk.now_ns, [], [], desk.now_ns)
    assert held_and_open(desk, 1) == held_and_open(desk, 2) == (0, 0)


def test_what_others_have_closed_is_open_in_no_strategy() -> None:
    desk = new_desk()
    desk.report(desk.order(0.3, strategy_id="grid"), FILL, 0.3)
    desk.report(desk.order(0.3, side=SELL, strategy_id="", exits=True), FILL, 0.3)
    # 44,000 would not fit into 50,000 beside the 33,000 that a person has closed.
    decision = desk.order(0.4, strategy_id="grid")
    assert decision["verdict"] == ALLOW
    desk.report(decision, FILL, 0.4)
    assert held_and_open(desk) == (0, 44_000)
