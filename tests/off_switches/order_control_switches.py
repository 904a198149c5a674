"""Off-switches of the limits on orders, which are kernels: each is compiled anew for minutes.

All stand against a router that sends what it must not: too much, too often, again, too far away.
"""

from typing import Final

from tests.off_switches.switch import Switch

_INSTRUMENT: Final = "tests/hotpath/test_instrument_controls.py::"
_HOURS: Final = "tests/hotpath/test_trading_hours.py::"
_CAPS: Final = "tests/hotpath/test_order_caps.py::"
_RATE: Final = "tests/hotpath/test_order_rate.py::"
_MONEY: Final = "tests/hotpath/test_strategy_money.py::"
_CONTROLS: Final = "server/hotpath/controls.py"
_FLOW: Final = "server/hotpath/order_flow.py"
_LIMITS: Final = "server/hotpath/order_limits.py"
_STRATEGIES: Final = "server/hotpath/strategies.py"
_CONTENTS: Final = "server/hotpath/order_contents.py"


def _control(name: str, file: str, text: str, test: str, replacement: str) -> Switch:
    return Switch(name, "T10", file, text, test, replacement)


ORDER_CONTROLS: Final = (
    _control(
        "a restricted instrument takes no new risk",
        _CONTROLS,
        "check_nb(decision, R_INSTRUMENT_RESTRICTED, not restricted)",
        f"{_INSTRUMENT}test_a_restricted_instrument_takes_no_new_risk",
        "check_nb(decision, R_INSTRUMENT_RESTRICTED, True)",
    ),
    _control(
        "an account restricts a symbol for itself",
        _CONTROLS,
        "restricted |= work.override_row != 0 and of_account",
        f"{_INSTRUMENT}test_an_account_restricts_a_symbol_for_itself_whether_its_row_is_marked_or_not",
        "restricted |= False",
    ),
    _control(
        "a quote older than five seconds denies",
        _CONTROLS,
        "R_QUOTE_STALE, age <= QUOTE_STALE_NS, QUOTE_STALE_NS",
        f"{_INSTRUMENT}test_a_quote_of_5_seconds_is_fresh_and_an_older_one_denies",
        "R_QUOTE_STALE, age >= 0, QUOTE_STALE_NS",
    ),
    _control(
        "a price is near the quote and near where its window began",
        _CONTROLS,
        "observed <= limit_ppm, limit_ppm",
        f"{_INSTRUMENT}test_both_collars_are_judged",
        "observed >= 0, limit_ppm",
    ),
    _control(
        "an instrument is closed outside its trading hours",
        "server/hotpath/hours.py",
        "check_nb(decision, R_SESSION_CLOSED, is_open)",
        f"{_HOURS}test_it_is_open_from_the_first_minute_and_closed_in_the_last",
        "check_nb(decision, R_SESSION_CLOSED, True)",
    ),
    _control(
        "messages have a rate",
        _FLOW,
        "R_MESSAGE_RATE, sent < limit, limit",
        f"{_RATE}test_so_many_messages_may_be_sent_at_once_and_then_one_per_interval",
        "R_MESSAGE_RATE, sent >= 0, limit",
    ),
    _control(
        "a strategy is stopped by its own repetition",
        _STRATEGIES,
        "enabled = work.strategy_row == 0 or strategy.disabled_at_ns == 0",
        f"{_RATE}test_the_last_execution_that_is_allowed_stops_the_strategy",
        "enabled = True",
    ),
    _control(
        "the same content again is a duplicate",
        _CONTENTS,
        "if row != 0 and content_at(state, row).until_ns > work.now_ns:",
        f"{_RATE}test_the_same_content_is_a_duplicate_until_its_window_is_over",
        "if row < 0:",
    ),
    _control(
        "an account has its share of contents",
        _CONTENTS,
        "engine_of(state).content_count < capacity and count < share",
        f"{_RATE}test_an_account_has_its_share_of_contents",
        "engine_of(state).content_count < capacity",
    ),
    _control(
        "what a batch takes back is counted back",
        _FLOW,
        "if account.has_configuration != 0 and held.is_exit == 0:",
        f"{_RATE}test_what_is_taken_back_leaves_no_count",
        "if held.is_exit == 2:",
    ),
    _control(
        "one order has a largest value",
        _LIMITS,
        "_cap_money_nb(state, R_ORDER_VALUE, limit, i64(0))",
        f"{_CAPS}test_the_value_of_one_order_is_cut_to_its_limit",
        "limit = i64(0)",
    ),
    _control(
        "one order has a largest volume",
        _LIMITS,
        "_cap_lots_nb(state, R_ORDER_VOLUME, limit, i64(0))",
        f"{_CAPS}test_the_volume_of_one_order_is_cut_to_whole_steps",
        "limit = i64(0)",
    ),
    _control(
        "an account has a largest notional",
        _LIMITS,
        "_cap_money_nb(state, R_ACCOUNT_NOTIONAL, configuration.max_notional_micros, used)",
        f"{_CAPS}test_the_notional_of_the_account_counts_what_is_held_and_open",
        "used = i64(0)",
    ),
    _control(
        "long and short positions are capped",
        _LIMITS,
        "_cap_lots_nb(state, reason, limit, steps_of_side_nb(state))",
        f"{_CAPS}test_a_long_position_is_capped_for_buys_and_a_short_one_for_sells",
        "limit = i64(0)",
    ),
    _control(
        "a strategy has a largest notional",
        _LIMITS,
        "used = add_nb(state, opened, strategy.held_notional_micros)",
        f"{_CAPS}test_the_notional_of_a_strategy_is_its_own",
        "used = i64(0)",
    ),
    _control(
        "a strategy keeps what its holds hold",
        "server/hotpath/verdict.py",
        "held.strategy_row = settle_strategy_nb(state)",
        f"{_MONEY}test_a_hold_belongs_to_its_strategy",
        "settle_strategy_nb(state)",
    ),
    _control(
        "after a sync no strategy has more open than its account",
        "server/hotpath/sync.py",
        "bound_strategies_nb(state, account_row)",
        f"{_MONEY}test_after_a_sync_no_strategy_has_more_open_than_its_account",
        "pass",
    ),
)
