"""What the gateway itself refuses about the form of a request, and the status behind each code.

Everything else that can be refused has its code in `errors.py` and `trust_errors.py`.
"""

from http import HTTPStatus
from typing import ClassVar, Final

from server.errors import RiskgateError

# What a client can cause is never a 5xx; UNAVAILABLE says that PostgreSQL is away.
STATUSES: Final = {
    "INVALID_ARGUMENT": HTTPStatus.UNPROCESSABLE_ENTITY,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "ABORTED": HTTPStatus.CONFLICT,
    "FAILED_PRECONDITION": HTTPStatus.CONFLICT,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNIMPLEMENTED": HTTPStatus.METHOD_NOT_ALLOWED,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}


class RequestFormError(RiskgateError):
    """The request is not one that this gateway reads."""

    grpc_code = "INVALID_ARGUMENT"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST


class MalformedBodyError(RequestFormError):
    """The body is not one JSON document, repeats a key, or nests too deep."""

    public_text = "the body is not usable JSON"

    def __init__(self, problem: str) -> None:
        super().__init__(detail=problem)


class BodyTooLargeError(RequestFormError):
    """The body is larger than the gateway reads."""

    public_text = "the body is too large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class MediaTypeError(RequestFormError):
    """The body is not declared as JSON."""

    public_text = "the body must be application/json"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class HostRefusedError(RequestFormError):
    """The Host header names somebody else: a page elsewhere may have pointed its name here."""

    grpc_code = "PERMISSION_DENIED"
    public_text = "this is not a name of this server"
    status = HTTPStatus.MISDIRECTED_REQUEST


class OriginRefusedError(RequestFormError):
    """A browser sends it for a page of another origin."""

    grpc_code = "PERMISSION_DENIED"
    public_text = "requests of other origins are refused"
    status = HTTPStatus.FORBIDDEN


def status_of(error: Exception, code: str) -> HTTPStatus:
    """Return the status of an error whose code is known."""
    if isinstance(error, RequestFormError):
        return error.status
    return STATUSES.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)
