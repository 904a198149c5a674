"""Restriction, quote and price collars, with numbers worked by hand."""

from typing import Any, Final

import numpy as np

from server.hotpath.layout import SECOND_NS
from server.hotpath.reasons import (
    R_CONFIGURATION_MISSING,
    R_INSTRUMENT_RESTRICTED,
    R_PRICE_COLLAR,
    R_PRICE_COLLAR_WINDOW,
    R_QUOTE_MISSING,
    R_QUOTE_STALE,
    S_ABSENT,
    S_DENY,
    S_NOT_APPLICABLE,
    S_PASS,
)
from tests.control_desk import ALLOW, DENY, SELL, ControlDesk, denials, numbers
from tests.desk import NOW_NS, RISK_CONFIGURATION

QUOTE_CHECKS = (R_QUOTE_MISSING, R_QUOTE_STALE, R_PRICE_COLLAR, R_PRICE_COLLAR_WINDOW)
WINDOWED: Final[dict[str, Any]] = {"collar_window_ppm": 2_000, "collar_window_ns": 60 * SECOND_NS}


# --- Restriction ---


def test_a_restricted_instrument_takes_no_new_risk() -> None:
    desk = ControlDesk()
    decision = desk.order()
    assert (decision["verdict"], decision["status"][R_INSTRUMENT_RESTRICTED]) == (ALLOW, S_PASS)
    desk.put_instrument(restricted=1)
    decision = desk.order()
    assert (decision["verdict"], denials(decision)) == (DENY, {R_INSTRUMENT_RESTRICTED})
    assert decision["binding"] == R_INSTRUMENT_RESTRICTED + 1
    assert decision["largest_passing_lots"] == 0.0


def test_an_account_restricts_a_symbol_for_itself_whether_its_row_is_marked_or_not() -> None:
    desk = ControlDesk()
    for replaces in (False, True):
        desk.put_override({}, restricted=1, replaces=replaces)
        assert denials(desk.order()) == {R_INSTRUMENT_RESTRICTED}
    desk.put_override({})
    assert desk.order()["verdict"] == ALLOW


def test_an_override_does_not_lift_the_restriction_of_the_instrument() -> None:
    desk = ControlDesk(instrument={"restricted": 1})
    desk.put_override({}, restricted=0, replaces=True)
    assert denials(desk.order()) == {R_INSTRUMENT_RESTRICTED}


# --- The quote ---


def test_without_a_collar_no_quote_is_needed() -> None:
    decision = ControlDesk().order()
    assert [decision["status"][check] for check in QUOTE_CHECKS] == [S_NOT_APPLICABLE] * 4


def test_a_collar_needs_a_quote() -> None:
    desk = ControlDesk(instrument={"collar_ppm": 1_000})
    decision = desk.order()
    assert denials(decision) == {R_QUOTE_MISSING}
    assert decision["status"][R_QUOTE_STALE] == S_ABSENT
    assert decision["status"][R_PRICE_COLLAR] == S_ABSENT
    assert decision["status"][R_PRICE_COLLAR_WINDOW] == S_NOT_APPLICABLE
    assert decision["largest_passing_lots"] == 0.0


# 0.000004 is 0.4 ticks, the nearest tick is 0; 30,000 is 3·10^9 ticks, above 2^31.
def test_a_quote_that_is_no_price_of_the_instrument_is_none() -> None:
    for bid, ask in ((0.000004, 1.1), (1.1, 30_000.0)):
        desk = ControlDesk(instrument={"collar_ppm": 1_000})
        desk.put_quote(bid, ask)
        assert denials(desk.order()) == {R_QUOTE_MISSING}


def test_a_quote_of_5_seconds_is_fresh_and_an_older_one_denies() -> None:
    desk = ControlDesk(instrument={**WINDOWED, "collar_ppm": 1_000})
    desk.put_quote(1.1, 1.1)
    desk.pass_time(seconds=5)
    decision = desk.order(dry_run=True)
    assert decision["verdict"] == ALLOW
    assert numbers(decision, R_QUOTE_STALE) == (5 * SECOND_NS, 5 * SECOND_NS)
    assert decision["status"][R_QUOTE_STALE] == S_PASS
    desk.pass_time(ns=1)
    decision = desk.order(dry_run=True)
    assert denials(decision) == {R_QUOTE_STALE}
    assert numbers(decision, R_QUOTE_STALE) == (5 * SECOND_NS, 5 * SECOND_NS + 1)
    assert decision["binding"] == R_QUOTE_STALE + 1
    assert decision["status"][R_PRICE_COLLAR] == S_ABSENT
    assert decision["status"][R_PRICE_COLLAR_WINDOW] == S_ABSENT


# --- The collar ---


# Bid 109,999 ticks, ask 110,001: twice the middle is 220,000. An entry of 110,110 ticks is 220 away
# of 220,000: 1,000 ppm exactly. 110,111 is 222 away: 1,009.09..., rounded up 1,010.
def test_a_price_may_be_as_far_from_the_middle_as_the_collar_and_no_further() -> None:
    desk = ControlDesk(instrument={"collar_ppm": 1_000})
    desk.put_quote(1.09999, 1.10001)
    for entry, observed in ((1.1, 0), (1.1011, 1_000), (1.0989, 1_000)):
        decision = desk.order(entry=entry, dry_run=True)
        assert (decision["verdict"], numbers(decision, R_PRICE_COLLAR)) == (
            ALLOW,
            (1_000, observed),
        )
    for entry in (1.10111, 1.09889):
        decision = desk.order(entry=entry, dry_run=True)
        assert denials(decision) == {R_PRICE_COLLAR}
        assert numbers(decision, R_PRICE_COLLAR) == (1_000, 1_010)
        assert decision["binding"] == R_PRICE_COLLAR + 1


