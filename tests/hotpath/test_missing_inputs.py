"""A check whose data is missing answers with its own code and never lets an order through.

Each case takes one input away from a request that passes with every limit there is.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import pytest

from server.engine import Engine
from server.hotpath.layout import (
    CONVERSION_RATE_STALE_NS,
    HEARTBEAT_REFUSE_NS,
    MARKET_STALE_NS,
    QUOTE_STALE_NS,
    SECOND_NS,
)
from server.hotpath.reasons import (
    CAP_RUNS,
    R_ACCOUNT_UNKNOWN,
    R_ATR_MISSING,
    R_BELOW_MIN_LOT,
    R_BREAKER_TRIPPED,
    R_CLOCK_UNCONFIRMED,
    R_CONFIGURATION_MISSING,
    R_CONVERSION_RATE_MISSING,
    R_EQUITY_EXHAUSTED,
    R_EQUITY_STALE,
    R_FEED_MISSING,
    R_FEED_STALE,
    R_HOURS_MISSING,
    R_INPUT_STALE,
    R_PROVIDER_UNKNOWN,
    R_QUOTE_MISSING,
    R_QUOTE_STALE,
    R_REGIME_MISSING,
    R_STOP_REQUIRED,
    R_STRATEGY_REQUIRED,
    R_SYMBOL_UNKNOWN,
    R_VOLATILITY_MISSING,
    R_WINDOW_MISSING,
    REASON_CODES,
    S_ABSENT,
    S_CUT,
    S_DENY,
    S_NOT_APPLICABLE,
    S_PASS,
)
from server.hotpath.records import DECIDED, HAS_ENTRY_PRICE, INVALID
from tests.limited_world import NOW, SMALL, LimitedWorld
from tests.reference import Reference

ALLOW, DENY = 1, 3
# Variables of docs/conditions.md.
DAY_LOSS, REQUESTED_LOTS, ATR_PIPS, VOLATILITY, SPREAD = 3, 34, 36, 37, 39


class Loss(NamedTuple):
    """One input that is taken away, and the code that says so."""

    name: str
    take_away: Callable[[LimitedWorld], Any]
    reason: int
    reading_ns: int = NOW


def _without(part: str) -> Callable[[LimitedWorld], Any]:
    return lambda world: world.parts.pop(part)


def _changed(part: str, **columns: Any) -> Callable[[LimitedWorld], None]:
    def change(world: LimitedWorld) -> None:
        rows = world.parts[part][1]
        for name, value in columns.items():
            rows[name] = value

    return change


def _asked(**columns: Any) -> Callable[[LimitedWorld], None]:
    def change(world: LimitedWorld) -> None:
        for name, value in columns.items():
            world.request[name] = value

    return change


def _blind(variable: int, part: str, **columns: Any) -> Callable[[LimitedWorld], None]:
    """Take away what the condition of a breaker reads, and nothing else."""

    def change(world: LimitedWorld) -> None:
        world.put_breaker(variable)
        configuration = world.parts["configuration"][1]
        configuration["volatility_adjustment_ppm"] = 0
        instrument = world.parts["instrument"][1]
        instrument["collar_ppm"] = instrument["collar_window_ppm"] = 0
        _changed(part, **columns)(world)

    return change


NAN: Final = float("nan")
LOSSES: Final = (
    Loss("the account", _without("account"), R_ACCOUNT_UNKNOWN),
    Loss("the instrument", _without("instrument"), R_SYMBOL_UNKNOWN),
    Loss("the configuration", _without("configuration"), R_CONFIGURATION_MISSING),
    Loss("the heartbeat", _without("heartbeat"), R_FEED_MISSING),
    Loss(
        "heartbeats for half a minute",
        _changed("heartbeat", published_at_ns=NOW - HEARTBEAT_REFUSE_NS - 1),
        R_FEED_STALE,
    ),
    Loss(
        "a clock that goes steadily", lambda _world: None, R_CLOCK_UNCONFIRMED, NOW + 6 * SECOND_NS
    ),
    Loss("an equity above zero", _changed("account", equity_micros=0), R_EQUITY_EXHAUSTED),
    Loss(
        "a fresh equity mark",
        _changed("account", equity_at_ns=NOW - 60 * SECOND_NS - 1),
        R_EQUITY_STALE,
    ),
    Loss("the days of the account", _without("days of the account"), R_WINDOW_MISSING),
    *(
        Loss(
            f"the {name}",
            _changed("days of the account", **{f"{name}_start_ns": 0, f"{name}_next_ns": 0}),
            R_WINDOW_MISSING,
        )
        for name in ("day", "week", "month")
    ),
    Loss("the provider's score", _without("provider"), R_PROVIDER_UNKNOWN),
    Loss("the stop", _asked(present=HAS_ENTRY_PRICE, stop_loss=0.0), R_STOP_REQUIRED),
    Loss("the conversion rate", _without("rate"), R_CONVERSION_RATE_MISSING),
    Loss(
        "a fresh conversion rate",
        _changed("rate", as_of_ns=NOW - CONVERSION_RATE_STALE_NS - 1),
        R_CONVERSION_RATE_MISSING,
    ),
    Loss("the market", _without("market"), R_QUOTE_MISSING),
    Loss("the ATR", _changed("market", atr=NAN), R_ATR_MISSING),
    Loss("a fresh ATR", _changed("market", atr_at_ns=NOW - MARKET_STALE_NS - 1), R_INPUT_STALE),
    Loss("the volatility", _changed("market", volatility_index=NAN), R_VOLATILITY_MISSING),
    Loss(
        "a fresh volatility",
        _changed("market", volatility_at_ns=NOW - MARKET_STALE_NS - 1),
        R_INPUT_STALE,
    ),
    Loss("the regime", _changed("market", regime=0), R_REGIME_MISSING),
    Loss("the bid", _changed("market", bid=NAN), R_QUOTE_MISSING),
    Loss("the ask", _changed("market", ask=NAN), R_QUOTE_MISSING),
    Loss("a fresh quote", _changed("market", quote_at_ns=NOW - QUOTE_STALE_NS - 1), R_QUOTE_STALE),
    Loss(
        "the reference of the moving collar",
        _changed("instrument", collar_window_ns=0),
        R_QUOTE_MISSING,
    ),
    Loss("the days of the exchange", _without("days of the exchange"), R_HOURS_MISSING),
    *(
        Loss(
            f"the {name} of the exchange",
            _changed("days of the exchange", **{f"{name}_start_ns": 0, f"{name}_next_ns": 0}),
            R_HOURS_MISSING,
        )
        for name in ("day", "week")
    ),
    Loss("the strategy", _asked(strategy_id=0), R_STRATEGY_REQUIRED),
    Loss("the quote that a breaker reads", _blind(SPREAD, "market", bid=NAN), R_BREAKER_TRIPPED),
    Loss(
        "the volatility that a breaker reads",
        _blind(VOLATILITY, "market", volatility_index=NAN),
        R_BREAKER_TRIPPED,
    ),
    Loss("the lots that a breaker reads", _blind(REQUESTED_LOTS, "market"), R_BREAKER_TRIPPED),
    Loss(
        "the day that a breaker reads",
        _blind(DAY_LOSS, "days of the account", day_start_ns=0, day_next_ns=0),
        R_BREAKER_TRIPPED,
    ),
)
# A deeper loss takes these along: a market that is unknown, a day that is.
ALONG: Final = {
    "a clock that goes steadily": {R_QUOTE_STALE},
    "the market": {R_ATR_MISSING, R_VOLATILITY_MISSING, R_REGIME_MISSING},
    "the day that a breaker reads": {R_WINDOW_MISSING},
}


@pytest.fixture(params=["engine", "twin"])
def world(request: pytest.FixtureRequest) -> LimitedWorld:
    if request.param == "engine":
        return LimitedWorld(Engine(SMALL, started_at_ns=NOW))
    return LimitedWorld(Reference(SMALL, started_at_ns=NOW))


# What is too small without the input; it denies too.
SIZES: Final = {R_BELOW_MIN_LOT}.union(*(range(first, last + 1) for first, last in CAP_RUNS))


def _denied(answer: Any) -> set[int]:
    denied = {reason for reason, status in enumerate(answer["status"]) if status == S_DENY}
    return denied - SIZES


def test_with_everything_there_the_order_passes_every_check(world: LimitedWorld) -> None:
    result, answer = world.decide()
    assert result == DECIDED
    assert answer["verdict"] == ALLOW
    statuses = [int(status) for status in answer["status"][: len(REASON_CODES)]]
    assert S_CUT not in statuses
    assert S_DENY not in statuses


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_without_one_input_the_answer_has_its_code(world: LimitedWorld, loss: Loss) -> None:
    loss.take_away(world)
    result, answer = world.decide(loss.reading_ns)
    assert result == DECIDED
    assert answer["verdict"] == DENY
    assert answer["lot_size"] == 0
    assert _denied(answer) - ALONG.get(loss.name, set()) == {loss.reason}
    assert answer["binding"] in {reason + 1 for reason in _denied(answer)}


@pytest.mark.parametrize("variable", [DAY_LOSS, ATR_PIPS, VOLATILITY, SPREAD])
def test_a_breaker_that_knows_its_variable_lets_the_order_pass(
    world: LimitedWorld, variable: int
) -> None:
    world.put_breaker(variable)
    assert world.decide()[1]["verdict"] == ALLOW


# What a caller must say itself: without it there is no decision at all.
@pytest.mark.parametrize(
    "column", ["account_id", "provider_id", "provider_type", "symbol", "side", "present"]
)
def test_a_request_that_leaves_out_what_it_must_say_is_invalid(
    world: LimitedWorld, column: str
) -> None:
    world.request[column] = 0
    assert world.decide()[0] == INVALID


def test_a_limit_that_is_not_set_is_not_applicable_and_not_passed(world: LimitedWorld) -> None:
    rows = world.parts["configuration"][1]
    for name in ("message_limit", "repeat_limit", "duplicate_window_ns"):
        rows[name] = 0
    for name in rows.dtype.names or ():
        if name.startswith("max_") and name.endswith(("_micros", "_microlots")):
            rows[name] = 0
    world.parts["instrument"][1]["hours_count"] = 0
    _result, answer = world.decide()
    judged = [int(status) for status in answer["status"][58 : len(REASON_CODES)]]
    assert answer["verdict"] == ALLOW
    assert {S_NOT_APPLICABLE, S_PASS} >= set(judged) - {S_ABSENT}
    assert judged.count(S_NOT_APPLICABLE) >= 14
