"""`riskgate audit …`: who did what, and whether that record is still as it was signed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from riskgate.v1 import audit_pb2
from server.commands.control_port import ControlAddress, call, control_client
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json

audit = typer.Typer(help="Who did what, and unusual behaviour.", no_args_is_help=True)

_PAGE_SIZE = 1_000

Identity = Annotated[str, typer.Option(help="Of this identity only.")]
Method = Annotated[
    str, typer.Option(help="Of this method only, as in /riskgate.v1.ModelService/PushModel.")
]
Count = Annotated[int, typer.Option("--count", min=1, help="Rows at most.")]


@audit.command("list")
def list_rows(
    first: Annotated[int, typer.Option("--from", min=1, help="First row.")] = 1,
    count: Count = 100,
    identity: Identity = "",
    method: Method = "",
    subject: Annotated[str, typer.Option(help="About this kind only, as in account.")] = "",
    subject_key: Annotated[str, typer.Option("--key", help="About this entry only.")] = "",
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List rows, oldest first."""
    shown: list[dict[str, Any]] = []
    with control_client(control, data_dir) as client:
        while first and len(shown) < count:
            request = audit_pb2.ListAuditRowsRequest(
                from_audit_id=first,
                identity=identity,
                method=method,
                subject=subject,
                subject_key=subject_key,
                page_size=min(_PAGE_SIZE, count - len(shown)),
            )
            answer = call(client.audit.ListAuditRows, request)
            shown += map(view_message, answer.rows)
            first = answer.next_audit_id
    if as_json:
        print_json(shown)
        return
    for row in shown:
        words = (row["identity"], row["action"], row["subject"], row["subject_key"], row["reason"])
        typer.echo(
            f"{row['audit_id']:>8} {row['occurred_at']} {row['outcome'].lower():<9} "
            + "  ".join(_printable(word) for word in words if word)
        )


@audit.command()
def anomalies(
    count: Count = 100,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List what the rules on unusual behaviour have found, newest first."""
    with control_client(control, data_dir) as client:
        request = audit_pb2.ListAnomaliesRequest(page_size=min(count, _PAGE_SIZE))
        found = [view_message(each) for each in call(client.audit.ListAnomalies, request).anomalies]
    if as_json:
        print_json(found)
        return
    for each in found:
        frozen = ", frozen" if each["frozen"] else ""
        typer.echo(
            f"{each['occurred_at']} {each['rule']}: {each['observed']} calls of "
            f"{_printable(each['identity'])} in a minute{frozen}"
        )


@audit.command()
def verify(
    heads: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of signed heads; repeat to compare.", show_default="heads/"),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--witness-key", help="Public key of the heads (PEM); absent: from keys/."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Compare the audit log with its chain and the signed heads; exit 1 if anything differs."""
    from server.commands.audit_verification import verify_data_dir

    verified = verify_data_dir(data_dir, heads or [], key)
    if as_json:
        finding = verified.finding and verified.finding._asdict()
        print_json({"intact": finding is None, **verified._asdict(), "finding": finding})
    else:
        if verified.finding:
            typer.echo(verified.finding.describe(), err=True)
        typer.echo(
            f"{verified.row_count} rows, {verified.head_count} heads: "
            + (
                "NOT intact"
                if verified.finding
                else f"intact, signed up to row {verified.covered_rows}"
            )
        )
    if verified.finding:
        raise typer.Exit(1)


def _printable(text: str) -> str:
    """Keep what a caller sent from steering the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
