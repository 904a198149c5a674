"""`riskgate identities …`: who may call, and with which accounts."""

from typing import Annotated, Any

import typer

from riskgate.v1 import identity_pb2
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

identities = typer.Typer(
    help="Who may call, and with which accounts; roles come from certificates (riskgate pki).",
    no_args_is_help=True,
)

Uri = Annotated[
    str, typer.Argument(metavar="URI", help="As in the certificate: spiffe://DOMAIN/ROLE/NAME.")
]
_PAGE_SIZE = 1_000


@identities.command()
def put(
    uri: Uri,
    accounts: Annotated[
        list[str] | None, typer.Option("--account", help="Account it may use; repeat for more.")
    ] = None,
    every_account: Annotated[
        bool, typer.Option("--every-account", help="It may use all accounts.")
    ] = False,
    providers: Annotated[
        list[str] | None,
        typer.Option("--provider", help="Provider it may name; repeat for more, absent: all."),
    ] = None,
    calls_per_second: Annotated[int | None, typer.Option(help="Absent: the default.")] = None,
    burst: Annotated[int | None, typer.Option(help="Calls at once; absent: the default.")] = None,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create or replace an entry; what is not named here is not allowed afterwards."""
    identity = identity_pb2.Identity(
        uri=uri,
        accounts=accounts or (),
        every_account=every_account,
        providers=providers or (),
        calls_per_second=calls_per_second,
        burst=burst,
    )
    request = identity_pb2.PutIdentityRequest(identity=identity, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.identities.PutIdentity, request, otp=otp)
    _show_change(answer, as_json=as_json)


@identities.command()
def get(
    uri: Uri, control: ControlAddress = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show one entry."""
    with control_client(control, data_dir) as client:
        request = identity_pb2.GetIdentityRequest(uri=uri)
        answer = call(client.identities.GetIdentity, request)
    _show(answer.identity, as_json=as_json)


@identities.command("list")
def list_identities(
    control: ControlAddress = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show every entry."""
    found: list[identity_pb2.Identity] = []
    token = ""
    with control_client(control, data_dir) as client:
        while True:
            request = identity_pb2.ListIdentitiesRequest(page_size=_PAGE_SIZE, page_token=token)
            answer = call(client.identities.ListIdentities, request)
            found += answer.identities
            token = answer.next_page_token
            if not token:
                break
    if as_json:
        print_json([view_message(identity) for identity in found])
        return
    for identity in found:
        typer.echo(_line(view_message(identity)))


@identities.command()
def revoke(
    uri: Uri,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """End every right of an identity, on live connections too; known to the record or not."""
    request = identity_pb2.RevokeIdentityRequest(uri=uri, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.identities.RevokeIdentity, request)
    _show_change(answer, as_json=as_json)


@identities.command()
def freeze(
    uri: Uri,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Suspend every right of an identity until somebody has looked."""
    request = identity_pb2.RevokeIdentityRequest(uri=uri, freeze=True, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.identities.RevokeIdentity, request)
    _show_change(answer, as_json=as_json)


@identities.command()
def restore(
    uri: Uri,
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Give a frozen or revoked identity its rights back, and unlock its second factor."""
    request = identity_pb2.RestoreIdentityRequest(uri=uri, note=note(by, reason))
    with control_client(control, data_dir) as client:
        answer = call(client.identities.RestoreIdentity, request, otp=otp)
    _show_change(answer, as_json=as_json)


@identities.command()
def enroll(
    control: ControlAddress = None,
    otp: Otp = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a new secret for your one-time codes; it is shown this once."""
    with control_client(control, data_dir) as client:
        request = identity_pb2.EnrollSecondFactorRequest()
        answer = call(client.identities.EnrollSecondFactor, request, otp=otp)
    if as_json:
        print_json(view_message(answer))
        return
    typer.echo(answer.otpauth_uri)
    typer.echo("Add this to your authenticator now: it is not shown again.", err=True)


@identities.command()
def whoami(
    control: ControlAddress = None, as_json: AsJson = False, data_dir: DataDir = None
) -> None:
    """Show who you are to the control port, and what you may call."""
    with control_client(control, data_dir) as client:
        answer = call(client.identities.WhoAmI, identity_pb2.WhoAmIRequest())
    _show(answer, as_json=as_json)


def _show_change(answer: Any, *, as_json: bool) -> None:
    view = view_message(answer)
    if as_json:
        print_json(view)
    else:
        typer.echo(f"{str(view['outcome']).lower():<9} {_line(view['identity'])}")


def _show(message: Any, *, as_json: bool) -> None:
    view = view_message(message)
    if as_json:
        print_json(view)
        return
    for field, value in view.items():
        if value not in (None, "", [], False):
            typer.echo(f"{field}: {', '.join(value) if isinstance(value, list) else value}")


def _line(identity: dict[str, Any]) -> str:
    accounts = (
        "every account" if identity["every_account"] else f"{len(identity['accounts'])} accounts"
    )
    factor = "second factor" if identity["has_second_factor"] else "no second factor"
    return f"{identity['uri']} {str(identity['status']).lower()}, {accounts}, {factor}"
