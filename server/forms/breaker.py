"""Circuit breakers: message to entity and back."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, SerializeToJsonError

from riskgate.v1 import breaker_pb2 as pb
from server.breaker_changes import (
    BREAKER_ACTIONS,
    BREAKER_CONDITIONS,
    EXPRESSION,
    is_over_request,
)
from server.changes import PROVIDER_TYPES
from server.conditions import compile_condition
from server.entities import BreakerProvider, CircuitBreaker
from server.errors import InvalidFieldError
from server.forms import fields
from server.hotpath.layout import (
    BREAKER_EXCHANGES_MAX,
    BREAKER_PROVIDERS_MAX,
    BREAKER_STRATEGIES_MAX,
    BREAKER_SYMBOLS_MAX,
)
from server.record.circuit_breakers import StoredBreaker

T = TypeVar("T")
_DESCRIPTION_BYTES_MAX: Final = 1_024
_FREE_BYTES_MAX: Final = 16_384
_YEAR_MINUTES: Final = 525_600
_TRIPS_MAX: Final = 1_000
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
        expression=_read_expression(message.expression, condition, path),
        multiplier=multiplier,
        cooling_off_minutes=cooling_off_minutes,
        half_open_minutes=fields.optional_whole(
            parameters, "half_open_minutes", 1, _YEAR_MINUTES, path=inner
        ),
        lock_after_trips=fields.optional_whole(
            parameters, "lock_after_trips", 1, _TRIPS_MAX, path=inner
        ),
        symbols=_read_names(message.symbols, "symbols", BREAKER_SYMBOLS_MAX, path),
        exchanges=_read_names(message.exchanges, "exchanges", BREAKER_EXCHANGES_MAX, path),
        providers=_read_providers(message.providers, path),
        strategies=_read_names(
            message.strategies, "strategies", BREAKER_STRATEGIES_MAX, path, read=fields.identifier
        ),
        enabled=message.enabled if message.HasField("enabled") else True,
    )


def write_breaker(stored: StoredBreaker) -> pb.CircuitBreaker:
    """Return the message that describes a stored breaker."""
    breaker = stored.breaker
    parameters = pb.BreakerParameters(
        threshold=None if breaker.threshold is None else float(breaker.threshold),
        multiplier=None if breaker.multiplier is None else float(breaker.multiplier),
        cooling_off_minutes=breaker.cooling_off_minutes,
        half_open_minutes=breaker.half_open_minutes,
        lock_after_trips=breaker.lock_after_trips,
    )
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
        expression=breaker.expression,
        providers=[
            pb.BreakerProvider(
                provider_id=each.provider_id, provider_type=PROVIDER_TYPES[each.provider_type]
            )
            for each in breaker.providers
        ],
        strategies=breaker.strategies,
        over_request=is_over_request(breaker),
        reset_at=fields.timestamp(stored.reset_at),
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
        breaker_id=str(event["breaker_id"] or ""),
        occurred_at=fields.timestamp(event["occurred_at"]),
        action_taken=BREAKER_ACTIONS[event["action_taken"]],
        account_id=event["account_id"],
        breaker_name=event["breaker_name"],
        directive_id=event["directive_id"],
        epoch=event["epoch"],
        acknowledged_at=fields.timestamp(event["acknowledged_at"]),
        acknowledged_by=event["acknowledged_by"] or "",
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


def read_event(request: pb.LogBreakerEventRequest, breaker: CircuitBreaker) -> dict[str, Any]:
    """Return what `log_event` stores of a trip that somebody tells of.

    Raises:
        InvalidFieldError: a field is absent, malformed or too large.
    """
    if not request.triggered_values.fields:
        raise InvalidFieldError("triggered_values", "is required")
    action = fields.choice(
        request.action_taken, BREAKER_ACTIONS, "action_taken", default=breaker.action
    )
    return {
        "triggered_values": _read_free(request, "triggered_values"),
        "action_taken": action,
        "action_result": _read_free(request, "action_result"),
        "positions_affected": _read_free(request, "positions_affected"),
    }


def _read_free(request: pb.LogBreakerEventRequest, name: str) -> Any:
    if not request.HasField(name):
        return None
    message = getattr(request, name)
    if message.ByteSize() > _FREE_BYTES_MAX:
        raise InvalidFieldError(name, f"must be at most {_FREE_BYTES_MAX} bytes")
    try:
        found = MessageToDict(message)
    except (SerializeToJsonError, ValueError, RecursionError) as error:
        raise InvalidFieldError(name, "has a value that JSON does not know") from error
    return found


def _read_expression(text: str, condition: str, path: str) -> str:
    path = fields.join(path, "expression")
    if condition != EXPRESSION:
        if text:
            raise InvalidFieldError(path, "needs the condition expression")
        return text
    try:
        compile_condition(text)
    except InvalidFieldError as error:
        raise InvalidFieldError(path, error.problem) from error
    return text


def _read_threshold(parameters: pb.BreakerParameters, condition: str, path: str) -> Decimal | None:
    if condition == EXPRESSION:
        if parameters.HasField("threshold"):
            raise InvalidFieldError(fields.join(path, "threshold"), "is not for an expression")
        return None
    high = _THRESHOLD_MAX.get(condition, "1")
    low = "1" if condition == "consecutive_losses" else "0"
    threshold = fields.number(parameters, "threshold", low, high, path=path)
    decimals = 0 if condition == "consecutive_losses" else 6
    return fields.on_grid(threshold, decimals, "threshold", path)


def _read_names(
    names: Any, field: str, count_max: int, path: str, *, read: Any = fields.symbol
) -> tuple[str, ...]:
    path = fields.join(path, field)
    found = tuple(read(name, f"[{position}]", path=path) for position, name in enumerate(names))
    return _require_few(found, count_max, path)


def _read_providers(providers: Any, path: str) -> tuple[BreakerProvider, ...]:
    path = fields.join(path, "providers")
    found = []
    for position, provider in enumerate(providers):
        inner = f"{path}[{position}]"
        found.append(
            BreakerProvider(
                provider_id=fields.identifier(provider.provider_id, "provider_id", path=inner),
                provider_type=fields.choice(
                    provider.provider_type, PROVIDER_TYPES, "provider_type", path=inner
                ),
            )
        )
    return _require_few(tuple(found), BREAKER_PROVIDERS_MAX, path)


def _require_few(found: tuple[T, ...], count_max: int, path: str) -> tuple[T, ...]:
    if len(found) > count_max:
        raise InvalidFieldError(path, f"must have at most {count_max} entries")
    if len(set(found)) != len(found):
        raise InvalidFieldError(path, "must not name one twice")
    return found
