"""A denial or a cut says what would pass, and what it says is so; asking has no side effect.

Random accounts with random limits, quotes, strategies, open positions, working orders and holds;
each question is asked, then asked again with the lots that the answer named.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pytest

from riskgate.v1 import types_pb2 as types
from server.hotpath.layout import MICROS, NOT_SET, SECOND_NS
from server.hotpath.memory import State
from server.hotpath.reasons import (
    CAP_RUNS,
    CHECK_UNITS,
    R_BELOW_MIN_LOT,
    R_LOT_STEP,
    R_RISK_PER_TRADE,
    REASON_CODES,
    REASONS_MAX,
    S_CUT,
    S_DENY,
    U_LOTS,
    U_MILLISECONDS,
)
from server.hotpath.records import KNOWN_LARGEST
from server.services.convert import read_decision
from tests.control_desk import (
    ACK,
    ALLOW,
    BUY,
    CANCEL,
    CLOSE,
    DENY,
    FILL,
    PARTIAL_FILL,
    SELL,
    UNKNOWN,
    ControlDesk,
)

SEED: Final = 20_261_121
WORLDS: Final = 100
QUESTIONS: Final = 100  # in each world: 10,000 in all
LOT_STEPS: Final = 100
CAPS: Final = (
    tuple(range(REASONS_MAX))[slice(*CAP_RUNS[0])]
    + (CAP_RUNS[0][1],)
    + tuple(range(CAP_RUNS[1][0], CAP_RUNS[1][1] + 1))
)
# What is judged, and what is written for the one who asks.
_ASKING: Final = {"memory", "request", "decision", "work", "report", "report_result"}
_CLOCK: Final = ("sequence", "now_ns", "reading_ns", "wheel_tick")


# Column → what lets about ten lots through, and what it is without a limit.
TEN_LOTS: Final = {
    "max_position_size_ppm": (110_000, NOT_SET),
    "max_leverage_ppm": (110_000, NOT_SET),
    "max_correlated_exposure_ppm": (110_000, NOT_SET),
    "daily_max_drawdown_ppm": (205, NOT_SET),
    "weekly_max_drawdown_ppm": (205, NOT_SET),
    "monthly_max_drawdown_ppm": (205, NOT_SET),
    "max_order_value_micros": (1_100_000 * MICROS, 0),
    "max_order_microlots": (10 * MICROS, 0),
    "max_long_microlots": (10 * MICROS, 0),
    "max_short_microlots": (10 * MICROS, 0),
    "max_notional_micros": (1_100_000 * MICROS, 0),
    "max_strategy_notional_micros": (1_100_000 * MICROS, 0),
}


def draw_limits(chance: np.random.Generator) -> dict[str, Any]:
    """Return limits of which one is tighter than all others; some are not set."""
    tightest = str(chance.choice(list(TEN_LOTS)))
    limits = {
        name: int(chance.choice((none, lots * 3, lots * 30, lots * 1_000)))
        for name, (lots, none) in TEN_LOTS.items()
    }
    limits[tightest] = int(TEN_LOTS[tightest][0] * chance.uniform(0.5, 2))
    return {
        **limits,
        "risk_per_trade_ppm": int(chance.choice((200, 5_000, 50_000))),
        "message_limit": int(chance.choice((0, 0, 3, 1_000))),
        "message_window_ns": 10 * SECOND_NS,
        "repeat_limit": int(chance.choice((0, 0, 5))),
        "duplicate_window_ns": int(chance.choice((0, 30 * SECOND_NS))),
    }


class RandomDesk(ControlDesk):
    """A desk whose past is random."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        least = int(self.chance.choice((1, 1, 10)))
        instrument = {
            "min_lot_steps": least,
            "max_lot_steps": int(self.chance.integers(500, 9_000)),
        }
        super().__init__(instrument=instrument, **draw_limits(self.chance))
        for _ in range(int(self.chance.integers(0, 25))):
            self.act()

    def draw(self) -> dict[str, Any]:
        """Return the fields of an order, its lots among them."""
        side = int(self.chance.choice((BUY, SELL)))
        entry = int(self.chance.integers(109_000, 111_000))
        distance = int(self.chance.integers(20, 400)) * (1 if side == BUY else -1)
        steps = int(self.chance.choice((1, 7, 90, 1_500, 20_000))) + int(self.chance.integers(50))
        return {
            "lots": None if self.chance.random() < 0.1 else steps / LOT_STEPS,
            "side": side,
            "entry": entry / 100_000,
            "stop": (entry - distance) / 100_000,
            "strategy_id": f"s{self.chance.integers(3)}",
        }

    def act(self) -> None:
        """Place an order, and let something become of it."""
        fields = {**self.draw(), "lots": int(self.chance.integers(1, 400)) / LOT_STEPS}
        decision = self.order(**fields)
        if decision["verdict"] == DENY:
            return
        lots = int(decision["lot_steps"]) / LOT_STEPS
        kind = int(self.chance.choice((0, ACK, PARTIAL_FILL, FILL, FILL, CANCEL, UNKNOWN)))
        if kind in {FILL, PARTIAL_FILL}:
            self.report(decision, kind, lots if kind == FILL else 0.01, side=fields["side"])
            if self.chance.random() < 0.2:
                self.report(decision, CLOSE, 0.01, side=fields["side"])
        elif kind:
            self.report(decision, kind)
        if self.chance.random() < 0.3:
            self.pass_time(seconds=float(self.chance.uniform(0, 20)))


