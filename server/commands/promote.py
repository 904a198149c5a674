"""`riskgate promote`: the standby of a data directory takes the place of the engine it follows."""

from typing import Annotated

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.commands.processes import ShardOption
from server.settings import load_settings
from server.shards import Shard
from server.standby.promotion_port import ask_for_promotion, socket_path


def promote(
    data_dir: DataDir = None,
    shard: ShardOption = None,
    primary_is_dead: Annotated[
        bool,
        typer.Option(
            "--primary-is-dead",
            help="Do not wait 30 s for an engine that cannot be reached: it runs no more, I know.",
        ),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long to wait for the standby.")
    ] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Fence the active engine and let the running standby of the data directory serve instead."""
    settings = load_settings(data_dir=data_dir, shard=shard)
    said = ask_for_promotion(
        socket_path(settings.data_dir, Shard.parse(settings.shard)),
        primary_is_dead=primary_is_dead,
        timeout_s=timeout,
    )
    if as_json:
        print_json(said)
        return
    if said["missing_entries"]:
        typer.echo(f"LOST: {said['missing_entries']} entries that were not shipped", err=True)
    typer.echo(
        f"promoted: epoch {said['epoch']} goes on behind entry {said['entry_number']} after "
        f"{said['took_ms']:.0f} ms. The engine before cannot decide any more: {said['proof']}. "
        f"The new one serves {said['decision_listen']} as soon as its feed is current.\n"
        "Next: point the callers there, and run control and recorder with its data directory; "
        "the directory before may only be read."
    )
