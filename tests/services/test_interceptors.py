"""Exceptions become statuses in one place, and nothing of ours leaks through them."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import BaseModel

from riskgate.v1 import reference_pb2 as pb
from riskgate.v1 import reference_pb2_grpc
from server.errors import BrokenInvariantError, InvalidFieldError, RiskgateError
from server.services.interceptors import ErrorInterceptor
from tests.control_harness import Control, play, refusal

METHOD = "/riskgate.v1.ReferenceService/GetInstrument"
SECRET = "/etc/riskgate/secret server.record.rows.Thing 'SELECT password'"  # noqa: S105 - a marker


class Form(BaseModel):
    width: int


def bad_form() -> None:
    Form.model_validate({"width": SECRET})


def raise_error(error: Exception) -> Any:
    def fail() -> None:
        raise error

    return fail


class Service(reference_pb2_grpc.ReferenceServiceServicer):
    def __init__(self, fail: Any) -> None:
        self._fail = fail

    async def GetInstrument(  # noqa: N802 - the name of the contract
        self, _request: Any, _context: Any
    ) -> Any:
        self._fail()
        return pb.GetInstrumentResponse()


async def ask(fail: Any, raw: bytes = b"") -> tuple[grpc.StatusCode, str, str]:
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    reference_pb2_grpc.add_ReferenceServiceServicer_to_server(Service(fail), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            return await refusal(channel.unary_unary(METHOD)(raw))  # type: ignore[call-arg]
    finally:
        await server.stop(0)


@pytest.mark.parametrize(
    ("fail", "code", "text", "field"),
    [
        (
            raise_error(InvalidFieldError("a.b[3]", "must be positive")),
            "INVALID_ARGUMENT",
            "invalid field: a.b[3]: must be positive",
            "a.b[3]",
        ),
        (raise_error(RiskgateError(SECRET)), "INTERNAL", RiskgateError.public_text, ""),
        (raise_error(BrokenInvariantError(SECRET)), "INTERNAL", RiskgateError.public_text, ""),
        (raise_error(ValueError(SECRET)), "INTERNAL", RiskgateError.public_text, ""),
        (raise_error(KeyError(SECRET)), "INTERNAL", RiskgateError.public_text, ""),
        (bad_form, "INVALID_ARGUMENT", "invalid field: width", "width"),
    ],
)
def test_call_when_handler_raises_then_code_and_fixed_text(
    fail: Any, code: str, text: str, field: str
) -> None:
    assert asyncio.run(ask(fail)) == (grpc.StatusCode[code], text, field)


@pytest.mark.parametrize(
    ("raw", "field"), [(b"\x0a\x02\xff\xff", "symbol"), (b"\xff\xff", "request")]
)
def test_call_when_message_is_malformed_then_invalid_argument(raw: bytes, field: str) -> None:
    code, text, named = asyncio.run(ask(bad_form, raw))
    assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert "protobuf" not in text.lower()


def test_call_when_postgres_breaks_inside_then_unavailable_or_internal_without_its_words(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        async with parts.pool.connection() as database:
            await database.execute("DROP TABLE riskgate.account CASCADE")
        code, text, _ = await refusal(
            parts.reference.GetAccount(pb.GetAccountRequest(account_id="A"))
        )
        assert (code, text) == (grpc.StatusCode.INTERNAL, RiskgateError.public_text)

    play(database_url, redis_url, tmp_path, scenario)
