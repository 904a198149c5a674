"""Why a call got no decision, as the caller sees it: status code, field at fault, fixed words.

Everything that the decision port refuses passes through here, alone as a gRPC status or as the
error of one item of a batch or stream, so no text of an unexpected exception can leave.
"""

import logging
from typing import Any, Final, NamedTuple, NoReturn

import grpc
import grpc.aio

from riskgate.v1.decision_pb2 import RequestError
from server.errors import BrokenInvariantError, InvalidFieldError, RiskgateError
from server.trust_errors import ObjectDeniedError, RateLimitedError

log = logging.getLogger(__name__)

FIELD_METADATA: Final = "riskgate-field"
# Known to gRPC: after how many milliseconds a retry makes sense.
PUSHBACK_METADATA: Final = "grpc-retry-pushback-ms"


class Refusal(NamedTuple):
    """No decision was made.

    Attributes:
        code: Status of the call.
        field: Dotted path of the field at fault, "" if it is not about a field.
        message: Public text.
        pushback_ms: When to try again; 0: nothing is said about that.
    """

    code: grpc.StatusCode
    field: str
    message: str
    pushback_ms: int = 0

    def to_error(self) -> RequestError:
        """Return the error of one item."""
        return RequestError(code=self.code.value[0], field=self.field, message=self.message)

    async def abort(self, context: "grpc.aio.ServicerContext[Any, Any]") -> NoReturn:
        """End the call with this status; field and pushback are also in the trailers."""
        metadata = ((FIELD_METADATA, self.field),) if self.field else ()
        if self.pushback_ms:
            metadata = (*metadata, (PUSHBACK_METADATA, str(self.pushback_ms)))
        await context.abort(self.code, self.message, metadata)


NOT_READY: Final = Refusal(grpc.StatusCode.UNAVAILABLE, "", "the engine is not ready")
INTERRUPTED: Final = Refusal(grpc.StatusCode.UNAVAILABLE, "", "the call was interrupted")
TOO_LATE: Final = Refusal(grpc.StatusCode.DEADLINE_EXCEEDED, "", "the deadline has passed")
TOO_LARGE: Final = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "", "the message is too large")
ORDER_ID_TAKEN: Final = Refusal(
    grpc.StatusCode.ALREADY_EXISTS,
    "client_order_id",
    "client_order_id: was used for another request",
)
ANSWER_GONE: Final = Refusal(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "client_order_id",
    "client_order_id: was decided, but its answer could not be kept",
)
REPLACES_TOGETHER: Final = Refusal(
    grpc.StatusCode.INVALID_ARGUMENT,
    "replaces_client_order_id",
    "replaces_client_order_id: cannot be used in an all-or-none batch",
)
STATE_TOO_OLD: Final = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION,
    "min_state_version",
    "min_state_version: the state is not that new yet",
)
WRONG_SHARD: Final = Refusal(
    grpc.StatusCode.FAILED_PRECONDITION,
    "account_id",
    "account_id: this account belongs to another engine",
)
JOURNAL_AWAY: Final = Refusal(grpc.StatusCode.UNAVAILABLE, "", "the journal cannot be written")
STOPPING: Final = Refusal(grpc.StatusCode.UNAVAILABLE, "", "the server is stopping")
DIRECTIVE_UNKNOWN: Final = Refusal(
    grpc.StatusCode.NOT_FOUND, "directive_id", "directive_id: no such directive"
)
DIRECTIVE_DONE: Final = Refusal(
    grpc.StatusCode.ALREADY_EXISTS,
    "directive_id",
    "directive_id: was acknowledged with another outcome",
)
SLOW_READER: Final = Refusal(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "", "directives were lost: the reader was too slow"
)
NOT_YOURS: Final = Refusal(grpc.StatusCode.PERMISSION_DENIED, "", ObjectDeniedError.public_text)
TOO_MANY_CALLS: Final = Refusal(
    grpc.StatusCode.RESOURCE_EXHAUSTED, "", RateLimitedError.public_text
)
INTERNAL: Final = Refusal(grpc.StatusCode.INTERNAL, "", "internal error")


def refusal_of(error: Exception) -> Refusal:
    """Return what the caller is told about an exception; the whole story goes to the log."""
    if isinstance(error, InvalidFieldError):
        text = f"{error.field}: {error.problem}"
        return Refusal(grpc.StatusCode.INVALID_ARGUMENT, error.field, text)
    if isinstance(error, RiskgateError) and not isinstance(error, BrokenInvariantError):
        code = grpc.StatusCode[error.grpc_code]
        return Refusal(code, error.field, error.public_message())
    log.error("a call failed", exc_info=error)
    return INTERNAL
