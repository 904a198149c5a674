"""Circuit breaker to state change; an expression becomes the program that the engines run.

Apart from `changes.py` because engines read that and never compile an expression.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from riskgate.v1 import types_pb2
from server.changes import PROVIDER_TYPES, unix_ns
from server.conditions import compile_condition
from server.entities import CircuitBreaker
from server.hotpath import layout
from server.scaling import encode_rows, encode_texts, scaled

EXPRESSION: Final = "expression"
BREAKER_CONDITIONS: Final = {
    "max_drawdown": types_pb2.BREAKER_CONDITION_MAX_DRAWDOWN,
    "daily_loss": types_pb2.BREAKER_CONDITION_DAILY_LOSS,
    "weekly_loss": types_pb2.BREAKER_CONDITION_WEEKLY_LOSS,
    "monthly_loss": types_pb2.BREAKER_CONDITION_MONTHLY_LOSS,
    "consecutive_losses": types_pb2.BREAKER_CONDITION_CONSECUTIVE_LOSSES,
    "volatility": types_pb2.BREAKER_CONDITION_VOLATILITY,
    "expression": types_pb2.BREAKER_CONDITION_EXPRESSION,
}
BREAKER_ACTIONS: Final = {
    "block": types_pb2.BREAKER_ACTION_BLOCK,
    "reduce_only": types_pb2.BREAKER_ACTION_REDUCE_ONLY,
    "reduce_size": types_pb2.BREAKER_ACTION_REDUCE_SIZE,
    "close_position": types_pb2.BREAKER_ACTION_CLOSE,
    "alert": types_pb2.BREAKER_ACTION_ALERT,
}
MULTIPLIER_DEFAULT: Final = Decimal("0.5")
_MINUTE_NS: Final = 60 * layout.SECOND_NS


def breaker_rows(breaker: CircuitBreaker, breaker_id: str) -> bytes:
    """Encode a breaker; the threshold's unit follows from its condition.

    Raises:
        InvalidFieldError: A number is off its grid, or the expression is refused.
    """
    multiplier = MULTIPLIER_DEFAULT if breaker.multiplier is None else breaker.multiplier
    values = {
        "breaker_id": layout.words(breaker_id),
        "name": layout.words(breaker.name),
        "account_id": layout.words(breaker.account_id),
        "condition": BREAKER_CONDITIONS[breaker.condition],
        "action": BREAKER_ACTIONS[breaker.action],
        "enabled": int(breaker.enabled),
        "multiplier_ppm": scaled(multiplier, layout.PPM, "parameters.multiplier"),
        "cooling_off_ns": (breaker.cooling_off_minutes or 0) * _MINUTE_NS,
        "half_open_ns": (breaker.half_open_minutes or 0) * _MINUTE_NS,
        "lock_after_trips": breaker.lock_after_trips or 0,
        **_condition(breaker),
        **_scope(breaker),
    }
    return encode_rows(layout.CHANGE_BREAKER, [values])


def breaker_reset_rows(breaker_id: str, reset_at: datetime | None) -> bytes:
    """Encode that a person resets a breaker; None changes nothing."""
    values = {
        "breaker_id": layout.words(breaker_id),
        "reset_at_ns": 0 if reset_at is None else unix_ns(reset_at),
    }
    return encode_rows(layout.CHANGE_BREAKER_RESET, [values])


def is_over_request(breaker: CircuitBreaker) -> bool:
    """Tell whether it is judged in each decision, not whenever the account's state changes."""
    if breaker.condition == EXPRESSION:
        return compile_condition(breaker.expression).over_request
    return breaker.condition == "volatility"


def _condition(breaker: CircuitBreaker) -> dict[str, Any]:
    if breaker.condition != EXPRESSION:
        scale = 1 if breaker.condition == "consecutive_losses" else layout.PPM
        threshold = Decimal(0) if breaker.threshold is None else breaker.threshold
        return {
            "threshold": scaled(threshold, scale, "parameters.threshold"),
            "over_request": int(is_over_request(breaker)),
        }
    condition = compile_condition(breaker.expression)
    return {
        "over_request": int(condition.over_request),
        "program_length": len(condition.program),
        "program": _padded(condition.program, layout.PROGRAM_STEPS_MAX),
        "constants": _padded(condition.constants, layout.PROGRAM_CONSTANTS_MAX),
    }


def _scope(breaker: CircuitBreaker) -> dict[str, Any]:
    """Return counts and names; a provider is its id and, in the word behind it, its type."""
    names = {"symbols": layout.BREAKER_SYMBOLS_MAX, "exchanges": layout.BREAKER_EXCHANGES_MAX}
    providers = np.zeros((layout.BREAKER_PROVIDERS_MAX, layout.ID_WORDS + 1), dtype="<i8")
    for place, provider in zip(providers, breaker.providers, strict=False):
        place[: layout.ID_WORDS] = layout.words(provider.provider_id)
        place[layout.ID_WORDS] = PROVIDER_TYPES[provider.provider_type]
    return {
        "symbol_count": len(breaker.symbols),
        "exchange_count": len(breaker.exchanges),
        **{
            name: encode_texts(getattr(breaker, name), most, layout.SYMBOL_WORDS, name)
            for name, most in names.items()
        },
        "provider_count": len(breaker.providers),
        "providers": providers.reshape(-1),
        "strategy_count": len(breaker.strategies),
        "strategies": encode_texts(
            breaker.strategies, layout.BREAKER_STRATEGIES_MAX, layout.ID_WORDS, "strategies"
        ),
    }


def _padded(values: tuple[Any, ...], length: int) -> list[Any]:
    return [*values, *[0] * (length - len(values))]
