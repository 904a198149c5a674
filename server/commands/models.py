"""`riskgate models …`: the register of signed models and risk policies."""

from pathlib import Path
from typing import Annotated, Any

import typer

from riskgate.v1 import model_pb2
from server.commands import model_moves
from server.commands.control_port import (
    PUSH_DEADLINE_S,
    Actor,
    ControlAddress,
    Reason,
    call,
    control_client,
    note,
)
from server.commands.export_openssf import export_openssf
from server.commands.get import KINDS, list_entries
from server.commands.message_view import view_message
from server.commands.model_moves import describe_model, show_model
from server.commands.options import AsJson, DataDir, print_json

models = typer.Typer(help="The register of signed models and risk policies.", no_args_is_help=True)

_PAGE_SIZE = 1_000


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
    show_model(answer, as_json=as_json)


for command in (
    model_moves.propose,
    model_moves.approve,
    model_moves.activate,
    model_moves.rollback,
    model_moves.move,
    model_moves.revoke,
    export_openssf,
):
    models.command()(command)


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
        typer.echo(describe_model(entry))


@models.command()
def events(
    purpose: Annotated[str, typer.Option("--purpose", help="Of this purpose only.")] = "",
    version: Annotated[str, typer.Option("--version", help="Of this version only.")] = "",
    first: Annotated[int, typer.Option("--from", min=1, help="First event.")] = 1,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show every move of every version, oldest first."""
    shown: list[dict[str, Any]] = []
    with control_client(control, data_dir) as client:
        while first:
            request = model_pb2.ListDeploymentEventsRequest(
                purpose=purpose, version=version, from_event_id=first, page_size=_PAGE_SIZE
            )
            answer = call(client.models.ListDeploymentEvents, request)
            shown += map(view_message, answer.events)
            first = answer.next_event_id
    if as_json:
        print_json(shown)
        return
    for each in shown:
        before = str(each["status_before"] or "new").lower()
        typer.echo(
            f"{each['event_id']:>6} {each['occurred_at']} {each['purpose']} {each['version']:<10}"
            f" {each['event']:<9} {before} → {str(each['status_after']).lower()}"
            f"  {each['identity']}  {each['reason']}"
        )


@models.command()
def replicas(
    control: ControlAddress = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show what each engine says it runs, and whether that is what the record says."""
    with control_client(control, data_dir) as client:
        answer = call(client.models.ListReplicas, model_pb2.ListReplicasRequest())
    shown = [view_message(each) for each in answer.replicas]
    if as_json:
        print_json(shown)
        return
    for each in shown:
        model = each["model_digest"][:12] or "none"
        typer.echo(
            f"{each['shard']:<6} {each['address']:<22} epoch {each['epoch']:<5} model {model}"
            f" serial {each['model_serial']:<4} policy {each['policy_digest'][:12]}"
            f" {'proven' if each['is_proven'] else 'NOT PROVEN'} at {each['said_at']}"
        )
