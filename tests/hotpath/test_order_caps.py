"""Caps on value, volume, notional and position, with numbers worked by hand.

One lot of EURUSD at 1.1 is 110,000 USD of notional, a step is 0.01 lots. The risk money pays for
243 lots, far more than anything here.
"""

import pytest

from server.hotpath.reasons import (
    R_ACCOUNT_NOTIONAL,
    R_LONG_POSITION,
    R_ORDER_VALUE,
    R_ORDER_VOLUME,
    R_SHORT_POSITION,
    R_STRATEGY_NOTIONAL,
    R_STRATEGY_REQUIRED,
    S_ABSENT,
    S_CUT,
    S_DENY,
    S_NOT_APPLICABLE,
    S_PASS,
)
from tests.control_desk import (
    ALLOW,
    BUY,
    DENY,
    FILL,
    REDUCE,
    SELL,
    ControlDesk,
    denials,
    lots_max,
    money,
    numbers,
)

CAPS = (R_ORDER_VALUE, R_ORDER_VOLUME, R_ACCOUNT_NOTIONAL, R_LONG_POSITION, R_SHORT_POSITION,
        R_STRATEGY_NOTIONAL)  # fmt: skip


def test_a_cap_of_zero_is_none() -> None:
    decision = ControlDesk().order(200.0)
    assert (decision["verdict"], decision["lot_size"]) == (ALLOW, 200.0)
    assert [decision["status"][cap] for cap in CAPS] == [S_NOT_APPLICABLE] * 6


# --- One order ---


# 11,000 / 110,000 = 0.10 lots; 10,999.999999 pays for 9 steps.
def test_the_value_of_one_order_is_cut_to_its_limit() -> None:
    desk = ControlDesk(max_order_value_micros=money(11_000))
    decision = desk.order(0.1, dry_run=True)
    assert (decision["verdict"], decision["status"][R_ORDER_VALUE]) == (ALLOW, S_PASS)
    decision = desk.order(0.11, dry_run=True)
    assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.1)
    assert (decision["binding"], decision["largest_passing_lots"]) == (R_ORDER_VALUE + 1, 0.1)
    assert numbers(decision, R_ORDER_VALUE) == (money(11_000), 0)
    assert lots_max(decision, R_ORDER_VALUE) == 10
    desk.put_limits(max_order_value_micros=money(11_000) - 1)
    assert desk.order(0.1, dry_run=True)["lot_size"] == 0.09


def test_what_is_held_does_not_count_in_the_value_of_one_order() -> None:
    desk = ControlDesk(max_order_value_micros=money(11_000))
    for _ in range(3):
        assert desk.order(0.1)["verdict"] == ALLOW


def test_a_cap_below_the_smallest_lot_denies() -> None:
    desk = ControlDesk(max_order_value_micros=money(1_099))
    decision = desk.order(0.1)
    assert (decision["verdict"], decision["status"][R_ORDER_VALUE]) == (DENY, S_DENY)
    assert (decision["binding"], decision["largest_passing_lots"]) == (R_ORDER_VALUE + 1, 0.0)
    assert lots_max(decision, R_ORDER_VALUE) == 0


# 0.259999 lots are 25 steps of 0.01.
def test_the_volume_of_one_order_is_cut_to_whole_steps() -> None:
    desk = ControlDesk(max_order_microlots=259_999)
    decision = desk.order(1.0, dry_run=True)
    assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.25)
    assert (decision["binding"], decision["largest_passing_lots"]) == (R_ORDER_VOLUME + 1, 0.25)
    assert numbers(decision, R_ORDER_VOLUME) == (25, 0)
    assert lots_max(decision, R_ORDER_VOLUME) == 25
    assert desk.order(0.25)["verdict"] == ALLOW


# (2^63 − 1) · 100 / 10^6 fits into 64 bits. · 10^8 / 10^6 does not: it is the largest number.
def test_a_volume_beyond_64_bits_is_no_fault() -> None:
    for scale in (100, 10**8):
        desk = ControlDesk(
            instrument={"lot_scale": scale, "max_lot_steps": 10**9}, max_order_microlots=2**63 - 1
        )
        decision = desk.order(1.0)
        assert (decision["verdict"], decision["status"][R_ORDER_VOLUME]) == (ALLOW, S_PASS)
        most = 2**63 - 1 if scale > 10**6 else (2**63 - 1) // 10**4
        assert numbers(decision, R_ORDER_VOLUME) == (most, 0)


def test_the_smallest_cap_binds_and_among_equals_the_first() -> None:
    desk = ControlDesk(max_order_value_micros=money(22_000), max_order_microlots=200_000)
    decision = desk.order(1.0, dry_run=True)
    assert (decision["binding"], decision["lot_size"]) == (R_ORDER_VALUE + 1, 0.2)
    assert decision["status"][R_ORDER_VOLUME] == S_CUT
    desk.put_limits(max_order_value_micros=money(22_000), max_order_microlots=190_000)
    decision = desk.order(1.0, dry_run=True)
    assert (decision["binding"], decision["lot_size"]) == (R_ORDER_VOLUME + 1, 0.19)


# --- Overrides ---


@pytest.mark.parametrize(
    ("own", "symbol", "replaces", "steps"),
    [
        (200_000, 0, False, 20),
        (200_000, 0, True, 20),  # 0 of the override: the account's counts
        (0, 300_000, False, 30),
        (200_000, 300_000, False, 20),
        (300_000, 200_000, False, 20),
        (200_000, 300_000, True, 30),
    ],
)
def test_the_stricter_of_account_and_symbol_counts_unless_the_override_is_marked(
    own: int, symbol: int, replaces: bool, steps: int
) -> None:
    for column, reason in (
        ("max_order_microlots", R_ORDER_VOLUME),
        ("max_long_microlots", R_LONG_POSITION),
    ):
        desk = ControlDesk()
        desk.put_override({column: own}, replaces=replaces, **{column: symbol})
        assert lots_max(desk.order(1.0), reason) == steps


