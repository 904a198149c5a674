"""`riskgate migrate`: bring the database to the form that this release needs."""

from typing import Annotated

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.embedded.probe import check_database, check_schema
from server.record.migrate import migrate as apply_migrations
from server.settings import load_settings
from server.stack_state import StackState


def migrate(
    data_dir: DataDir = None,
    database_url: Annotated[str | None, typer.Option(help="PostgreSQL to migrate.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, report drift.")] = False,
    as_json: AsJson = False,
) -> None:
    """Apply the migrations that are missing; with --check exit 1 when anything differs."""
    settings = load_settings(data_dir=data_dir, database_url=database_url)
    state = StackState.read(settings.data_dir)
    url = (
        state.database_url
        if state is not None and settings.database_url is None
        else settings.database_url_text()
    )
    # Says in words that it cannot be reached, before anything is tried.
    check_database(url)
    applied = [] if check else apply_migrations(url)
    problems = check_schema(url)
    if as_json:
        print_json({"ok": not problems, "applied": applied, "problems": problems})
    else:
        for name in applied:
            typer.echo(f"applied {name}")
        for problem in problems:
            typer.echo(problem, err=True)
        if not problems:
            typer.echo("the database is what this release needs")
    if problems:
        raise typer.Exit(1)
