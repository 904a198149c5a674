"""The words of conditions as numbers: variables and operations. See docs/conditions.md.

They stand in the journal and in the record: a number is never given to something else.
"""

from typing import Final

# Over the account's state.
V_EQUITY: Final = 0
V_PEAK_EQUITY: Final = 1
V_DRAWDOWN: Final = 2
V_DAY_LOSS: Final = 3
V_WEEK_LOSS: Final = 4
V_MONTH_LOSS: Final = 5
V_CONSECUTIVE_LOSSES: Final = 6
V_OPEN_RISK: Final = 7
V_HELD_RISK: Final = 8
V_OPEN_NOTIONAL: Final = 9
V_HELD_NOTIONAL: Final = 10
V_LEVERAGE: Final = 11
V_WORKING_ORDERS: Final = 12
V_DAY_START_EQUITY: Final = 13
V_WEEK_START_EQUITY: Final = 14
V_MONTH_START_EQUITY: Final = 15

# Over the request.
V_ENTRY_PRICE: Final = 32
V_STOP_DISTANCE_PIPS: Final = 33
V_REQUESTED_LOTS: Final = 34
V_IS_BUY: Final = 35
V_ATR_PIPS: Final = 36
V_VOLATILITY_INDEX: Final = 37
V_SCORE: Final = 38
V_SPREAD_PIPS: Final = 39
V_QUOTE_AGE_S: Final = 40
V_HOUR: Final = 41
V_WEEKDAY: Final = 42
V_BUFFER_PIPS: Final = 43
V_SLIPPAGE_PIPS: Final = 44
V_POSITION_LOTS: Final = 45
V_IS_NEW_PROVIDER: Final = 46

FIRST_OVER_REQUEST: Final = 32

VARIABLES: Final[dict[str, int]] = {
    name.removeprefix("V_").lower(): number
    for name, number in list(globals().items())
    if name.startswith("V_")
}
VARIABLE_NAMES: Final[dict[int, str]] = {number: name for name, number in VARIABLES.items()}
BOOL_VARIABLES: Final = frozenset({"is_buy", "is_new_provider"})

# A step of a program is operation | operand << 8; only the first two have an operand.
LOAD: Final = 1
CONSTANT: Final = 2
NEGATE: Final = 3
ADD: Final = 4
SUBTRACT: Final = 5
MULTIPLY: Final = 6
DIVIDE: Final = 7
LESS: Final = 8
LESS_EQUAL: Final = 9
GREATER: Final = 10
GREATER_EQUAL: Final = 11
EQUAL: Final = 12
NOT_EQUAL: Final = 13
AND: Final = 14
OR: Final = 15
NOT: Final = 16
CHOOSE: Final = 17

# Operation → numbers that it takes from the stack; each puts one there.
TAKEN: Final[dict[int, int]] = {
    LOAD: 0, CONSTANT: 0, NEGATE: 1, NOT: 1, CHOOSE: 3,
    **dict.fromkeys((ADD, SUBTRACT, MULTIPLY, DIVIDE), 2),
    **dict.fromkeys((LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL), 2),
    **dict.fromkeys((AND, OR), 2),
}  # fmt: skip
STACK_MAX: Final = 16
