"""Options that every command shares, how it reads settings, and how it prints JSON."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="RISKGATE_DATA_DIR",
        help="Data directory of the stack.",
        show_default=".riskgate",
    ),
]
InsecureLoopback = Annotated[
    bool | None,
    typer.Option(
        "--insecure-loopback",
        help="Serve without TLS, on loopback only: every caller on this machine may do everything.",
    ),
]
HttpListen = Annotated[
    str | None, typer.Option(help="HOST:PORT of HTTP/JSON on the control process; none without.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

Lane = Annotated[
    str | None, typer.Option(help="What serves the decision port: compiled or grpcio.")
]
BusyPollUs = Annotated[
    int | None,
    typer.Option(help="How long the compiled lane polls before it sleeps, microseconds."),
]


def print_json(value: Any) -> None:
    """Print one JSON document to standard output."""
    typer.echo(json.dumps(value, indent=2, sort_keys=False))
