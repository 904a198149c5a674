"""`riskgate models propose|approve|activate|rollback|move|revoke`: what changes who speaks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from riskgate.v1 import model_pb2
from server.commands.control_port import (
    Actor,
    ControlAddress,
    Otp,
    call,
    control_client,
    note,
)
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json
from server.errors import InvalidFieldError, NotFoundError, PreconditionError
from server.semantic_version import normalise
from server.settings import load_settings

if TYPE_CHECKING:
    from server.security.activation import ActivationStatement

Version = Annotated[str, typer.Argument(help="Semantic version, as in 1.0.0.")]
Purpose = Annotated[str, typer.Option("--purpose", help="What it is for: slippage or risk_policy.")]
Why = Annotated[str, typer.Option("--reason", help="Why; required, kept for good.")]
SLIPPAGE: Final = "slippage"
_PROPOSALS: Final = "proposals"
_PEOPLE: Final = ("risk", "technology")


def propose(
    version: Version,
    reason: Why,
    fallback: Annotated[
        str, typer.Option("--fallback", help="Where a rollback goes; absent: what is active now.")
    ] = "",
    hours: Annotated[
        int, typer.Option("--expires-in-hours", min=1, max=24, help="For how long it is good.")
    ] = 24,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File for the statement to be signed.",
            show_default="proposals/ in the data directory",
        ),
    ] = None,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Ask for the activation of a version: writes the statement that two people have to sign."""
    request = model_pb2.ProposeActivationRequest(
        purpose=purpose,
        version=version,
        fallback_version=fallback,
        expires_in_hours=hours,
        note=note(by, reason),
    )
    with control_client(control, data_dir) as client:
        answer = call(client.models.ProposeActivation, request)
    path = out or _statement_path(data_dir, purpose, answer.model.version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(answer.statement)
    if as_json:
        print_json({"statement": json.loads(answer.statement), "file": str(path)})
        return
    _show_statement(answer.statement)
    typer.echo(f"written to {path}; next: riskgate models approve {answer.model.version}")


def approve(
    version: Version,
    reason: Why,
    key: Annotated[
        Path | None, typer.Option("--key", help="Your approver key, Ed25519 PEM; stays here.")
    ] = None,
    person: Annotated[
        str | None,
        typer.Option("--as", help="Development keys of the data directory: risk|technology|both."),
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option(
            "--statement",
            help="The proposed statement.",
            show_default="proposals/ in the data directory, else what the server has",
        ),
    ] = None,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Sign the proposed statement here, with your own key, and send the signature."""
    from server.security.keys import load_private_key
    from server.security.statements import sign_statement

    payload = _read_statement(statement, data_dir, purpose, version)
    keys = [load_private_key(path) for path in _key_paths(key, person, data_dir)]
    with control_client(control, data_dir) as client:
        if payload is None:
            payload = _fetch_statement(client, purpose, version)
            # Nobody here has seen it before, so scripts are shown it too.
            _show_statement(payload, to_stderr=as_json)
        elif not as_json:
            _show_statement(payload)
        for each in keys:
            request = model_pb2.ApproveModelRequest(
                purpose=purpose,
                version=version,
                envelope=sign_statement(payload, "activation", each),
                note=note(by, reason),
            )
            answer = call(client.models.ApproveModel, request)
    show_model(answer, as_json=as_json)


def activate(
    version: Version,
    reason: Why,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let an approved version speak."""
    request = model_pb2.ActivateModelRequest(
        purpose=purpose, version=version, note=note(by, reason)
    )
    with control_client(control, data_dir) as client:
        answer = call(client.models.ActivateModel, request, otp=otp)
    show_model(answer, as_json=as_json)


def rollback(
    reason: Why,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Go back to the fallback that the approval of the active version named."""
    request = model_pb2.RollbackModelRequest(purpose=purpose, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.models.RollbackModel, request, otp=otp)
    if as_json or answer.HasField("model"):
        show_model(answer, as_json=as_json)
    else:
        typer.echo(f"{purpose}: nothing speaks any more, the rule answer does")


def move(
    version: Version,
    status: Annotated[str, typer.Argument(help="Where to, as in testing or archived.")],
    reason: Why,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Move a version that is not active along its lifecycle."""
    try:
        request = model_pb2.MoveModelRequest(
            purpose=purpose,
            version=version,
            status=f"MODEL_STATUS_{status.upper()}",
            note=note(by, reason),
        )
    except ValueError as error:
        raise InvalidFieldError("status", "is unknown") from error
    with control_client(control, data_dir) as client:
        answer = call(client.models.MoveModel, request)
    show_model(answer, as_json=as_json)


def revoke(
    version: Version,
    reason: Why,
    purpose: Purpose = SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """End a version for good; if it speaks, its fallback does from then on."""
    request = model_pb2.RevokeModelRequest(purpose=purpose, version=version, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.models.RevokeModel, request, otp=otp)
    show_model(answer, as_json=as_json)


def show_model(answer: Any, *, as_json: bool) -> None:
    """Print the version that an answer is about."""
    view = view_message(answer)
    if as_json:
        print_json(view)
    else:
        typer.echo(describe_model(view["model"]))


def describe_model(model: dict[str, Any]) -> str:
    """Return one line about a version."""
    signed = f", signed by {' and '.join(model['approvers'])}" if model["approvers"] else ""
    return (
        f"{model['purpose']} {model['version']:<10} {str(model['status']).lower():<11}"
        f" serial {model['serial']:<4} {model['digest'][:12]} by {model['author']}{signed}"
    )


def _key_paths(key: Path | None, person: str | None, data_dir: Path | None) -> Iterator[Path]:
    if (key is None) == (person is None):
        raise PreconditionError("name either --key FILE or --as risk, technology or both")
    if key is not None:
        yield key
        return
    if person not in {*_PEOPLE, "both"}:
        raise InvalidFieldError("--as", "must be risk, technology or both")
    from server.security.keys import APPROVER_RISK_KEY_FILE, APPROVER_TECHNOLOGY_KEY_FILE

    folder = load_settings(data_dir=data_dir).data_dir / "keys"
    files = zip(_PEOPLE, (APPROVER_RISK_KEY_FILE, APPROVER_TECHNOLOGY_KEY_FILE), strict=True)
    for name, file in files:
        if person in {name, "both"}:
            yield folder / file


def _read_statement(
    path: Path | None, data_dir: Path | None, purpose: str, version: str
) -> bytes | None:
    """Return the statement to be signed; None: no file was named, and none is in its place.

    Raises:
        NotFoundError: The file that was named cannot be read, or another one cannot.
        PreconditionError: It is about something else.
        StatementError: It is no activation statement.
    """
    place = path or _statement_path(data_dir, purpose, _normalise(version))
    try:
        payload = place.read_bytes()
    except OSError as error:
        if path is None and isinstance(error, FileNotFoundError):
            return None
        raise NotFoundError("proposed statement", str(place)) from error
    _require_about(payload, purpose, version)
    return payload


def _fetch_statement(client: Any, purpose: str, version: str) -> bytes:
    """Return the statement that the server takes signatures of now, if it is what it says.

    Raises:
        PreconditionError: Nothing is proposed, or it is about something else.
        StatementError: It is no activation statement.
    """
    request = model_pb2.GetModelRequest(purpose=purpose, version=version)
    answer = call(client.models.GetModel, request)
    payload = bytes(answer.proposed_statement)
    if not payload:
        raise PreconditionError("nothing is proposed: propose the activation first")
    if _require_about(payload, purpose, version).digest != answer.model.digest.hex():
        raise PreconditionError(f"the statement is about another artifact than {version}")
    return payload


def _require_about(payload: bytes, purpose: str, version: str) -> "ActivationStatement":
    from server.security.activation import parse_activation

    said = parse_activation(payload)
    if (said.purpose, said.version) != (purpose, _normalise(version)):
        raise PreconditionError(f"the statement is about {said.purpose} {said.version}")
    return said


def _normalise(version: str) -> str:
    try:
        return normalise(version)
    except ValueError as error:
        raise InvalidFieldError("version", "must be MAJOR.MINOR.PATCH") from error


def _statement_path(data_dir: Path | None, purpose: str, version: str) -> Path:
    folder = load_settings(data_dir=data_dir).data_dir / _PROPOSALS
    return folder / f"{purpose}-{version}.json"


def _show_statement(payload: bytes, *, to_stderr: bool = False) -> None:
    for name, value in sorted(json.loads(payload).items()):
        typer.echo(f"  {name:<16} {value if value != '' else '-'}", err=to_stderr)
