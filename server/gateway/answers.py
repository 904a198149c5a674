"""Rows as the origin of the record names them, and the one form in which anything is refused."""

import math
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import JSONResponse

from riskgate.v1 import breaker_pb2, risk_config_pb2
from server.forms.plain_values import write_plain
from server.gateway.refusals import status_of
from server.services.interceptors import describe
from server.trust_errors import RateLimitedError

REASON_HEADER: Final = "X-Reason"
# Fields of requests as the callers of the gateway know them.
_SHOWN: Final = {"note.reason": REASON_HEADER, "page_size": "limit"}
_WRAPPERS: Final = ("breaker.", "configuration.")
_SCOPES: Final = ("symbols", "exchanges", "providers", "strategies")
_EVENT_NAMES: Final = {
    "event_id": "id",
    "breaker_id": "circuit_breaker_id",
    "occurred_at": "timestamp",
}


def configuration_row(message: risk_config_pb2.RiskConfiguration) -> dict[str, Any]:
    """Return a configuration; its id is what the paths call it by."""
    return {"id": message.config_id, **write_plain(message)}


def breaker_row(message: breaker_pb2.CircuitBreaker) -> dict[str, Any]:
    """Return a breaker; a scope of null means everything."""
    row = {"id": int(message.breaker_id), **write_plain(message)}
    return {**row, **{scope: row[scope] or None for scope in _SCOPES}}


def event_row(message: breaker_pb2.CircuitBreakerEvent) -> dict[str, Any]:
    """Return one trip."""
    empty = {"action_result": None, "positions_affected": None}
    row = {**empty, **write_plain(message), "breaker_id": int(message.breaker_id)}
    return {_EVENT_NAMES.get(name, name): value for name, value in row.items()}


def answer(
    content: Any, *, status: int = 200, version: int = 0, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an answer.

    Args:
        content: Any JSON value.
        status: Of HTTP.
        version: Of the row, which a later change may demand by If-Match; 0: it has none.
        headers: Besides.
    """
    said = dict(headers or {})
    if version:
        said["ETag"] = f'"{version}"'
    return JSONResponse(content, status, said)


def refusal(error: Exception, method: str) -> JSONResponse:
    """Return the answer to whatever a request has raised.

    Args:
        error: What was raised.
        method: Of the contract, or the path where none stands behind it; for the log.
    """
    code, text, field = describe(error, method)
    shown = _shown(field)
    headers = {}
    if code == "RESOURCE_EXHAUSTED":
        wait_ms = error.retry_after_ms if isinstance(error, RateLimitedError) else 1_000
        headers["Retry-After"] = str(math.ceil(wait_ms / 1_000))
    content = {"code": code, "message": text.replace(field, shown) if field else text}
    return JSONResponse({**content, "field": shown}, status_of(error, code), headers)


def _shown(field: str) -> str:
    for wrapper in _WRAPPERS:
        field = field.removeprefix(wrapper)
    return _SHOWN.get(field, field)
