"""`riskgate secrets …`: keys of what is stored encrypted, and second factors that were lost.

Needs the data directory and the record themselves, not the control port: for the operator of the
machine.
"""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.errors import NotFoundError
from server.settings import Settings, load_settings
from server.stack_state import StackState

secrets = typer.Typer(help="Keys of what is stored encrypted.", no_args_is_help=True)

DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="PostgreSQL of the record; absent: that of the data directory."),
]


@secrets.command()
def rotate(
    data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Make a new key, encrypt every value with it, and remove keys that nothing names any more.

    Processes that run take the new key by themselves. The key before stays until the next rotation.
    """
    from server.record.pool import open_pool
    from server.record.sealed_fields import Rotation, rotate_keys
    from server.security.field_encryption import KeyRing

    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def run() -> Rotation:
        async with open_pool(_database_url(settings)) as pool:
            ring = KeyRing.load(settings.data_dir / "keys")
            return await rotate_keys(pool, ring, now_s=time.time())

    done = asyncio.run(run())
    if as_json:
        print_json({"key": done.newest, "values": done.values, "forgotten": done.forgotten})
    else:
        typer.echo(f"{done.values} values are encrypted with key {done.newest}")
        for key_id in done.forgotten:
            typer.echo(f"removed key {key_id}, which nothing names any more")


@secrets.command("forget-second-factor")
def forget_second_factor(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Whose authenticator is lost.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the audit log.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Remove the second factor of an identity, so that it can enroll again.

    For when the authenticator is lost, or locked and nobody else is left who could restore it.
    """
    from server.record.admin_change import Note, admin_change
    from server.record.pool import open_pool
    from server.record.second_factor import SecondFactorRepository

    settings = load_settings(data_dir=data_dir, database_url=database_url)

    async def run() -> None:
        async with (
            open_pool(_database_url(settings)) as pool,
            admin_change(pool, Note("operator of the machine", reason)) as change,
        ):
            if not await SecondFactorRepository().forget(change.database, uri):
                raise NotFoundError("second factor", uri)
            await change.audit("forget", "second factor", uri)

    asyncio.run(run())
    typer.echo(f"{uri} has no second factor any more; riskgate identities enroll makes one")


def _database_url(settings: Settings) -> str:
    state = StackState.read(Path(settings.data_dir))
    if state is not None and settings.database_url is None:
        return state.database_url
    return settings.database_url_text()
