"""`riskgate journal …`: read the journal of a data directory; no server needs to run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import AsJson, DataDir

journal = typer.Typer(help="Read the journal; no server needs to run.", no_args_is_help=True)

First = Annotated[
    int | None,
    typer.Option("--from", min=1, help="First entry number.", show_default="the oldest"),
]
Last = Annotated[
    int | None, typer.Option("--to", min=1, help="Last entry number.", show_default="the newest")
]
Shard = Annotated[str | None, typer.Option("--shard", help="Of a sharded engine: I/N.")]


@journal.command()
def ids(
    first: First = None,
    last: Last = None,
    data_dir: DataDir = None,
    shard: Shard = None,
    as_json: AsJson = False,
) -> None:
    """List entries, one line for each decision: numbers, time, kind, account, id and result."""
    from server.commands.entry_view import list_ids

    for entry in _read(data_dir, shard, first, last):
        for line in list_ids(entry):
            if as_json:
                typer.echo(json.dumps(line._asdict()))
            else:
                number, sequence, time, kind, *texts = line
                typer.echo(
                    f"{number:>10} {sequence:>10} {time} {kind:<6} "
                    + "  ".join(_printable(text) for text in texts if text)
                )


@journal.command()
def export(
    first: First = None,
    last: Last = None,
    data_dir: DataDir = None,
    shard: Shard = None,
    as_json: AsJson = True,  # noqa: ARG001 - JSON lines are the only form so far
) -> None:
    """Write entries as JSON lines with requests and answers decoded."""
    from server.commands.entry_view import view_entry

    for entry in _read(data_dir, shard, first, last):
        typer.echo(json.dumps(view_entry(entry), allow_nan=False))


@journal.command()
def verify(
    data_dir: DataDir = None,
    shard: Shard = None,
    from_record: Annotated[
        bool | None,
        typer.Option(
            "--from-record/--no-record",
            help="Whether PostgreSQL's checkpoints must be there too.",
            show_default="if it can be reached",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="Public key of the checkpoints (PEM).", show_default="from keys/"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the journal with its signed checkpoints; exit 1 if anything differs."""
    from server.commands.journal_verification import show_verified, verify_data_dir

    folder = find_folder(data_dir, shard)
    verified, notes = verify_data_dir(folder, shard, key, from_record=from_record)
    show_verified(verified, notes, as_json=as_json)
    if not verified.is_intact:
        raise typer.Exit(1)


def _read(
    data_dir: Path | None, shard: str | None, first: int | None, last: int | None
) -> Iterator[Any]:
    from server.journal.reader import read_entries

    folder = find_folder(data_dir, shard)
    return read_entries(folder, first, last)


def find_folder(data_dir: Path | None, shard: str | None) -> Path:
    """Return the folder of the journal that was asked for.

    Raises:
        NotFoundError: There is none.
    """
    from server.errors import InvalidFieldError, NotFoundError
    from server.settings import load_settings
    from server.shards import JOURNAL_FOLDER, Shard

    try:
        found = Shard.parse(shard or "0/1")
    except ValueError as error:
        raise InvalidFieldError("shard", str(error)) from error
    folder = found.folder(load_settings(data_dir=data_dir).data_dir, JOURNAL_FOLDER)
    if not folder.is_dir():
        raise NotFoundError("journal", folder.name)
    return folder


def _printable(text: str) -> str:
    """Keep what a client sent from steering the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
