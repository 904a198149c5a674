"""`riskgate engine`, `control`, `recorder`, `warm`: one process each.

`riskgate serve` starts the first three; in containers of their own they are started directly. URLs
that the settings leave open come from the running stack of the data directory, if there is one.
"""

import logging
from typing import Annotated, Any

import typer

from server.commands.options import BusyPollUs, DataDir, HttpListen, InsecureLoopback, Lane
from server.errors import ConfigurationError
from server.settings import Settings, load_settings
from server.stack_state import StackState

ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Which of N engines this is, 0/N for the first."),
]


def engine(
    data_dir: DataDir = None,
    lane: Lane = None,
    busy_poll_us: BusyPollUs = None,
    shard: ShardOption = None,
    insecure_loopback: InsecureLoopback = None,
) -> None:
    """Serve decisions until SIGTERM. Needs the data directory and Redis."""
    settings = _load(
        data_dir=data_dir,
        lane=lane,
        busy_poll_us=busy_poll_us,
        shard=shard,
        insecure_loopback=insecure_loopback,
    )
    check_certificate(settings)
    from server.engine_process import run_engine

    run_engine(settings)


def control(
    data_dir: DataDir = None,
    http_listen: HttpListen = None,
    insecure_loopback: InsecureLoopback = None,
) -> None:
    """Serve the control plane and publish changes until SIGTERM. Needs PostgreSQL and Redis."""
    settings = _load(
        data_dir=data_dir, http_listen=http_listen, insecure_loopback=insecure_loopback
    )
    check_certificate(settings)
    from server.control import run_control

    run_control(settings)


def recorder(data_dir: DataDir = None, shard: ShardOption = None) -> None:
    """Copy the journal into PostgreSQL and write snapshots, until SIGTERM."""
    settings = _load(data_dir=data_dir, shard=shard)
    from server.recorder.process import run_recorder

    run_recorder(settings)


def ship(data_dir: DataDir = None, shard: ShardOption = None) -> None:
    """Ship the journal to Redis, for a standby on another machine, until SIGTERM."""
    settings = _load(data_dir=data_dir, shard=shard)
    from server.standby.shipping import run_shipping

    run_shipping(settings)


def warm() -> None:
    """Compile the kernels into the cache, so that the next engine starts quickly."""
    from server.entities import ProviderFigures
    from server.policy import default_policy_row
    from server.provider_score import score
    from server.warming import warm_kernels

    warm_kernels()
    score(ProviderFigures(), default_policy_row()[0])


def check_certificate(settings: Settings) -> None:
    """Look whether there is something to serve TLS from.

    Raises:
        ConfigurationError: Says what to do.
    """
    path = settings.tls_certificate
    if path is not None and not path.exists():
        mend = "`riskgate pki init` makes one, tls_* settings name your own"
        raise ConfigurationError([f"tls_certificate: {path} does not exist: {mend}"])


def _load(**said: Any) -> Settings:
    settings = load_settings(**said)
    logging.getLogger().setLevel(settings.log_level)
    state = StackState.read(settings.data_dir)
    if state is None:
        return settings
    urls = {"database_url": state.database_url, "redis_url": state.redis_url}
    missing = {name: url for name, url in urls.items() if getattr(settings, name) is None}
    return load_settings(**said, **missing)
