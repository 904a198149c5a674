"""There is a way out of every position, whatever stops new risk: asked of the real port."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1 import types_pb2 as types
from server import changes
from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_INSTRUMENT,
    CHANGE_KILL,
    CHANGE_RISK_CONFIGURATION,
    MICROS,
    SECOND_NS,
    words,
)
from tests.decision_harness import PortCalls, drawdown_breaker, example_changes, good_request
from tests.lane_harness import OPENERS

OPEN_LOTS: Final = 0.2
STATES: Final = {"active": 1, "reducing": 2, "halted": 3}
DENIES: Final = {2: types.REASON_ACCOUNT_REDUCING, 3: types.REASON_ACCOUNT_HALTED}
FILL, CLOSE = types.REPORT_KIND_FILL, types.REPORT_KIND_CLOSE


def put(port: PortCalls, kind: Any, key: str, rows: bytes) -> None:
    """Put one change, and wait until it is applied."""
    port.intake.put(changes.state_change(kind, key, rows).SerializeToString())
    refresh(port)


def refresh(port: PortCalls) -> None:
    """Let the feed be fresh, however long the machine took; what was put before is applied too."""
    port.beat()
    while port.intake.depth:
        port.decide(good_request(dry_run=True))


def example(kind: Any, dtype: Any, **columns: Any) -> bytes:
    """Return the rows of the worked example with some columns replaced."""
    raw = next(rows for of, _, rows in example_changes() if of == kind)
    row = np.frombuffer(raw, dtype).copy()
    for name, value in columns.items():
        row[name] = value
    return bytes(row.tobytes())


def put_account(port: PortCalls, **columns: Any) -> None:
    rows = example(kinds.CHANGE_KIND_ACCOUNT, CHANGE_ACCOUNT, **columns)
    put(port, kinds.CHANGE_KIND_ACCOUNT, "A", rows)


def put_limits(port: PortCalls, **columns: Any) -> None:
    rows = example(kinds.CHANGE_KIND_RISK_CONFIGURATION, CHANGE_RISK_CONFIGURATION, **columns)
    put(port, kinds.CHANGE_KIND_RISK_CONFIGURATION, "A", rows)


def put_instrument(port: PortCalls, **columns: Any) -> None:
    rows = example(kinds.CHANGE_KIND_INSTRUMENT, CHANGE_INSTRUMENT, **columns)
    put(port, kinds.CHANGE_KIND_INSTRUMENT, "EURUSD", rows)


def kill_new_risk(port: PortCalls) -> None:
    row = np.zeros(1, CHANGE_KILL)
    row["scope"], row["name"], row["new_risk_killed_at_ns"] = 2, words("A"), 1
    put(port, kinds.CHANGE_KIND_KILL, "account:A", row.tobytes())


def lose(port: PortCalls) -> None:
    """Report a loss that trips a breaker and uses up every budget."""
    port.report(report_id="loss", account_id="A", kind=CLOSE, lots=0.01, realised_pnl=-2_000.0,
                symbol="EURUSD", side=types.SIDE_BUY)  # fmt: skip


def trip(port: PortCalls) -> None:
    put(port, kinds.CHANGE_KIND_BREAKER, "breaker-1", drawdown_breaker())
    lose(port)


def cool_off(port: PortCalls) -> None:
    put_limits(port, consecutive_loss_threshold=1, cooling_off_ns=3_600 * SECOND_NS)
    lose(port)


def send_too_much(port: PortCalls) -> None:
    put_limits(port, message_limit=1, message_window_ns=3_600 * SECOND_NS)
    assert port.decide(good_request(client_order_id="message", requested_lots=0.01)).lot_size


def repeat_too_often(port: PortCalls) -> None:
    put_limits(port, repeat_limit=1)
    order = good_request(client_order_id="once", strategy_id="s", requested_lots=0.01)
    assert port.decide(order).lot_size


def close_the_market(port: PortCalls) -> None:
    hours = np.zeros(14, np.int64)
    # One minute of the week: it is not worth waiting for the other 10,079.
    put_instrument(port, hours_timezone=words("UTC", 4), hours_count=1,
                   hours_open_minute=hours + 10_079, hours_close_minute=hours + 10_080)  # fmt: skip


# What stops new risk, and the reason that says so.
STOPS: Final[dict[str, tuple[Callable[[PortCalls], None], int]]] = {
    "breaker": (trip, types.REASON_BREAKER_TRIPPED),
    "cool-off": (cool_off, types.REASON_COOLING_OFF),
    "budget": (lambda port: put_limits(port, daily_max_drawdown_ppm=0),
               types.REASON_DAILY_LOSS_BUDGET),
    "smallest size": (lambda port: put_instrument(port, min_lot_steps=10_000),
                      types.REASON_BELOW_MIN_LOT),
    "score": (lambda port: put_limits(port, min_provider_score_micropoints=99 * MICROS),
              types.REASON_PROVIDER_SCORE_LOW),
    "old equity": (lambda port: put_account(port, equity_max_age_ns=1), types.REASON_EQUITY_STALE),
    "message rate": (send_too_much, types.REASON_MESSAGE_RATE),
    "repetition": (repeat_too_often, types.REASON_REPEATED_EXECUTION),
    "restriction": (lambda port: put_instrument(port, restricted=1),
                    types.REASON_INSTRUMENT_RESTRICTED),
    "collar without a quote": (lambda port: put_instrument(port, collar_ppm=1),
                               types.REASON_QUOTE_MISSING),
    "hours": (close_the_market, types.REASON_SESSION_CLOSED),
    "kill of new risk": (kill_new_risk, types.REASON_KILL_NEW_RISK),
}  # fmt: skip


@contextmanager
def holding(lane: str, side: int = types.SIDE_BUY) -> Iterator[PortCalls]:
    """A port whose account holds a position of OPEN_LOTS in EURUSD."""
    with OPENERS[lane]() as port:
        stop = 1.098 if side == types.SIDE_BUY else 1.102
        order = good_request(side=side, stop_loss=stop, requested_lots=OPEN_LOTS)
        order.client_order_id = "entry"
        refresh(port)
        assert port.decide(order).lot_size == OPEN_LOTS
        told = port.report(report_id="entry", account_id="A", client_order_id="entry", kind=FILL,
                           lots=OPEN_LOTS, price=1.1)  # fmt: skip
        assert abs(told.position_lots) == OPEN_LOTS
        yield port


def leave(port: PortCalls, name: str, lots: float | None = None, **fields: Any) -> Any:
    """Ask to reduce a long position."""
    fields = {"side": types.SIDE_SELL, **fields}
    request = pb.DecideRequest(
        account_id="A", symbol="EURUSD", client_order_id=name, reduce_only=True, **fields
    )
    if lots is not None:
        request.requested_lots = lots
    return port.decide(request)


def fill(port: PortCalls, name: str, lots: float) -> float:
    """Report that an exit was filled; returns the position that is left."""
    left: float = port.report(
        report_id=name, account_id="A", client_order_id=name, kind=FILL, lots=lots, price=1.1
    ).position_lots
    return left


@pytest.mark.parametrize("lane", OPENERS)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("side", [types.SIDE_BUY, types.SIDE_SELL], ids=["long", "short"])
def test_an_exit_leaves_from_every_trading_state(side: int, state: int, lane: str) -> None:
    with holding(lane, side) as port:
        put_account(port, trading_state=state)
        more = port.decide(good_request(requested_lots=0.01))
        assert more.verdict == (types.VERDICT_ALLOW if state == 1 else types.VERDICT_DENY)
        if state in DENIES:
            assert DENIES[state] in more.reasons
            assert more.binding_limit == DENIES[state]
        out = leave(port, "out", side=3 - side)
        assert (out.verdict, out.lot_size) == (types.VERDICT_ALLOW, OPEN_LOTS)
        assert fill(port, "out", OPEN_LOTS) == 0


@pytest.mark.parametrize("lane", OPENERS)
@pytest.mark.parametrize("stop", STOPS)
def test_an_exit_leaves_whatever_stops_new_risk(stop: str, lane: str) -> None:
    arrange, reason = STOPS[stop]
    with holding(lane) as port:
        arrange(port)
        more = port.decide(good_request(strategy_id="s", requested_lots=0.01))
        assert more.verdict == types.VERDICT_DENY
        assert reason in more.reasons, list(more.reasons)
        # Twice at once and in one piece: no throttle, cool-off or smallest size holds it.
        for name, lots in (("first", 0.01), ("second", 0.01), ("rest", None)):
            out = leave(port, name, lots)
            assert out.verdict == types.VERDICT_ALLOW, list(out.reasons)
            left = fill(port, name, out.lot_size)
        # A loss that was reported as a close has taken a lot step with it.
        assert left == 0


@pytest.mark.parametrize("lane", OPENERS)
def test_an_exit_leaves_when_everything_stops_new_risk_at_once(lane: str) -> None:
    with holding(lane) as port:
        put_instrument(port, restricted=1, collar_ppm=1, min_lot_steps=10_000)
        put_limits(port, daily_max_drawdown_ppm=0, message_limit=1, message_window_ns=SECOND_NS,
                   repeat_limit=1, min_provider_score_micropoints=99 * MICROS)  # fmt: skip
        kill_new_risk(port)
        put_account(port, trading_state=STATES["halted"], equity_max_age_ns=1)
        assert port.decide(good_request()).verdict == types.VERDICT_DENY
        out = leave(port, "out")
        assert (out.verdict, out.lot_size) == (types.VERDICT_ALLOW, OPEN_LOTS)


@pytest.mark.parametrize("lane", OPENERS)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_exits_are_clipped_at_the_open_position_and_at_those_on_their_way(
    state: int, lane: str
) -> None:
    with holding(lane) as port:
        put_account(port, trading_state=state)
        out = leave(port, "part", 0.15)
        assert (out.verdict, out.lot_size) == (types.VERDICT_ALLOW, 0.15)
        out = leave(port, "too much", 10.0)
        assert (out.verdict, out.lot_size) == (types.VERDICT_REDUCE, 0.05)
        assert out.binding_limit == types.REASON_EXIT_CLIPPED
        assert out.largest_passing_lots == 0.05
        out = leave(port, "nothing left", 0.01)
        assert (out.verdict, out.lot_size) == (types.VERDICT_DENY, 0)
        # What does not get through gives its lots back to the next one.
        port.report(report_id="r", account_id="A", client_order_id="part",
                    kind=types.REPORT_KIND_REJECT)  # fmt: skip
        assert leave(port, "again").lot_size == 0.15


@pytest.mark.parametrize("lane", OPENERS)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_an_exit_is_no_way_in(state: int, lane: str) -> None:
    with holding(lane) as port:
        put_account(port, trading_state=state)
        wrong = leave(port, "more", 0.01, side=types.SIDE_BUY)
        assert (wrong.verdict, wrong.binding_limit) == (
            types.VERDICT_DENY,
            types.REASON_NOT_REDUCING,
        )
        assert leave(port, "all").lot_size == OPEN_LOTS
        fill(port, "all", OPEN_LOTS)
        over = leave(port, "over", 0.01)
        assert over.binding_limit == types.REASON_POSITION_UNKNOWN
