"""`riskgate standby`: an engine in reserve, on this machine or on another one."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import BusyPollUs, DataDir, InsecureLoopback, Lane
from server.commands.processes import ShardOption, check_certificate
from server.settings import PKI_FOLDER, Settings, load_settings, uses_development_pki
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
    insecure_loopback: InsecureLoopback = None,
) -> None:
    """Follow an engine until SIGTERM; become the engine when `riskgate promote` asks for it.

    Needs a data directory of its own, and the Redis of the active engine.
    """
    said: dict[str, Any] = {
        "data_dir": data_dir,
        "lane": lane,
        "busy_poll_us": busy_poll_us,
        "shard": shard,
        "insecure_loopback": insecure_loopback,
    }
    settings = load_settings(**said)
    if follow is not None and uses_development_pki(settings):
        said |= _find_certificates(settings, follow)
        settings = load_settings(**said)
    # Looked for now: a promotion is no time to find that nobody could connect afterwards.
    check_certificate(settings)
    logging.getLogger().setLevel(settings.log_level)
    state = StackState.read(follow) if follow else None
    if settings.redis_url is None and state is not None:
        settings = load_settings(**said, redis_url=state.redis_url)
    from server.standby.process import run_standby

    run_standby(settings, follow)


def _find_certificates(settings: Settings, followed: Path) -> dict[str, Path]:
    """Return the files of the engine that is followed, unless this directory has its own."""
    names = ("tls_certificate", "tls_key", "tls_client_ca", "tls_crl")
    own = {name: getattr(settings, name) for name in names}
    if own["tls_certificate"].exists():
        return {}
    return {name: followed / PKI_FOLDER / path.name for name, path in own.items()}