def desks(count: int = WORLDS) -> Iterator[RandomDesk]:
    for seed in range(SEED, SEED + count):
        yield RandomDesk(seed)


def statuses(decision: Any, status: int) -> list[int]:
    return np.flatnonzero(decision["status"] == status).tolist()


def binding_of(decision: Any) -> int | None:
    """Return the reason that the page says binds an answer that size decided; None without one."""
    caps = [cap for cap in CAPS if decision["numbers"][cap] & 2]
    smallest = min(caps, key=lambda cap: (int(decision["lots_max"][cap]), cap))
    if decision["lots_max"][smallest] < decision["target_steps"]:
        return smallest
    denied = statuses(decision, S_DENY)
    if denied:
        return denied[0]
    return R_LOT_STEP if decision["status"][R_LOT_STEP] == S_CUT else None


def test_the_largest_passing_lot_passes_and_one_step_more_does_not() -> None:
    counts = Counter[str]()
    for desk in desks():
        least = int(desk.engine.state.instruments.rows[1]["min_lot_steps"])
        for _ in range(QUESTIONS):
            fields = desk.draw()
            answer = desk.order(**fields, dry_run=True)
            counts["cases"] += 1
            assert answer["known"] & KNOWN_LARGEST
            largest = int(answer["largest_steps"])
            by_size = not set(statuses(answer, S_DENY)) - {*CAPS, R_BELOW_MIN_LOT}
            counts[f"verdict {answer['verdict']} {'by size' if by_size else 'else'}"] += 1

            def ask(steps: int, fields: dict[str, Any] = fields, desk: RandomDesk = desk) -> Any:
                return desk.order(**{**fields, "lots": steps / LOT_STEPS}, dry_run=True)

            if largest:
                assert by_size
                assert largest >= least
                passing = ask(largest)
                assert (passing["verdict"], passing["lot_steps"]) == (ALLOW, largest)
                more = ask(largest + 1)
                assert more["verdict"] != ALLOW
                assert more["lot_steps"] == largest
                assert more["largest_steps"] == largest
            else:
                assert answer["verdict"] == DENY
                assert ask(least)["verdict"] == DENY
    assert counts["cases"] >= 10_000
    assert min(counts["verdict 1 by size"], counts["verdict 2 by size"]) > 500
    assert counts["verdict 3 by size"] > 100


