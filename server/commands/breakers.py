"""`riskgate breakers …`: look at circuit breakers, try them out, reset them."""

from typing import Annotated, Any

import typer

from riskgate.control import ControlClient
from riskgate.v1 import breaker_pb2 as pb
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

breakers = typer.Typer(
    help="Circuit breakers: their trips, dry runs, resets; `riskgate apply` defines them.",
    no_args_is_help=True,
)

Which = Annotated[
    str, typer.Argument(metavar="BREAKER", help="Its number, or ACCOUNT/NAME.", show_default=False)
]


@breakers.command()
def events(
    which: Which,
    last: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=1_000)] = 20,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show the newest trips of a breaker, with the values that made it trip."""
    with control_client(control, data_dir) as client:
        breaker_id = find_breaker(client, which).breaker_id
        request = pb.ListBreakerEventsRequest(breaker_id=breaker_id, page_size=last)
        answer = call(client.breakers.ListBreakerEvents, request)
    found = [view_message(event) for event in answer.events]
    if as_json:
        print_json(found)
        return
    for event in found:
        values = ", ".join(f"{name} {value}" for name, value in event["triggered_values"].items())
        typer.echo(f"{event['occurred_at']} {event['action_taken']}: {values}")


@breakers.command("test")
def try_out(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    expression: Annotated[
        str, typer.Option("--expression", help="Condition to try, see docs/conditions.md.")
    ] = "",
    which: Annotated[
        str, typer.Option("--breaker", help="Breaker to try: its number, or its name.")
    ] = "",
    last: Annotated[int, typer.Option(help="Newest decisions to ask.", min=1, max=10_000)] = 1_000,
    assumed: Annotated[
        list[str] | None,
        typer.Option("--assume", metavar="NAME=NUMBER", help="Value to assume; repeat for more."),
    ] = None,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Ask of recorded decisions whether a condition or a breaker would have tripped."""
    if bool(expression) == bool(which):
        raise InvalidFieldError("--expression", "either this or --breaker is required")
    with control_client(control, data_dir) as client:
        if which:
            named = which if which.isdecimal() else f"{account_id}/{which}"
            breaker = find_breaker(client, named)
        else:
            breaker = pb.CircuitBreaker(
                condition=types_pb2.BREAKER_CONDITION_EXPRESSION, expression=expression
            )
        request = pb.TestBreakerRequest(
            account_id=account_id,
            breaker=breaker,
            decision_count=last,
            assumed_values=dict(map(_read_assumed, assumed or [])),
        )
        answer = call(client.breakers.TestBreaker, request)
    if as_json:
        print_json(view_message(answer))
        return
    _show_test(answer)


@breakers.command()
def reset(
    which: Which,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Close a breaker and forget its trips. Needs a reason and a one-time code."""
    with control_client(control, data_dir) as client:
        breaker_id = find_breaker(client, which).breaker_id
        request = pb.ResetBreakerRequest(breaker_id=breaker_id, note=note(by, reason))
        answer = call(client.breakers.ResetBreaker, request, otp=otp)
    _show_change(answer, "is reset", as_json=as_json)


@breakers.command()
def enable(
    which: Which,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Let a breaker trip again; its trips count from zero. Needs a reason."""
    with control_client(control, data_dir) as client:
        breaker_id = find_breaker(client, which).breaker_id
        request = pb.EnableBreakerRequest(breaker_id=breaker_id, note=note(by, reason))
        answer = call(client.breakers.EnableBreaker, request)
    _show_change(answer, "is enabled", as_json=as_json)


@breakers.command()
def disable(
    which: Which,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Keep a breaker from tripping, and close it. Needs a reason."""
    with control_client(control, data_dir) as client:
        breaker_id = find_breaker(client, which).breaker_id
        request = pb.DisableBreakerRequest(breaker_id=breaker_id, note=note(by, reason))
        answer = call(client.breakers.DisableBreaker, request)
    _show_change(answer, "is disabled", as_json=as_json)


def find_breaker(client: ControlClient, which: str) -> pb.CircuitBreaker:
    """Return a breaker by its number, or by ACCOUNT/NAME.

    Raises:
        InvalidFieldError: It is neither.
        RiskgateError: There is none, or the control port is away.
    """
    account_id, _, name = which.partition("/")
    if not which.isdecimal() and not name:
        raise InvalidFieldError("BREAKER", "must be a number or ACCOUNT/NAME")
    request = (
        pb.GetBreakerRequest(breaker_id=which)
        if which.isdecimal()
        else pb.GetBreakerRequest(account_id=account_id, name=name)
    )
    found: pb.CircuitBreaker = call(client.breakers.GetBreaker, request).breaker
    return found


def _read_assumed(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InvalidFieldError("--assume", "must be NAME=NUMBER") from None


def _show_test(answer: pb.TestBreakerResponse) -> None:
    typer.echo(answer.expression)
    typer.echo(
        f"{answer.decision_count} decisions, {answer.in_scope_count} in scope: "
        f"{answer.tripped_count} tripped, {answer.unknown_count} unknown (count as tripped)"
    )
    for words, names in (
        ("known of every decision", answer.known_variables),
        ("known of some", answer.partly_known_variables),
        ("not in the archive", answer.unknown_variables),
    ):
        if names:
            typer.echo(f"{words}: {', '.join(names)}")
    for decision in answer.decisions:
        values = ", ".join(f"{name} {value:g}" for name, value in sorted(decision.values.items()))
        word = "unknown" if decision.unknown else "tripped"
        decided_at = decision.decided_at.ToJsonString()
        typer.echo(f"{word} {decided_at} {decision.decision_id} {decision.symbol} {values}")


def _show_change(answer: Any, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(view_message(answer))
    else:
        typer.echo(f"{answer.breaker.account_id}/{answer.breaker.name} {what}")
