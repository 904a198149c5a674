"""`riskgate kill … | rearm … | kills`: stop orders everywhere at once, and let them go again."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from riskgate.channel import DATA_DIR_DEFAULT
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import types_pb2
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
from server.errors import InvalidFieldError
from server.kill_calls import Confirmation, KillCall, is_complete

NOT_COMPLETE_EXIT_CODE: Final = 2
_PAGE_SIZE: Final = 1_000
_PROVIDER_TYPES: Final = {
    "channel_source": types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE,
    "user": types_pb2.PROVIDER_TYPE_USER,
}

Global = Annotated[bool, typer.Option("--global", help="Every order.")]
Account = Annotated[str, typer.Option("--account", help="Orders of this account.")]
Connection = Annotated[
    str, typer.Option("--connection", metavar="URI", help="Orders from this caller.")
]
Provider = Annotated[
    str, typer.Option("--provider", metavar="TYPE/ID", help="Orders of this provider.")
]
Symbol = Annotated[str, typer.Option("--symbol", help="Orders in this instrument.")]
Strategy = Annotated[str, typer.Option("--strategy", help="Orders of this strategy.")]
All = Annotated[bool, typer.Option("--all", help="Exits too; without it, exits may leave.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.05, metavar="SECONDS", help="Longest wait for each.")
]


def kill(
    everything: Global = False,
    account: Account = "",
    connection: Connection = "",
    provider: Provider = "",
    symbol: Symbol = "",
    strategy: Strategy = "",
    exits_too: All = False,
    reason: Reason = "",
    by: Actor = None,
    timeout: Timeout = 3.0,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Stop new risk at every engine at once; control, Redis and PostgreSQL may be away.

    Exit code 0: every engine that is known has confirmed; 2: some have not.
    """
    target = read_target(everything, account, connection, provider, symbol, strategy)
    require_reason(reason)
    request = pb.KillRequest(
        target=target,
        mode=_mode(exits_too=exits_too),
        killed_at_ns=time.time_ns(),
        note=note(by, reason),
    )
    said, problem = kill_everywhere(request, data_dir, control, timeout)
    _show(said, problem, as_json=as_json)
    if not is_complete(said):
        raise typer.Exit(NOT_COMPLETE_EXIT_CODE)


