"""`riskgate serve`: the whole stack of one data directory in the foreground."""

import logging
from typing import Annotated

import typer

from server.commands.options import (
    AsJson,
    BusyPollUs,
    DataDir,
    HttpListen,
    InsecureLoopback,
    Lane,
)
from server.engine_ports import check_ports
from server.settings import load_settings
from server.supervisor import Supervisor


def serve(
    data_dir: DataDir = None,
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL to use instead of the embedded one.")
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option(help="Redis to use instead of the embedded one.")
    ] = None,
    decision_listen: Annotated[
        str | None, typer.Option(help="HOST:PORT of decisions, or unix:/absolute/path.")
    ] = None,
    control_listen: Annotated[str | None, typer.Option(help="HOST:PORT of control.")] = None,
    http_listen: HttpListen = None,
    metrics_listen: Annotated[str | None, typer.Option(help="HOST:PORT of metrics.")] = None,
    lane: Lane = None,
    busy_poll_us: BusyPollUs = None,
    shards: Annotated[
        int | None, typer.Option(help="Engines that share the accounts, each with its own port.")
    ] = None,
    insecure_loopback: InsecureLoopback = None,
    check_config: Annotated[
        bool, typer.Option("--check-config", help="Check the settings and exit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start engine and control with embedded PostgreSQL and Redis, and keep them running.

    Both ports want client certificates; without tls_* settings a development authority in the data
    directory issues them (`riskgate pki issue`).
    """
    settings = load_settings(
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        decision_listen=decision_listen,
        control_listen=control_listen,
        http_listen=http_listen,
        metrics_listen=metrics_listen,
        lane=lane,
        busy_poll_us=busy_poll_us,
        shards=shards,
        insecure_loopback=insecure_loopback,
    )
    check_ports(settings)
    logging.getLogger().setLevel(settings.log_level)
    if check_config:
        typer.echo("the settings are fine")
        return
    Supervisor(settings, as_json=as_json).run()
