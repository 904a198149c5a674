"""How a command reaches the control port, and what it says when that fails."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer

from riskgate.channel import StackNotFoundError
from riskgate.control import ControlClient
from riskgate.v1 import admin_pb2
from server.errors import RiskgateError, UnavailableError

ControlAddress = Annotated[
    str | None,
    typer.Option("--control", help="Control port HOST:PORT; absent: that of the data directory."),
]
Actor = Annotated[
    str | None, typer.Option("--by", help="Who asks; absent: the name of the operating system.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")]


def _ask_for_code(otp: str | None) -> str | None:
    # Others on the machine can read a command line while the code on it is still unused.
    return typer.prompt("One-time code", hide_input=True, err=True) if otp == "-" else otp


Otp = Annotated[
    str | None,
    typer.Option(
        "--otp",
        envvar="RISKGATE_OTP",
        callback=_ask_for_code,
        help="One-time code of your authenticator, where a change asks for one; - asks for it.",
    ),
]

DEADLINE_S: Final = 10.0
# Verification of a pushed model runs a child process.
PUSH_DEADLINE_S: Final = 60.0
OTP_KEY: Final = "riskgate-otp"


@contextmanager
def control_client(address: str | None, data_dir: Path | None) -> Iterator[ControlClient]:
    """Open a client of the named control port, or of the stack in the data directory.

    Raises:
        UnavailableError: no stack runs there, or a certificate for it cannot be read.
    """
    try:
        client = ControlClient(address) if address else ControlClient.from_data_dir(data_dir)
    except (StackNotFoundError, ValueError) as error:
        raise UnavailableError("control port", str(error)) from error
    with client:
        yield client


def call(
    method: Any,
    request: Any,
    path: str = "",
    *,
    deadline_s: float = DEADLINE_S,
    otp: str | None = None,
) -> Any:
    """Call a method of the control port.

    Args:
        method: stub of the method.
        request: its request message, or an iterator of them.
        path: place in the caller's input that the request comes from, for the error.
        deadline_s: longest wait.
        otp: one-time code; None: none is sent.

    Raises:
        RiskgateError: the call was refused or failed; names the place.
    """
    metadata = ((OTP_KEY, otp),) if otp else ()
    try:
        return method(request, timeout=deadline_s, wait_for_ready=True, metadata=metadata)
    except grpc.RpcError as error:
        raise RiskgateError(": ".join(filter(None, (path, _explain(error))))) from error


def call_or_none(method: Any, request: Any, path: str = "") -> Any | None:
    """Call a method; None when what it asks for does not exist."""
    try:
        return method(request, timeout=DEADLINE_S, wait_for_ready=True)
    except grpc.RpcError as error:
        if _code(error) == grpc.StatusCode.NOT_FOUND:
            return None
        raise RiskgateError(": ".join(filter(None, (path, _explain(error))))) from error


def note(actor: str | None, reason: str) -> admin_pb2.ChangeNote:
    """Return who asks and why."""
    return admin_pb2.ChangeNote(actor=actor or _login(), reason=reason)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()
    return code


def _explain(error: Any) -> str:
    code = _code(error)
    details = str(error.details() or "")
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return f"the control port does not answer ({details or code.name.lower()})"
    return details or code.name.lower()
