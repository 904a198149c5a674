"""Options of the commands that replay a journal, and what they replay it from."""

from pathlib import Path
from typing import Annotated, Any

import typer

FirstSequence = Annotated[
    int | None,
    typer.Option("--from", min=1, help="First decision id.", show_default="the oldest"),
]
LastSequence = Annotated[
    int | None, typer.Option("--to", min=1, help="Last decision id.", show_default="the newest")
]
JournalFolder = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        help="Folder of the segments; snapshots are looked for beside it.",
        show_default="that of the data directory",
    ),
]
ShardName = Annotated[str | None, typer.Option("--shard", help="Of a sharded engine: I/N.")]


def open_source(data_dir: Path | None, journal: Path | None, shard: str | None) -> Any:
    """Return the ReplaySource that was asked for; models come from the data directory.

    Raises:
        NotFoundError: There is no such journal.
    """
    from server.commands.journal import find_folder
    from server.errors import NotFoundError
    from server.loaders.model_source import ModelSource
    from server.replays.source import ReplaySource
    from server.settings import load_settings

    folder = find_folder(data_dir, shard) if journal is None else journal
    if not folder.is_dir():
        raise NotFoundError("journal", folder.name)
    # `journal-0of2` has its snapshots in `snapshots-0of2`.
    snapshots = folder.with_name(folder.name.replace("journal", "snapshots", 1))
    settings = load_settings(data_dir=data_dir)
    models = ModelSource(settings.data_dir, settings.artifact_store_url)
    return ReplaySource(folder, snapshots, models.find)
