"""The optional limits of risk configurations: on one order, on the flow of orders, on positions.

They have the same names in message and entity. None is no limit, and 0 is refused: it would read as
"nothing" to one and as "no limit" to another.
"""

from decimal import Decimal
from typing import Any, Final

from server.errors import InvalidFieldError
from server.forms import fields

# Of accounts and of single symbols.
ORDER_LIMITS: Final = ("max_order_value", "max_order_lots", "max_long_lots", "max_short_lots")
ACCOUNT_LIMITS: Final = (*ORDER_LIMITS, "max_notional", "max_strategy_notional")
_LIMIT_MAX: Final = "1e12"
_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 31_536_000_000
_COUNT_MAX: Final = 1_000_000
_MESSAGE_WINDOW_MS: Final = 1_000
# Field of a configuration, and its largest value.
_FLOW: Final = {
    "message_limit": _COUNT_MAX,
    "message_window_ms": _DAY_MS,
    "repeat_limit": _COUNT_MAX,
    "repeat_window_ms": _YEAR_MS,
    "duplicate_window_ms": _DAY_MS,
}


def read_limits(message: Any, names: tuple[str, ...], path: str) -> dict[str, Decimal | None]:
    """Return amounts of money and lots by name.

    Raises:
        InvalidFieldError: One is not above 0, or too large, or has more than 6 decimals.
    """
    found: dict[str, Decimal | None] = {}
    for name in names:
        value = fields.optional_number(message, name, "0", _LIMIT_MAX, path=path, above_low=True)
        found[name] = None if value is None else fields.on_grid(value, 6, name, path)
    return found


def read_flow(message: Any, path: str) -> dict[str, int | None]:
    """Return the limits on how often orders come, by name.

    Raises:
        InvalidFieldError: One is out of range, or is a window of a limit that is not there.
    """
    found = {
        name: fields.optional_whole(message, name, 1, most, path=path)
        for name, most in _FLOW.items()
    }
    for kind in ("message", "repeat"):
        window = f"{kind}_window_ms"
        if found[f"{kind}_limit"] is None and found[window] is not None:
            raise InvalidFieldError(fields.join(path, window), f"needs {kind}_limit")
    if found["message_limit"] is not None and found["message_window_ms"] is None:
        found["message_window_ms"] = _MESSAGE_WINDOW_MS
    return found


def write_limits(message: Any, entity: Any, names: tuple[str, ...]) -> None:
    """Set the amounts that an entity limits."""
    for name in names:
        value = getattr(entity, name)
        if value is not None:
            setattr(message, name, float(value))


def write_flow(message: Any, entity: Any) -> None:
    """Set the limits on how often orders come that an entity has."""
    for name in _FLOW:
        value = getattr(entity, name)
        if value is not None:
            setattr(message, name, value)
