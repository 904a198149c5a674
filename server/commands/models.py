"""`riskgate models …`: the register of signed models and risk policies."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from riskgate.v1 import model_pb2
from server.commands.control_port import (
    PUSH_DEADLINE_S,
    Actor,
    ControlAddress,
    Reason,
    call,
    control_client,
    note,
)
from server.commands.get import KINDS, list_entries
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json

models = typer.Typer(help="The register of signed models and risk policies.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(help="Semantic version, as in 1.0.0.")]
Purpose = Annotated[str, typer.Option("--purpose", help="What it is for: slippage or risk_policy.")]
_SLIPPAGE: Final = "slippage"


@models.command()
def push(
    directory: Annotated[Path, typer.Argument(help="Directory of the artifact.")],
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Verify an artifact on the server and register its version."""
    from server.loaders.artifact_store import read_artifact_directory

    files = [
        model_pb2.ModelFile(name=name, content=content)
        for name, content in read_artifact_directory(directory).items()
    ]
    request = model_pb2.PushModelRequest(files=files, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.models.PushModel, request, deadline_s=PUSH_DEADLINE_S)
    _show(answer, as_json=as_json)


@models.command()
def approve(
    version: Version,
    purpose: Purpose = _SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Approve a version by name."""
    request = model_pb2.ApproveModelRequest(purpose=purpose, version=version, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.models.ApproveModel, request)
    _show(answer, as_json=as_json)


@models.command()
def activate(
    version: Version,
    purpose: Purpose = _SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let an approved version speak."""
    request = model_pb2.ActivateModelRequest(
        purpose=purpose, version=version, note=note(by, reason)
    )
    with control_client(control, data_dir) as client:
        answer = call(client.models.ActivateModel, request)
    _show(answer, as_json=as_json)


@models.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; required.")],
    version: Annotated[
        str, typer.Option("--to", help="Version to return to; absent: the one before.")
    ] = "",
    purpose: Purpose = _SLIPPAGE,
    control: ControlAddress = None,
    by: Actor = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let an earlier version speak again."""
    request = model_pb2.RollbackModelRequest(
        purpose=purpose, version=version, note=note(by, reason)
    )
    with control_client(control, data_dir) as client:
        answer = call(client.models.RollbackModel, request)
    _show(answer, as_json=as_json)


@models.command("list")
def list_models(
    control: ControlAddress = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show every version."""
    with control_client(control, data_dir) as client:
        entries = dict(list_entries(client, KINDS["models"]))
    if as_json:
        print_json(list(entries.values()))
        return
    for entry in entries.values():
        typer.echo(_line(entry))


def _show(answer: Any, *, as_json: bool) -> None:
    view = view_message(answer)
    if as_json:
        print_json(view)
    else:
        typer.echo(_line(view["model"]))


def _line(model: dict[str, Any]) -> str:
    return (
        f"{model['purpose']} {model['version']:<10} {str(model['status']).lower():<11}"
        f" serial {model['serial']:<4} {model['digest'][:12]} by {model['author']}"
    )
