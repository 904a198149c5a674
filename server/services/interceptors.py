"""The only place where exceptions become gRPC statuses.

A named error gives its code and its public text, with the field at fault in trailing metadata;
anything else is INTERNAL with fixed words, and the cause goes to the log. A cancelled call stays
cancelled. Requests are parsed here too: a malformed message is refused like any bad field.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
from pydantic import ValidationError

from server.errors import BrokenInvariantError, RiskgateError
from server.services.parse import parse

log = logging.getLogger(__name__)

FIELD_KEY: Final = "riskgate-field"
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
        return (
            _guard_stream(handler, method)
            if handler.response_streaming
            else _guard(handler, method)
        )


def _guard(handler: Any, method: str) -> Any:
    behaviour = handler.stream_unary if handler.request_streaming else handler.unary_unary
    read = _reader(handler)

    async def guarded(request: Any, context: _Context) -> Any:
        try:
            return await behaviour(read(request), context)
        except _CONTROL_FLOW:
            raise
        except Exception as error:  # noqa: BLE001 - nothing may pass
            await _abort(error, context, method)

    make = (
        grpc.stream_unary_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(guarded, None, handler.response_serializer)


def _guard_stream(handler: Any, method: str) -> Any:
    behaviour = handler.stream_stream if handler.request_streaming else handler.unary_stream
    read = _reader(handler)

    async def guarded(request: Any, context: _Context) -> AsyncIterator[Any]:
        try:
            async for response in behaviour(read(request), context):
                yield response
        except _CONTROL_FLOW:
            raise
        except Exception as error:  # noqa: BLE001 - nothing may pass
            await _abort(error, context, method)

    make = (
        grpc.stream_stream_rpc_method_handler
        if handler.request_streaming
        else grpc.unary_stream_rpc_method_handler
    )
    return make(guarded, None, handler.response_serializer)


def _reader(handler: Any) -> Callable[[Any], Any]:
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


async def _abort(error: Exception, context: _Context, method: str) -> NoReturn:
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
    trailing = ((FIELD_KEY, field),) if field else ()
    await context.abort(grpc.StatusCode[code], text, trailing)
