"""`riskgate pki …`: the development certificate authority of a data directory."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.errors import InvalidFieldError
from server.security.pki import Issued, Pki
from server.security.pki_renewal import ensure_pki
from server.settings import PKI_FOLDER, Settings, load_settings

pki = typer.Typer(
    help="Development certificate authority: who may call. In production, use your own.",
    no_args_is_help=True,
)

Lifetime = Annotated[
    float, typer.Option("--hours", min=0.01, max=720, help="How long it is valid, up to 30 days.")
]


@pki.command()
def init(
    host: Annotated[
        list[str] | None,
        typer.Option("--host", help="Name or address that callers dial; may be repeated."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make authority, server and operator certificates, or renew what ends soon."""
    settings = load_settings(data_dir=data_dir)
    authority = ensure_pki(settings, host or [])
    if as_json:
        print_json({"folder": str(authority.folder), "ca": str(authority.authority_path)})
    else:
        typer.echo(
            f"the authority is in {authority.folder}; callers trust {authority.authority_path}"
        )


@pki.command()
def issue(
    role: Annotated[str, typer.Argument(help="admin, risk_analyst, trader or auditor.")],
    name: Annotated[str, typer.Argument(help="Of the person or machine, as in desk-7.")],
    group: Annotated[
        str, typer.Option("--group", help="risk_senior or technology, besides the role.")
    ] = "",
    hours: Lifetime = 24,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for both files; absent: pki/clients.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Issue a client certificate with a new key."""
    from server.security.identity_name import format_identity

    settings = load_settings(data_dir=data_dir)
    try:
        uri = format_identity(settings.trust_domain, role, group, name)
    except ValueError as error:
        raise InvalidFieldError("identity", str(error)) from error
    authority = _open(settings)
    certificate, key = authority.issue(uri, lifetime=timedelta(hours=hours), out=out)
    files = {"certificate": certificate, "key": key, "ca": authority.authority_path}
    if as_json:
        print_json({"uri": uri, **{what: str(path) for what, path in files.items()}})
        return
    typer.echo(f"{uri} for {hours:g} hours; its holder sets:")
    for what, path in files.items():
        typer.echo(f"  RISKGATE_{what.upper()}={path}")


@pki.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Identity URI or serial number.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Revoke certificates; the ports refuse them within a second, on live connections too."""
    revoked = _open(load_settings(data_dir=data_dir)).revoke(name)
    if as_json:
        print_json({"revoked": [each.serial for each in revoked]})
        return
    for each in revoked:
        typer.echo(f"revoked {each.name} {each.serial}")


@pki.command("list")
def list_certificates(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show every certificate that was issued, the one that ends first in front."""
    issued = _open(load_settings(data_dir=data_dir)).list_issued()
    if as_json:
        print_json([_view(each) for each in issued])
        return
    for each in issued:
        view = _view(each)
        typer.echo(f"{view['status']:<8} until {view['not_after']}  {each.name}  {each.serial}")


def _open(settings: Settings) -> Pki:
    return Pki(settings.data_dir / PKI_FOLDER)


def _view(issued: Issued) -> dict[str, Any]:
    if issued.revoked_at is not None:
        status = "revoked"
    else:
        status = "valid" if issued.not_after > datetime.now(UTC) else "expired"
    return {
        "name": issued.name,
        "serial": issued.serial,
        "status": status,
        "not_after": issued.not_after.isoformat(),
        "revoked_at": issued.revoked_at and issued.revoked_at.isoformat(),
    }
