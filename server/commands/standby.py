"""`riskgate standby`: an engine in reserve, on this machine or on another one."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import BusyPollUs, DataDir, Lane
from server.commands.processes import ShardOption
from server.settings import load_settings
from server.stack_state import StackState


def standby(
    follow: Annotated[
        Path | None,
        typer.Option(
            help="Data directory of the active engine. Without it, what that ships to Redis is "
            "followed (`riskgate ship`).",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    data_dir: DataDir = None,
    lane: Lane = None,
    busy_poll_us: BusyPollUs = None,
    shard: ShardOption = None,
) -> None:
    """Follow an engine until SIGTERM; become the engine when `riskgate promote` asks for it.

    Needs a data directory of its own, and the Redis of the active engine.
    """
    said = {"data_dir": data_dir, "lane": lane, "busy_poll_us": busy_poll_us, "shard": shard}
    settings = load_settings(**said)
    logging.getLogger().setLevel(settings.log_level)
    state = StackState.read(follow) if follow else None
    if settings.redis_url is None and state is not None:
        settings = load_settings(**said, redis_url=state.redis_url)
    from server.standby.process import run_standby

    run_standby(settings, follow)
