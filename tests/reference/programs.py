"""Conditions of breakers: the variables and the stack program (docs/conditions.md)."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from server.hotpath.layout import QUOTE_STALE_NS
from server.hotpath.records import HAS_REQUESTED_LOTS
from tests.reference.arithmetic import lots_of

NAN = math.nan
LOAD, CONSTANT, NEGATE, NOT, CHOOSE = 1, 2, 3, 16, 17
FIRST_OVER_REQUEST = 32
DAY_S, HOUR_S = 86_400, 3_600
_PERIODS = ("day", "week", "month")


def _divide(a: float, b: float) -> float:
    if b != 0:
        return a / b
    if a == 0 or math.isnan(a) or math.isnan(b):
        return NAN
    return math.inf * math.copysign(1, a) * math.copysign(1, b)


def _compared(holds: Callable[[float, float], bool]) -> Callable[[float, float], float]:
    return lambda a, b: NAN if math.isnan(a) or math.isnan(b) else float(holds(a, b))


def _and(a: float, b: float) -> float:
    if 0.0 in (a, b):
        return 0.0
    return NAN if math.isnan(a) or math.isnan(b) else 1.0


def _or(a: float, b: float) -> float:
    if any(value != 0 and not math.isnan(value) for value in (a, b)):
        return 1.0
    return NAN if math.isnan(a) or math.isnan(b) else 0.0


_OF_TWO: dict[int, Callable[[float, float], float]] = {
    4: lambda a, b: a + b,
    5: lambda a, b: a - b,
    6: lambda a, b: a * b,
    7: _divide,
    8: _compared(lambda a, b: a < b),
    9: _compared(lambda a, b: a <= b),
    10: _compared(lambda a, b: a > b),
    11: _compared(lambda a, b: a >= b),
    12: _compared(lambda a, b: a == b),
    13: _compared(lambda a, b: a != b),
    14: _and,
    15: _or,
}


def evaluate(rule: Any, value_of: Callable[[int], float]) -> float:
    """Return the value of the program of a breaker's definition."""
    stack: list[float] = []
    for step in rule.program[: rule.program_length]:
        operation, operand = step & 255, step >> 8
        if operation == LOAD:
            stack.append(value_of(operand))
        elif operation == CONSTANT:
            stack.append(rule.constants[operand])
        elif operation == NEGATE:
            stack.append(-stack.pop())
        elif operation == NOT:
            value = stack.pop()
            stack.append(NAN if math.isnan(value) else float(value == 0))
        elif operation == CHOOSE:
            otherwise, then, condition = stack.pop(), stack.pop(), stack.pop()
            chosen = then if condition != 0 else otherwise
            stack.append(NAN if math.isnan(condition) else chosen)
        else:
            second, first = stack.pop(), stack.pop()
            stack.append(_OF_TWO[operation](first, second))
    return stack.pop()


def loaded(rule: Any) -> Sequence[int]:
    """Return the variables that a program loads, in order, each once."""
    steps = rule.program[: rule.program_length]
    return list(dict.fromkeys(step >> 8 for step in steps if step & 255 == LOAD))


def _fall(highest: int, equity: int) -> float:
    return float(max(0, highest - equity)) / float(highest) if highest > 0 else NAN


def state_value(account: Any, number: int) -> float:
    """Return a variable over the state."""
    if number in (3, 4, 5, 13, 14, 15):
        period = _PERIODS[number - (13 if number >= 13 else 3)]
        if account.start[period] == 0:
            return NAN
        base: int = account.base[period]
        return float(base) / 1e6 if number >= 13 else _fall(base, account.equity)
    if number == 2:
        return _fall(account.peak, account.equity)
    if number == 11:
        gross = float(account.open_notional) + float(account.held_notional)
        return gross / float(account.equity) if account.equity > 0 else NAN
    if number in (6, 12):
        return float(account.consecutive_losses if number == 6 else account.reservations)
    money = {
        0: account.equity,
        1: account.peak,
        7: account.open_risk,
        8: account.held_risk,
        9: account.open_notional,
        10: account.held_notional,
    }[number]
    return float(money) / 1e6


def request_value(case: Any, market: Any, now: int, number: int) -> float:
    """Return a variable over the request."""
    request, instrument = case.request, case.instrument
    per_pip = instrument.ticks_per_pip
    seconds = now // 1_000_000_000
    age = NAN if market.quote is None else max(0, now - market.quote_at)
    if number == 34:
        return float(request.requested_lots) if request.present & HAS_REQUESTED_LOTS else NAN
    if number == 39:
        if market.quote is None or age > QUOTE_STALE_NS:
            return NAN
        bid, ask = market.quote
        return float((ask - bid) / instrument.tick_size / per_pip)
    if number == 45:
        return lots_of(case.net.net, instrument) if case.net is not None else 0.0
    return float(
        {
            32: request.entry_price,
            33: abs(case.entry - case.stop) / per_pip if case.stop else NAN,
            35: request.side == 1,
            36: case.atr / per_pip if case.atr else NAN,
            37: NAN if case.volatility is None else case.volatility / 1e6,
            38: case.score / 1e6,
            40: age / 1e9,
            41: seconds % DAY_S // HOUR_S,
            42: (seconds // DAY_S + 3) % 7 + 1,
            43: case.buffer / per_pip,
            44: case.slippage / per_pip,
            46: case.new_provider,
        }[number]
    )
