"""The one error of the client.

Whatever goes wrong between the caller and a decision ends in `NoDecisionError`: no decision was
made, so the order must not be sent. A denied order is not an error: it is an answer with
`VERDICT_DENY` and its reasons.
"""

import re
from typing import Any, Final, Self

import grpc

from riskgate.v1 import decision_pb2

# The server names the field at fault in this trailing metadata, or else in its text.
FIELD_KEY: Final = "riskgate-field"
_FIELD_IN_TEXT: Final = re.compile(r"^invalid field: ([A-Za-z0-9_.\[\]]+)")
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class NoDecisionError(Exception):
    """No decision was made: do not trade.

    Attributes:
        code: gRPC status of the failure.
        field: Field of the request at fault, as in `stop_loss`; empty when it is not about a field.
        detail: What the server, or this client, says about it.
    """

    def __init__(self, code: grpc.StatusCode, detail: str = "", field: str = "") -> None:
        self.code = code
        self.field = field
        self.detail = detail
        super().__init__(code, detail, field)

    def __str__(self) -> str:
        return (
            f"no decision was made: do not trade ({self.code.name}: {self.detail or 'no detail'})"
        )

    @classmethod
    def from_rpc(cls, error: grpc.RpcError) -> Self:
        """Return the error of a call that ended with a gRPC status."""
        code: grpc.StatusCode = error.code()
        detail: str = error.details() or ""
        trailing: Any = error.trailing_metadata() or ()
        named = [str(value) for key, value in trailing if key == FIELD_KEY]
        return cls(code, detail, named[0] if named else _find_field(detail))

    @classmethod
    def from_item(cls, error: decision_pb2.RequestError) -> Self:
        """Return the error of one item of a batch or a stream."""
        code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
        return cls(code, error.message, error.field)


def _find_field(detail: str) -> str:
    match = _FIELD_IN_TEXT.match(detail)
    return match.group(1) if match else ""