def test_an_override_caps_the_value_of_an_order_and_the_short_position() -> None:
    desk = ControlDesk()
    desk.put_override({}, max_order_value_micros=money(11_000), max_short_microlots=50_000)
    decision = desk.order(1.0, side=SELL)
    assert lots_max(decision, R_ORDER_VALUE) == 10
    assert lots_max(decision, R_SHORT_POSITION) == 5
    assert decision["binding"] == R_SHORT_POSITION + 1


# --- The account ---


# Held 0.3 lots: 33,000. 50,000 − 33,000 = 17,000 pays for 15 steps (16,500).
def test_the_notional_of_the_account_counts_what_is_held_and_open() -> None:
    desk = ControlDesk(max_notional_micros=money(50_000))
    first = desk.order(0.3)
    for _ in range(2):
        decision = desk.order(0.2, dry_run=True)
        assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.15)
        assert decision["binding"] == R_ACCOUNT_NOTIONAL + 1
        assert decision["largest_passing_lots"] == 0.15
        assert numbers(decision, R_ACCOUNT_NOTIONAL) == (money(50_000), money(33_000))
        assert lots_max(decision, R_ACCOUNT_NOTIONAL) == 15
        desk.report(first, FILL, 0.3)
    desk.put_limits(max_notional_micros=money(33_000))
    decision = desk.order(0.01)
    assert denials(decision) >= {R_ACCOUNT_NOTIONAL}
    assert (decision["verdict"], decision["largest_passing_lots"]) == (DENY, 0.0)


# --- Long and short ---


# Long 0.3 of at most 0.5: 0.2 are left. A sell is not capped by it; short 0.3 are −0.3 of nothing:
# the whole 0.4 are left, of which what is held counts.
def test_a_long_position_is_capped_for_buys_and_a_short_one_for_sells() -> None:
    desk = ControlDesk(max_long_microlots=500_000, max_short_microlots=400_000)
    desk.report(desk.order(0.3), FILL, 0.3)
    decision = desk.order(0.3, dry_run=True)
    assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.2)
    assert decision["binding"] == R_LONG_POSITION + 1
    assert numbers(decision, R_LONG_POSITION) == (50, 30)
    assert lots_max(decision, R_LONG_POSITION) == 20
    assert decision["status"][R_SHORT_POSITION] == S_NOT_APPLICABLE
    decision = desk.order(0.5, side=SELL)
    assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.4)
    assert numbers(decision, R_SHORT_POSITION) == (40, 0)
    assert decision["status"][R_LONG_POSITION] == S_NOT_APPLICABLE
    # 0.4 are held on the sell side; 0.3 that are long give no credit.
    decision = desk.order(0.5, side=SELL, dry_run=True)
    assert numbers(decision, R_SHORT_POSITION) == (40, 40)
    assert decision["verdict"] == DENY


def test_a_position_beyond_its_cap_leaves_nothing() -> None:
    desk = ControlDesk()
    desk.report(desk.order(0.3), FILL, 0.3)
    desk.put_limits(max_long_microlots=200_000)
    decision = desk.order(0.1)
    assert (decision["verdict"], lots_max(decision, R_LONG_POSITION)) == (DENY, 0)
    assert desk.order(0.1, side=SELL)["verdict"] == ALLOW


# --- One strategy ---


# Of 50,000 the strategy "grid" holds 33,000: 15 steps are left. Another has all 45.
def test_the_notional_of_a_strategy_is_its_own() -> None:
    desk = ControlDesk(max_strategy_notional_micros=money(50_000))
    decision = desk.order(0.3, strategy_id="grid")
    assert numbers(decision, R_STRATEGY_NOTIONAL) == (money(50_000), 0)
    decision = desk.order(0.2, strategy_id="grid", dry_run=True)
    assert (decision["verdict"], decision["lot_size"]) == (REDUCE, 0.15)
    assert decision["binding"] == R_STRATEGY_NOTIONAL + 1
    assert numbers(decision, R_STRATEGY_NOTIONAL) == (money(50_000), money(33_000))
    assert lots_max(decision, R_STRATEGY_NOTIONAL) == 15
    decision = desk.order(1.0, side=BUY, strategy_id="trend", dry_run=True)
    assert lots_max(decision, R_STRATEGY_NOTIONAL) == 45


def test_a_limit_on_strategies_needs_a_strategy() -> None:
    desk = ControlDesk(max_strategy_notional_micros=money(50_000))
    decision = desk.order()
    assert denials(decision) == {R_STRATEGY_REQUIRED}
    assert decision["status"][R_STRATEGY_NOTIONAL] == S_ABSENT
    assert (decision["binding"], decision["largest_passing_lots"]) == (R_STRATEGY_REQUIRED + 1, 0.0)


def test_an_exit_leaves_whatever_is_capped() -> None:
    desk = ControlDesk()
    desk.report(desk.order(0.3), FILL, 0.3)
    desk.put_limits(
        max_order_value_micros=1, max_order_microlots=1, max_notional_micros=1,
        max_long_microlots=1, max_short_microlots=1, max_strategy_notional_micros=1,
    )  # fmt: skip
    decision = desk.order(0.3, side=SELL, exits=True)
    assert (decision["verdict"], decision["lot_size"]) == (ALLOW, 0.3)
