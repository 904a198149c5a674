"""`riskgate ledger …`: whether the record of all moves of models is still as it was signed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import AsJson, DataDir, print_json

ledger = typer.Typer(
    help="The ledger of models: every move, in a Merkle tree.", no_args_is_help=True
)


@ledger.command()
def verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of signed heads; repeat to compare.", show_default="heads/"),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--witness-key", help="Public key of the heads (PEM); absent: from keys/."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Compare the ledger with itself, with the events and with signed heads; exit 1 on a fault."""
    from server.commands.ledger_verification import verify_ledger

    account = verify_ledger(data_dir, heads or [], key)
    if as_json:
        print_json({"intact": not account.faults, **asdict(account)})
    else:
        for fault in account.faults:
            typer.echo(f"entry {fault.entry_id} {fault.problem}", err=True)
        typer.echo(
            f"{account.head.entries} entries: "
            + (
                "NOT intact"
                if account.faults
                else f"intact, signed up to entry {account.signed_entries}"
            )
        )
    if account.faults:
        raise typer.Exit(1)


@ledger.command()
def proof(
    entry_id: Annotated[int, typer.Argument(metavar="ENTRY", min=1, help="Number of the entry.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show an entry with the proof that a signed head covers it."""
    from server.commands.ledger_verification import prove_entry

    proved = prove_entry(data_dir, entry_id)
    if as_json:
        print_json(proved)
        return
    for name, value in sorted(json.loads(proved["entry"]).items()):
        typer.echo(f"  {name:<16} {value if value != '' else '-'}")
    said = proved["ledger"]
    typer.echo(f"is entry {entry_id} of {said['entries']} under root {said['root']}")
