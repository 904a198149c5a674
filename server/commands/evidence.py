"""`riskgate evidence DECISION_ID`: one file that proves a decision to whoever has only that."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import DataDir
from server.commands.replay_options import ShardName, open_source


def evidence(
    decision_id: Annotated[
        int | None, typer.Argument(min=1, help="Id of the decision.", show_default=False)
    ] = None,
    epoch: Annotated[int | None, typer.Option(min=1, help="Epoch that must have made it.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File to write; absent: evidence-ID.json.")
    ] = None,
    pins: Annotated[
        bool,
        typer.Option("--pins", help="Show what an auditor must be given beforehand, and stop."),
    ] = False,
    shard: ShardName = None,
    data_dir: DataDir = None,
) -> None:
    """Write request, inputs, model, approvals and proofs of a decision into one file."""
    from server.commands.explain import view_explanation
    from server.errors import ConfigurationError
    from server.evidence import collect_evidence, read_pins
    from server.replays.explaining import explain
    from server.settings import load_settings
    from server.shards import Shard
    from server.stack_state import StackState

    settings = load_settings(data_dir=data_dir)
    if pins:
        typer.echo(" ".join(read_pins(settings.data_dir)))
        return
    if decision_id is None:
        raise typer.BadParameter("name a decision, or ask for --pins")
    state = StackState.read(settings.data_dir)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    url = url or (state.database_url if state else None)
    if url is None:
        raise ConfigurationError(["database_url: not set, and no stack runs in the data directory"])
    found = explain(open_source(data_dir, None, shard), decision_id, epoch)
    proofs = asyncio.run(
        collect_evidence(
            settings.data_dir,
            Shard.parse(shard or "0/1"),
            url,
            found.entry_number,
            found.answer.model_digest,
        )
    )
    document: dict[str, Any] = {"decision": view_explanation(found), **proofs}
    path = out or Path(f"evidence-{decision_id}.json")
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    typer.echo(
        f"{path}; verify it with: python scripts/verify_evidence.py {path} followed by what "
        "`riskgate evidence --pins` has told the auditor beforehand"
    )
