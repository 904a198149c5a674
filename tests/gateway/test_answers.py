"""Every error has a status, and no status that blames the server unless it is to blame."""

from collections.abc import Iterator

import pytest

from server import statement_errors, trust_errors
from server.errors import ConflictError, InvalidFieldError, RiskgateError, UnavailableError
from server.gateway import refusals
from server.gateway.answers import refusal
from server.gateway.refusals import status_of
from server.trust_errors import JustificationMissingError, RateLimitedError

assert all((statement_errors, trust_errors, refusals))  # so that every class is known


def every_error(base: type[RiskgateError] = RiskgateError) -> Iterator[type[RiskgateError]]:
    yield base
    for kind in base.__subclasses__():
        yield from every_error(kind)


@pytest.mark.parametrize("kind", sorted(set(every_error()), key=str))
def test_every_error_has_a_status_of_its_own_kind(kind: type[RiskgateError]) -> None:
    status = status_of(kind.__new__(kind), kind.grpc_code)
    if kind.grpc_code == "INTERNAL":
        assert status == 500
    elif kind.grpc_code == "UNAVAILABLE":
        assert status == 503
    else:
        assert 400 <= status < 500


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            InvalidFieldError("breaker.symbols[3]", "is no symbol"),
            422,
            (
                b'{"code":"INVALID_ARGUMENT","message":"invalid field: symbols[3]: is no symbol",'
                b'"field":"symbols[3]"}'
            ),
        ),
        (
            JustificationMissingError(),
            422,
            (
                b'{"code":"INVALID_ARGUMENT","message":"a reason is required: X-Reason",'
                b'"field":"X-Reason"}'
            ),
        ),
        (
            ConflictError("circuit breaker", "7", expected_version=1, version=2),
            409,
            (
                b'{"code":"ABORTED","message":"changed meanwhile, read again: circuit breaker 7 '
                b'has version 2, expected 1","field":""}'
            ),
        ),
        (
            UnavailableError("record", "password of postgres"),
            503,
            b'{"code":"UNAVAILABLE","message":"temporarily unavailable: record","field":""}',
        ),
        (
            ValueError("inner text"),
            500,
            b'{"code":"INTERNAL","message":"internal error","field":""}',
        ),
    ],
)
def test_a_refusal_says_what_may_leave_the_process(
    error: Exception, status: int, body: bytes
) -> None:
    answer = refusal(error, "/a/b")
    assert (answer.status_code, answer.body) == (status, body)


@pytest.mark.parametrize(("wait_ms", "wait_s"), [(1, "1"), (1_000, "1"), (1_001, "2")])
def test_who_calls_too_often_hears_when_to_come_back(wait_ms: int, wait_s: str) -> None:
    assert refusal(RateLimitedError(wait_ms), "/a/b").headers["retry-after"] == wait_s