def test_the_binding_limit_is_the_cap_that_leaves_the_fewest_lots() -> None:
    bound = Counter[int]()
    for desk in desks():
        for _ in range(QUESTIONS // 2):
            answer = desk.order(**desk.draw(), dry_run=True)
            if set(statuses(answer, S_DENY)) - {*CAPS, R_BELOW_MIN_LOT}:
                continue
            expected = binding_of(answer)
            assert answer["binding"] == (0 if expected is None else expected + 1)
            if expected in CAPS:
                bound[expected] += 1
                assert answer["lot_steps"] in {0, int(answer["lots_max"][expected])}
    unbound = set(CAPS) - set(bound)
    assert {REASON_CODES[cap] for cap in unbound} == set(), bound


def test_the_headroom_of_a_check_is_its_limit_less_what_is_there() -> None:
    seen = Counter[int]()
    for desk in desks(WORLDS // 2):
        for _ in range(QUESTIONS // 5):
            desk.order(**desk.draw(), dry_run=True, explain=True)
            record = desk.engine.state.decision[0]
            answer = read_decision(desk.engine.state, explain=True, server_ns=0)
            for check in answer.checks:
                index = REASON_CODES.index(check.check)
                has_numbers = bool(record["numbers"][index] & 1)
                assert check.HasField("limit") == check.HasField("headroom") == has_numbers
                if not has_numbers:
                    continue
                seen[index] += 1
                # Whole numbers of the engine are subtracted; doubles would bring their own error.
                whole = int(record["limit"][index]) - int(record["observed"][index])
                unit = CHECK_UNITS.get(index)
                if unit == U_MILLISECONDS:
                    assert check.headroom == check.limit - check.observed
                elif unit == U_LOTS:
                    assert check.headroom == whole / LOT_STEPS
                else:
                    assert check.headroom == pytest.approx(whole / MICROS, rel=1e-15) or (
                        check.unit == types.UNIT_COUNT and check.headroom == whole
                    )
    assert seen[R_RISK_PER_TRADE] > 500
    assert len(seen) > len(CAPS)


def bytes_of(state: State) -> dict[str, bytes]:
    """Return all of an engine's memory but its clock, its numbering and the answer itself."""
    engine = state.engine.copy()
    for name in _CLOCK:
        engine[name] = 0
    found = {"engine": engine.tobytes()}
    for name, part in state._asdict().items():
        if name in _ASKING or name in found or name == "models":
            continue
        for field, array in (part._asdict() if hasattr(part, "_asdict") else {"": part}).items():
            found[f"{name}.{field}"] = np.asarray(array).tobytes()
    return found


def assert_alike(real: Any, told: Any) -> None:
    """Both say the same; a number that does not count may be anything."""
    for name in ("verdict", "lot_steps", "largest_steps", "binding", "status", "numbers"):
        assert np.array_equal(real[name], told[name]), name
    for name, bit in (("limit", 1), ("observed", 1), ("lots_max", 2)):
        counts = told["numbers"] & bit > 0
        assert np.array_equal(real[name][counts], told[name][counts]), name


def test_a_dry_run_changes_nothing_but_sequence_and_clock() -> None:
    changed = Counter[str]()
    for seed in range(SEED, SEED + 25):
        desk = RandomDesk(seed)
        for _ in range(8):
            # The first question of an instant also does what the time brings with it.
            desk.order(**desk.draw(), dry_run=True)
            before, sequence = bytes_of(desk.engine.state), desk.engine.state.engine["sequence"][0]
            asked = [desk.draw() for _ in range(6)]
            told = [desk.order(**fields, dry_run=True) for fields in asked]
            desk.order(exits=True, side=SELL, dry_run=True)
            after = bytes_of(desk.engine.state)
            assert [name for name in before if before[name] != after[name]] == []
            assert desk.engine.state.engine["sequence"][0] == sequence + 7
            # And what it says is what the order itself is told then.
            real = desk.order(**asked[-1])
            assert_alike(real, told[-1])
            if real["verdict"] != DENY:
                later = bytes_of(desk.engine.state)
                changed.update(name for name in after if later[name] != after[name])
            desk.pass_time(seconds=1)
    # The comparison sees what an order that is no question does.
    assert {"reservations.rows", "accounts.rows", "positions.rows"} <= set(changed)
