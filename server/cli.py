"""`riskgate …`: the command line.

Each command is loaded only when it is called, so that `riskgate decide` starts quickly: this module
imports typer and nothing heavy of ours. To add a command, write `server/commands/<noun>.py` and
give it a line in `_COMMANDS`. The trainer's commands come in by the entry points of the group
`riskgate.commands`, because server and trainer never import each other.
"""

import importlib
import importlib.util
import logging
import os
import resource
from importlib.metadata import entry_points
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from server.errors import RiskgateError

_ENTRY_POINTS: Final = "riskgate.commands"
# Name → `module:attribute`, which is a function or a Typer app with commands of its own.
_COMMANDS: Final = {
    "serve": "server.commands.serve:serve",
    "engine": "server.commands.processes:engine",
    "control": "server.commands.processes:control",
    "recorder": "server.commands.processes:recorder",
    "standby": "server.commands.standby:standby",
    "promote": "server.commands.promote:promote",
    "ship": "server.commands.processes:ship",
    "warm": "server.commands.processes:warm",
    "migrate": "server.commands.migrate:migrate",
    "doctor": "server.commands.doctor:doctor",
    "pki": "server.commands.pki:pki",
    "trust": "server.commands.trust:trust",
    "decide": "server.commands.decide:decide",
    "kill": "server.commands.kill:kill",
    "kills": "server.commands.kill:kills",
    "rearm": "server.commands.kill:rearm",
    "drill": "server.commands.drill:drill",
    "apply": "server.commands.apply:apply",
    "get": "server.commands.get:get",
    "breakers": "server.commands.breakers:breakers",
    "strategies": "server.commands.strategies:strategies",
    "identities": "server.commands.identities:identities",
    "secrets": "server.commands.secrets:secrets",
    "models": "server.commands.models:models",
    "policy": "server.commands.policy:policy",
    "journal": "server.commands.journal:journal",
    "audit": "server.commands.audit:audit",
    "ledger": "server.commands.ledger:ledger",
    "replay": "server.commands.replay:replay",
    "explain": "server.commands.explain:explain",
    "evidence": "server.commands.evidence:evidence",
    "controls": "server.commands.controls:controls",
    "simulate": "server.commands.simulate:simulate",
}


class LazyGroup(TyperGroup):
    """Loads the module of a command when that command is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names for the help, in the order of the table."""
        own = [name for name, target in _COMMANDS.items() if _is_present(target)]
        return own + sorted(point.name for point in entry_points(group=_ENTRY_POINTS))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command; None lets the group report an unknown name."""
        target = _COMMANDS.get(cmd_name)
        if target is not None:
            return _load(cmd_name, target) if _is_present(target) else None
        for point in entry_points(group=_ENTRY_POINTS, name=cmd_name):
            return _to_command(cmd_name, point.load())
        return None

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a named failure becomes its text and exit status 1."""
        try:
            return super().invoke(ctx)
        except RiskgateError as error:
            typer.echo(f"riskgate: {error}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    name="riskgate",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


Certificate = Annotated[
    str | None,
    typer.Option(
        "--certificate", metavar="FILE", help="PEM file that says who you are to a stack with TLS."
    ),
]
Key = Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its private key.")]
Ca = Annotated[
    str | None,
    typer.Option("--ca", metavar="FILE", help="Who vouches for the server's certificate."),
]


@app.callback()
def configure(certificate: Certificate = None, key: Key = None, ca: Ca = None) -> None:
    """Pre-trade risk decisions: may this order go, how large, and why not?

    Commands of a data directory show its operator's certificate unless told another one, here or by
    RISKGATE_CERTIFICATE, RISKGATE_KEY and RISKGATE_CA.
    """
    said = {"RISKGATE_CERTIFICATE": certificate, "RISKGATE_KEY": key, "RISKGATE_CA": ca}
    # Where the clients look (riskgate/credentials.py), and the processes that a command starts.
    os.environ.update({name: path for name, path in said.items() if path is not None})
    # Memory holds keys: neither a command nor what it starts leaves a core dump.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # One line per event on standard error.
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


def _is_present(target: str) -> bool:
    return importlib.util.find_spec(target.partition(":")[0]) is not None


def _load(name: str, target: str) -> Any:
    module, _, attribute = target.partition(":")
    return _to_command(name, getattr(importlib.import_module(module), attribute))


def _to_command(name: str, found: Any) -> Any:
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    command = get_command(found)
    command.name = name
    return command
