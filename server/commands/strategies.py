"""`riskgate strategies enable`: let a strategy go on that its repeated executions have stopped."""

from typing import Annotated

import typer

from riskgate.v1 import risk_config_pb2
from server.commands.control_port import (
    Actor,
    ControlAddress,
    Otp,
    Reason,
    call,
    control_client,
    note,
)
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json

strategies = typer.Typer(
    help="Strategies that a limit on repeated executions has stopped.", no_args_is_help=True
)


@strategies.callback()
def configure() -> None:
    """Keep `enable` a command of its own although it is the only one."""


@strategies.command()
def enable(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    strategy_id: Annotated[str, typer.Argument(metavar="STRATEGY", help="As orders name it.")],
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let a strategy go on; its executions count from zero. Needs a reason."""
    request = risk_config_pb2.EnableStrategyRequest(
        account_id=account_id, strategy_id=strategy_id, note=note(by, reason)
    )
    with control_client(control, data_dir) as client:
        answer = call(client.risk_configurations.EnableStrategy, request, otp=otp)
    if as_json:
        print_json(view_message(answer))
        return
    enabled_at = answer.enabled_at.ToJsonString()
    typer.echo(f"{account_id}/{strategy_id} is enabled since {enabled_at}")