def test_sides_of_a_quote_go_to_the_nearest_tick() -> None:
    # 1.099996 and 1.100014 are 110,000 and 110,001: twice 220,001 away 1, 4.54... ppm, 5.
    desk = ControlDesk(instrument={"collar_ppm": 1_000})
    desk.put_quote(1.099996, 1.100014)
    assert numbers(desk.order(dry_run=True), R_PRICE_COLLAR) == (1_000, 5)


# --- The collar over a window ---


# The window begins at 110,000. Quotes drift to 110,300: an entry there is 300 of 110,000 away,
# 2,727.27... ppm. After 60 s a quote begins another window, and the same price passes.
def test_a_price_is_held_against_the_first_quote_of_the_window() -> None:
    desk = ControlDesk(instrument=WINDOWED)
    desk.put_quote(1.1, 1.1)
    assert numbers(desk.order(dry_run=True), R_PRICE_COLLAR_WINDOW) == (2_000, 0)
    desk.pass_time(ns=60 * SECOND_NS - 1)
    desk.put_quote(1.103, 1.103)
    decision = desk.order(entry=1.103, dry_run=True)
    assert denials(decision) == {R_PRICE_COLLAR_WINDOW}
    assert numbers(decision, R_PRICE_COLLAR_WINDOW) == (2_000, 2_728)
    # 220 of 110,000 are 2,000 ppm.
    assert desk.order(entry=1.1022, dry_run=True)["verdict"] == ALLOW
    desk.pass_time(ns=1)
    desk.put_quote(1.103, 1.103)
    decision = desk.order(entry=1.103, dry_run=True)
    assert (decision["verdict"], numbers(decision, R_PRICE_COLLAR_WINDOW)) == (ALLOW, (2_000, 0))


def test_both_collars_are_judged() -> None:
    desk = ControlDesk(instrument={**WINDOWED, "collar_ppm": 1_000})
    desk.put_quote(1.1, 1.1)
    desk.pass_time(seconds=1)
    desk.put_quote(1.103, 1.103)
    # 1.1 is 600 of 220,600 from the quote, 2,719.8... ppm, and none from the window's start.
    decision = desk.order(dry_run=True)
    assert denials(decision) == {R_PRICE_COLLAR}
    assert numbers(decision, R_PRICE_COLLAR) == (1_000, 2_720)
    assert numbers(decision, R_PRICE_COLLAR_WINDOW) == (2_000, 0)
    # 1.1026 is 80 of 220,600 from the quote and 520 of 220,000 from the start.
    decision = desk.order(entry=1.1026, dry_run=True)
    assert denials(decision) == {R_PRICE_COLLAR_WINDOW}
    assert numbers(decision, R_PRICE_COLLAR) == (1_000, 363)
    assert numbers(decision, R_PRICE_COLLAR_WINDOW) == (2_000, 2_364)


def test_an_older_quote_begins_no_window() -> None:
    desk = ControlDesk(instrument=WINDOWED)
    desk.put_quote(1.1, 1.1)
    desk.pass_time(seconds=3)
    desk.put_quote(1.2, 1.2, at_ns=NOW_NS - 100 * SECOND_NS)
    assert numbers(desk.order(dry_run=True), R_PRICE_COLLAR_WINDOW) == (2_000, 0)


def test_a_collar_that_is_new_waits_for_the_next_quote() -> None:
    desk = ControlDesk()
    desk.put_quote(1.1, 1.1)
    desk.put_instrument(**WINDOWED)
    decision = desk.order(dry_run=True)
    assert denials(decision) == {R_QUOTE_MISSING}
    assert numbers(decision, R_QUOTE_STALE) == (5 * SECOND_NS, 0)
    assert decision["status"][R_PRICE_COLLAR_WINDOW] == S_ABSENT
    desk.put_quote(1.1, 1.1)
    assert desk.order(dry_run=True)["verdict"] == ALLOW


def test_an_instrument_that_changes_keeps_its_window_unless_its_ticks_are_others() -> None:
    desk = ControlDesk(instrument=WINDOWED)
    desk.put_quote(1.1, 1.1)
    desk.pass_time(seconds=1)
    desk.put_quote(1.103, 1.103)
    desk.put_instrument(**WINDOWED, commission_per_lot_micros=1)
    assert denials(desk.order(entry=1.103, dry_run=True)) == {R_PRICE_COLLAR_WINDOW}
    desk.put_instrument(**WINDOWED, tick_scale=10_000)
    assert denials(desk.order(entry=1.103, dry_run=True)) == {R_QUOTE_MISSING}
    desk.put_quote(1.103, 1.103)
    assert desk.order(entry=1.103, dry_run=True)["verdict"] == ALLOW


def test_instruments_are_judged_without_a_configuration_too() -> None:
    desk = ControlDesk(instrument={"restricted": 1, "collar_ppm": 1_000})
    row = np.zeros(1, desk.engine.state.configurations.dtype)
    row["account_id"] = desk.account["account_id"]
    desk.engine.apply_rows(RISK_CONFIGURATION, 1, row, deleted=True, reading_ns=NOW_NS)
    found = {R_CONFIGURATION_MISSING, R_INSTRUMENT_RESTRICTED, R_QUOTE_MISSING}
    assert denials(desk.order()) >= found


def test_an_exit_leaves_a_restricted_instrument_without_a_quote() -> None:
    desk = ControlDesk()
    desk.report(desk.order(), 3, 0.1)
    desk.put_instrument(restricted=1, **WINDOWED, collar_ppm=1)
    decision = desk.order(side=SELL, exits=True)
    assert (decision["verdict"], decision["lot_size"]) == (ALLOW, 0.1)
    assert not any(decision["status"][check] == S_DENY for check in QUOTE_CHECKS)
