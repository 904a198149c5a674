"""The only place where exceptions become codes; the HTTP gateway takes them from here too.

A named error gives its code and its public text, with the field at fault in trailing metadata;
anything else is INTERNAL with fixed words, and the cause goes to the log. A cancelled call stays
cancelled. Requests are parsed here too: a malformed message is refused like any bad field.
"""

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from pydantic import ValidationError

from server.errors import BrokenInvariantError, RiskgateError
from server.services.parse import parse
from server.trust_errors import RateLimitedError

log = logging.getLogger(__name__)

FIELD_KEY: Final = "riskgate-field"
# Clients of gRPC that retry wait for so long.
PUSHBACK_KEY: Final = "grpc-retry-pushback-ms"
_CONTROL_FLOW: Final = (grpc.aio.AbortError, grpc.aio.UsageError)
_Context = grpc.aio.ServicerContext[Any, Any]


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Wraps every call so that no exception and no inner text reaches a caller."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler of the call with its behaviour wrapped; None for an unknown method."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = str(handler_call_details.method)
        behaviour, read = behaviour_of(handler), reader_of(handler)

        async def guarded(request: Any, context: _Context) -> Any:
            try:
                return await behaviour(read(request), context)
            except _CONTROL_FLOW:
                raise
            except Exception as error:  # noqa: BLE001 - nothing may pass
                await _abort(error, context, method)

        async def guarded_stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            try:
                async for response in answers_of(behaviour(read(request), context)):
                    yield response
            except _CONTROL_FLOW:
                raise
            except Exception as error:  # noqa: BLE001 - nothing may pass
                await _abort(error, context, method)

        return same_kind(handler, guarded_stream if handler.response_streaming else guarded)


def behaviour_of(handler: Any) -> Callable[[Any, Any], Any]:
    """Return what a handler of any kind calls."""
    names = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
    found: Callable[[Any, Any], Any] = next(filter(None, (getattr(handler, it) for it in names)))
    return found


def same_kind(handler: Any, behaviour: Callable[[Any, Any], Any]) -> Any:
    """Return a handler of the same kind that gives raw bytes to another behaviour."""
    if handler.request_streaming:
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.stream_unary_rpc_method_handler
        )
    else:
        make = (
            grpc.unary_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.unary_unary_rpc_method_handler
        )
    return make(behaviour, None, handler.response_serializer)


async def answers_of(answers: Any) -> AsyncIterator[Any]:
    """Yield the answers of a streaming behaviour; none where it writes them itself."""
    if inspect.isawaitable(answers):
        await answers
        return
    async for answer in answers:
        yield answer


def reader_of(handler: Any) -> Callable[[Any], Any]:
    """Return what turns raw bytes, or a stream of them, into requests.

    gRPC's own deserializer would answer a malformed message with the text of its exception.
    """
    message_class = getattr(handler.request_deserializer, "__self__", None)
    if message_class is None:
        return lambda request: request

    async def read_each(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for raw in requests:
            yield parse(message_class, raw)

    if handler.request_streaming:
        return read_each
    return lambda raw: parse(message_class, raw)


def describe(error: Exception, method: str) -> tuple[str, str, str]:
    """Return code, public text and field of whatever a call has raised, and log it.

    Args:
        error: What was raised.
        method: Path of the method, for the log.
    """
    code, text, field = "INTERNAL", RiskgateError.public_text, ""
    if isinstance(error, RiskgateError):
        code, text, field = error.grpc_code, error.public_message(), error.field
    elif isinstance(error, ValidationError):
        places = [".".join(map(str, problem["loc"])) for problem in error.errors()]
        named = RiskgateError(field=places[0] if places else "")
        code, text, field = "INVALID_ARGUMENT", f"invalid field: {named.field}", named.field
    if code == "INTERNAL" or isinstance(error, BrokenInvariantError):
        log.error("%s failed", method, exc_info=error)
    else:
        log.info("%s refused: %s", method, error)
    return code, text, field


async def _abort(error: Exception, context: _Context, method: str) -> NoReturn:
    code, text, field = describe(error, method)
    trailing = [(FIELD_KEY, field)] if field else []
    if isinstance(error, RateLimitedError):
        trailing.append((PUSHBACK_KEY, str(error.retry_after_ms)))
    await context.abort(grpc.StatusCode[code], text, tuple(trailing))
