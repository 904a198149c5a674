"""A trip of a breaker, as the journal keeps it, for people and scripts."""

from typing import Any, Final

from riskgate.v1 import types_pb2 as types
from server.commands.message_view import view_enum
from server.hotpath.condition_codes import VARIABLE_NAMES
from server.hotpath.layout import MICROS, PPM, SYMBOL_WORDS, text

_ENUMS: Final = types.DESCRIPTOR.enum_types_by_name
_PARTS: Final = {
    "condition": "BreakerCondition",
    "action": "BreakerAction",
    "state": "BreakerState",
}


def view_event(event: Any) -> dict[str, Any]:
    """Return an EVENT_KEPT in units of people, ready for JSON but for numbers that are not finite.

    `drawdown` is None when there is no peak to fall from, a value None when it was unknown.
    """
    count = int(event["value_count"])
    values = zip(event["value_names"][:count], event["values"][:count], strict=True)
    return {
        "event_id": int(event["event_id"]),
        "at_ns": int(event["at_ns"]),
        "sequence": int(event["sequence"]),
        "breaker_id": text(event["breaker_id"]),
        "breaker_name": text(event["breaker_name"]),
        "account_id": text(event["account_id"]),
        **{name: view_enum(_ENUMS[enum], int(event[name])) for name, enum in _PARTS.items()},
        "threshold": float(event["threshold"]),
        "observed": float(event["observed"]),
        "equity": int(event["equity_micros"]) / MICROS,
        "drawdown": None if event["drawdown_ppm"] < 0 else int(event["drawdown_ppm"]) / PPM,
        "consecutive_losses": int(event["consecutive_losses"]),
        "values": {VARIABLE_NAMES[int(number)]: float(value) for number, value in values},
        "symbol": text(event["symbol"]),
        "position_count": int(event["position_count"]),
        "positions": list(_view_positions(event)),
    }


def _view_positions(event: Any) -> Any:
    symbols = event["position_symbols"].reshape(-1, SYMBOL_WORDS)
    numbers = (event[f"position_{name}"] for name in ("steps", "lot_mantissa", "lot_scale"))
    listed = min(int(event["position_count"]), len(symbols))
    for symbol, steps, mantissa, scale in list(zip(symbols, *numbers, strict=True))[:listed]:
        yield {"symbol": text(symbol), "lots": int(steps) * int(mantissa) / int(scale)}
