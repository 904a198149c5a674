"""Circuit breakers: message to entity and back."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from google.protobuf.json_format import ParseDict

from riskgate.v1 import breaker_pb2 as pb
from server.changes import BREAKER_ACTIONS, BREAKER_CONDITIONS
from server.entities import CircuitBreaker
from server.errors import InvalidFieldError
from server.forms import fields
from server.hotpath.layout import BREAKER_EXCHANGES_MAX, BREAKER_SYMBOLS_MAX
from server.record.circuit_breakers import StoredBreaker

_DESCRIPTION_BYTES_MAX: Final = 1_024
_YEAR_MINUTES: Final = 525_600
_THRESHOLD_MAX: Final = {"consecutive_losses": "1000", "volatility": "100"}


def read_breaker(message: pb.CircuitBreaker, path: str = "breaker") -> CircuitBreaker:
    """Return the breaker a message describes.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    condition = fields.choice(message.condition, BREAKER_CONDITIONS, "condition", path=path)
    inner = fields.join(path, "parameters")
    parameters = message.parameters
    multiplier = fields.optional_number(parameters, "multiplier", "0", "1", path=inner)
    if multiplier is not None:
        fields.on_grid(multiplier, 6, "multiplier", inner)
    cooling_off_minutes = fields.optional_whole(
        parameters, "cooling_off_minutes", 1, _YEAR_MINUTES, path=inner
    )
    if condition == "consecutive_losses" and cooling_off_minutes is None:
        raise InvalidFieldError(fields.join(inner, "cooling_off_minutes"), "is required")
    return CircuitBreaker(
        name=fields.identifier(message.name, "name", path=path),
        description=fields.prose(
            message.description, "description", bytes_max=_DESCRIPTION_BYTES_MAX, path=path
        ),
        account_id=fields.identifier(message.account_id, "account_id", path=path),
        condition=condition,
        action=fields.choice(message.action, BREAKER_ACTIONS, "action", path=path),
        threshold=_read_threshold(parameters, condition, inner),
        multiplier=multiplier,
        cooling_off_minutes=cooling_off_minutes,
        symbols=_read_names(message.symbols, "symbols", BREAKER_SYMBOLS_MAX, path),
        exchanges=_read_names(message.exchanges, "exchanges", BREAKER_EXCHANGES_MAX, path),
        enabled=message.enabled if message.HasField("enabled") else True,
    )


def write_breaker(stored: StoredBreaker) -> pb.CircuitBreaker:
    """Return the message that describes a stored breaker."""
    breaker = stored.breaker
    parameters = pb.BreakerParameters(
        threshold=float(breaker.threshold), cooling_off_minutes=breaker.cooling_off_minutes
    )
    if breaker.multiplier is not None:
        parameters.multiplier = float(breaker.multiplier)
    return pb.CircuitBreaker(
        breaker_id=str(stored.breaker_id),
        name=breaker.name,
        description=breaker.description,
        account_id=breaker.account_id,
        condition=BREAKER_CONDITIONS[breaker.condition],
        action=BREAKER_ACTIONS[breaker.action],
        parameters=parameters,
        symbols=breaker.symbols,
        exchanges=breaker.exchanges,
        enabled=breaker.enabled,
        version=stored.version,
        created_at=fields.timestamp(stored.created_at),
        updated_at=fields.timestamp(stored.updated_at),
    )


def read_breaker_id(text: str, path: str = "breaker_id") -> int:
    """Return the number inside a breaker id of ours."""
    if not text:
        raise InvalidFieldError(path, "is required")
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(2**63 - 1)) - 1:
        raise InvalidFieldError(path, "is not a breaker id")
    return int(text)


def write_event(event: Mapping[str, Any]) -> pb.CircuitBreakerEvent:
    """Return the message that describes one trip."""
    message = pb.CircuitBreakerEvent(
        event_id=event["event_id"],
        breaker_id=str(event["breaker_id"]),
        occurred_at=fields.timestamp(event["occurred_at"]),
        action_taken=BREAKER_ACTIONS[event["action_taken"]],
    )
    targets: dict[str, Any] = {
        "triggered_values": message.triggered_values,
        "action_result": message.action_result,
        "positions_affected": message.positions_affected,
    }
    for name, target in targets.items():
        if event[name] is not None:
            ParseDict(event[name], target)
    return message


def _read_threshold(parameters: pb.BreakerParameters, condition: str, path: str) -> Decimal:
    high = _THRESHOLD_MAX.get(condition, "1")
    low = "1" if condition == "consecutive_losses" else "0"
    threshold = fields.number(parameters, "threshold", low, high, path=path)
    decimals = 0 if condition == "consecutive_losses" else 6
    return fields.on_grid(threshold, decimals, "threshold", path)


def _read_names(names: Any, field: str, count_max: int, path: str) -> tuple[str, ...]:
    path = fields.join(path, field)
    if len(names) > count_max:
        raise InvalidFieldError(path, f"must have at most {count_max} entries")
    read = tuple(
        fields.symbol(name, f"[{position}]", path=path) for position, name in enumerate(names)
    )
    if len(set(read)) != len(read):
        raise InvalidFieldError(path, "must not name one twice")
    return read