def rearm(
    everything: Global = False,
    account: Account = "",
    connection: Connection = "",
    provider: Provider = "",
    symbol: Symbol = "",
    strategy: Strategy = "",
    exits_too: Annotated[
        bool, typer.Option("--all", help="The kill that stops exits too.")
    ] = False,
    reason: Reason = "",
    otp: Otp = None,
    by: Actor = None,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let orders go again, as far as the record knows of kills; asks for a one-time code."""
    target = read_target(everything, account, connection, provider, symbol, strategy)
    require_reason(reason)
    request = pb.RearmRequest(
        targets=[target], mode=_mode(exits_too=exits_too), note=note(by, reason)
    )
    with control_client(control, data_dir) as client:
        answer = call(client.kills.Rearm, request, otp=otp)
    if as_json:
        print_json(view_message(answer))
        return
    for each in answer.kill_switches:
        typer.echo(f"{describe(each)} (state version {answer.state_version})")


def kills(
    rearmed: Annotated[
        bool, typer.Option("--rearmed", help="Those that were re-armed too.")
    ] = False,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show what the record knows to be killed, who said so, and why."""
    found: list[pb.KillSwitch] = []
    token = ""
    with control_client(control, data_dir) as client:
        while True:
            request = pb.ListKillsRequest(
                include_rearmed=rearmed, page_size=_PAGE_SIZE, page_token=token
            )
            answer = call(client.kills.ListKills, request)
            found += answer.kill_switches
            token = answer.next_page_token
            if not token:
                break
    if as_json:
        print_json([view_message(each) for each in found])
        return
    if not found:
        typer.echo("nothing is killed")
    for each in found:
        typer.echo(describe(each))
        for event in each.events:
            verb = "re-armed" if event.is_rearming else "killed"
            when = event.recorded_at.ToDatetime().isoformat(timespec="seconds")
            typer.echo(
                f"  {when} {verb} {view_mode(event.mode)} by {event.caller} {event.actor}"
                f" at {event.said_to}: {event.reason}"
            )


def kill_everywhere(
    request: pb.KillRequest, data_dir: Path | None, control: str | None, timeout_s: float
) -> tuple[list[Confirmation], str]:
    """Say a kill to every engine and control; returns what they said, and what was in the way."""

    def ask_control(said: pb.KillRequest, left_s: float) -> pb.KillResponse:
        with control_client(control, data_dir) as client:
            answer: pb.KillResponse = call(client.kills.Kill, said, deadline_s=left_s)
            return answer

    kill_call = KillCall(data_dir or Path(DATA_DIR_DEFAULT), [request], timeout_s, ask_control)
    return kill_call.run(), kill_call.problem


def read_target(
    everything: bool, account: str, connection: str, provider: str, symbol: str, strategy: str
) -> pb.KillTarget:
    """Return the one target that the options name.

    Raises:
        InvalidFieldError: None or several are named, or a provider has no type.
    """
    named: dict[Any, str] = {
        pb.KILL_SCOPE_ACCOUNT: account,
        pb.KILL_SCOPE_CONNECTION: connection,
        pb.KILL_SCOPE_PROVIDER: provider,
        pb.KILL_SCOPE_SYMBOL: symbol,
        pb.KILL_SCOPE_STRATEGY: strategy,
    }
    given = [scope for scope, name in named.items() if name]
    if everything and not given:
        return pb.KillTarget(scope=pb.KILL_SCOPE_GLOBAL)
    if everything or len(given) != 1:
        raise InvalidFieldError(
            "target", "name one of --global --account --connection --provider --symbol --strategy"
        )
    scope = given[0]
    if scope != pb.KILL_SCOPE_PROVIDER:
        return pb.KillTarget(scope=scope, name=named[scope])
    kind, separator, name = provider.partition("/")
    if not separator or kind not in _PROVIDER_TYPES or not name:
        raise InvalidFieldError(
            "provider",
            f"must be TYPE and ID with a slash between, TYPE {' or '.join(_PROVIDER_TYPES)}",
        )
    return pb.KillTarget(scope=scope, provider_type=_PROVIDER_TYPES[kind], name=name)


def require_reason(reason: str) -> None:
    """Do nothing when there is a reason.

    Raises:
        InvalidFieldError: There is none.
    """
    if not reason.strip():
        raise InvalidFieldError("reason", "is required: --reason TEXT")


def describe(switch: pb.KillSwitch) -> str:
    """Return a switch as one line."""
    target = switch.target
    scope = pb.KillScope.Name(target.scope).removeprefix("KILL_SCOPE_").lower()
    stopped = "everything is stopped" if switch.stops_all else "new risk is stopped"
    if not (switch.stops_all or switch.stops_new_risk):
        stopped = "orders may go"
    kind = ""
    if target.provider_type:
        name = types_pb2.ProviderType.Name(target.provider_type)
        kind = name.removeprefix("PROVIDER_TYPE_").lower() + "/"
    return f"{scope} {kind}{target.name}".rstrip() + f": {stopped}"


def view_mode(mode: int) -> str:
    """Return a mode in words."""
    return "everything" if mode == pb.KILL_MODE_ALL else "new risk"


def _mode(*, exits_too: bool) -> pb.KillMode:
    return pb.KILL_MODE_ALL if exits_too else pb.KILL_MODE_NEW_RISK


def _show(said: list[Confirmation], problem: str, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "who": each.who,
                "confirmed": each.confirmed,
                "needed": each.is_needed,
                "took_ms": round(each.took_ms, 3),
                "sequence": each.sequence,
                "address": each.address,
                "detail": each.detail,
            }
            for each in said
        ]
        print_json({"complete": is_complete(said), "confirmations": rows, "problem": problem})
        return
    for each in said:
        word = "confirmed" if each.confirmed else "NOT CONFIRMED"
        typer.echo(f"{each.who:<12} {word:<14} {each.took_ms:8.1f} ms  {each.detail}".rstrip())
    if problem:
        typer.echo(f"engines of other machines were not looked for: {problem}", err=True)
    missing = [each.who for each in said if each.is_needed and not each.confirmed]
    if missing:
        typer.echo(f"NOT STOPPED EVERYWHERE: {', '.join(missing)}", err=True)
    elif not any(each.is_needed for each in said):
        typer.echo("NOT STOPPED: no engine is known here", err=True)
    if any(each.who == "control" and not each.confirmed for each in said):
        typer.echo(
            "control did not take it: it stays latched in the engines and reaches the record by"
            " their journals; an engine that starts elsewhere meanwhile does not know of it",
            err=True,
        )
