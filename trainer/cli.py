"""The trainer's commands: `riskgate data …`, `riskgate train …`, `riskgate evaluate …`.

Results go to standard output (one JSON document with --json), progress to standard error. A
failure that the trainer knows prints its text and exits 1; nothing is half-written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from trainer.errors import TrainerError

data = typer.Typer(no_args_is_help=True, help="Import recorded trades and fills; work out metrics.")
train = typer.Typer(no_args_is_help=True, help="Fit a model and write a signed artifact.")
evaluate = typer.Typer(no_args_is_help=True, help="Judge an artifact on data it has not seen.")

DataDirOption = Annotated[
    Path,
    typer.Option("--data-dir", envvar="RISKGATE_DATA_DIR", help="Data directory of the stack."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
FolderOption = Annotated[
    Path | None,
    typer.Option("--data", help="Folder of Parquet or CSV files. Default: the record."),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database-url", envvar="RISKGATE_DATABASE_URL", help="Record to use."),
]
ProviderTypeOption = Annotated[
    str,
    typer.Option("--provider-type", help="channel_source or user, for files without the column."),
]
DEFAULT_DATA_DIR = Path(".riskgate")


@data.callback()
def _data() -> None:
    """Import recorded trades and fills; work out metrics."""


@train.callback()
def _train() -> None:
    """Fit a model and write a signed artifact."""


@evaluate.callback()
def _evaluate() -> None:
    """Judge an artifact on data it has not seen."""


@data.command("import")
def import_data(
    folder: Annotated[Path, typer.Argument(help="Folder of Parquet or CSV files.")],
    bars: Annotated[bool, typer.Option(help="Import price bars too.")] = True,
    provider_type: ProviderTypeOption = "channel_source",
    database_url: DatabaseOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Copy trades, stop fills and bars into the record; importing twice adds nothing."""
    from trainer.ingest import import_folder

    with _explain_failures(), _show_progress() as progress:
        url = _find_database_url(database_url, data_dir)
        result = import_folder(folder, url, provider_type, progress, with_bars=bars)
    _print(result, as_json, "Imported rows")


@data.command("metrics")
def show_metrics(
    data_folder: FolderOption = None,
    store: Annotated[bool, typer.Option(help="Write the metrics to the record.")] = False,
    push: Annotated[
        bool, typer.Option("--push", help="Send them to the running stack, which scores providers.")
    ] = False,
    start_equity: Annotated[
        float, typer.Option(min=0.01, help="Equity before the first trade, account currency.")
    ] = 10_000.0,
    provider_type: ProviderTypeOption = "channel_source",
    database_url: DatabaseOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Work out provider metrics by day, ISO week, month and overall."""
    from trainer.ingest import load_rows
    from trainer.metrics import provider_metrics, to_document
    from trainer.push import find_control, push_provider_metrics
    from trainer.store import open_record, write_metrics

    with _explain_failures():
        needs_record = data_folder is None or store
        url = _find_database_url(database_url, data_dir) if needs_record else ""
        trades, fills = load_rows(data_folder, url, provider_type)
        metrics = provider_metrics(trades, fills, start_equity)
        if store:
            with open_record(url) as record:
                write_metrics(record, metrics)
        if push:
            address, credentials = find_control(data_dir)
            result = push_provider_metrics(metrics, address, credentials=credentials)
            _print(asdict(result), as_json, "Pushed metrics")
            return
    shown = metrics if as_json else [row for row in metrics if row.period_type == "overall"]
    if as_json:
        _print([to_document(row) for row in shown], as_json, "")
        return
    table = Table("provider", "signals", "win rate", "max drawdown", "reward:risk", "SL kept")
    for row in shown:
        cells = (
            row.win_rate_fraction,
            row.max_drawdown_fraction,
            row.reward_to_risk_ratio,
            row.sl_compliance_fraction,
        )
        figures = ["-" if cell is None else f"{cell:.3f}" for cell in cells]
        table.add_row(row.provider_id, str(row.total_signals), *figures)
    Console().print(table)


@data.command("simulate")
def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    seed: Annotated[int, typer.Option(min=0)] = 7,
    trades: Annotated[int, typer.Option(min=1, max=1_000_000)] = 2_000,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,  # noqa: ARG001 - every command takes it
    as_json: JsonOption = False,
) -> None:
    """Write trades and stop fills of the built-in market simulator (not real data)."""
    from trainer.simulate import simulate_market, write_market

    with _explain_failures():
        market = simulate_market(seed, trades)
        write_market(market, out)
    counts = {"simulated": True, "trades": len(market.trades), "stop_fills": len(market.fills)}
    _print(counts, as_json, "Simulated rows")


@train.command("slippage")
def train_slippage(
    out: Annotated[Path, typer.Option("--out", help="Directory to write; must not exist.")],
    data_folder: FolderOption = None,
    version: Annotated[str, typer.Option(help="MAJOR.MINOR.PATCH.")] = "1.0.0",
    author: Annotated[str, typer.Option(help="Shown to approvers.")] = "riskgate trainer",
    train_fraction: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of rows before the cut.")
    ] = 0.7,
    embargo_hours: Annotated[float, typer.Option(min=0.0, help="Gap around the cut.")] = 24.0,
    key: Annotated[Path | None, typer.Option("--key", help="Author key, Ed25519 PEM.")] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Register it at the running stack; it does not speak.")
    ] = False,
    provider_type: ProviderTypeOption = "channel_source",
    database_url: DatabaseOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Fit the slippage model on earlier stop losses, judge it on later ones, sign it."""
    from trainer.ingest import load_fills
    from trainer.push import find_control, push_artifact
    from trainer.release import ReleasePlan, release_slippage
    from trainer.sign import load_author_key

    with _explain_failures(), _show_progress() as progress:
        author_key = load_author_key(key or data_dir / "keys" / "author.pem")
        plan = ReleasePlan(version, author, train_fraction, timedelta(hours=embargo_hours))
        task = progress.add_task("read stop fills", total=None)
        url = _find_database_url(database_url, data_dir) if data_folder is None else ""
        fills = load_fills(data_folder, url, provider_type)
        release = release_slippage(
            fills, out, author_key, plan, lambda step: progress.update(task, description=step)
        )
        status = None
        if push:
            progress.update(task, description="push")
            address, credentials = find_control(data_dir)
            status = push_artifact(out, address, credentials=credentials)
    result = {
        "digest": release.digest,
        "version": plan.version,
        "status": status,
        "path": str(out),
        "training_rows": release.training["rows"],
        "trained_until": release.training["to"],
        "holdout": release.metrics["holdout"],
    }
    _print(result, as_json, "Release")


@evaluate.command("slippage")
def evaluate_release(
    model: Annotated[Path, typer.Option("--model", help="Artifact directory.")],
    data_folder: FolderOption = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Also check the signature by this key.")
    ] = None,
    provider_type: ProviderTypeOption = "channel_source",
    database_url: DatabaseOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    as_json: JsonOption = False,
) -> None:
    """Report a release's errors on stop losses that it has not seen, beside what it must beat."""
    from trainer.artifact import read_artifact
    from trainer.evaluate import evaluate_slippage
    from trainer.ingest import load_fills
    from trainer.sign import load_public_key, verify_release

    with _explain_failures():
        artifact = read_artifact(model)
        if public_key is not None:
            verify_release(artifact.envelope, artifact.manifest_bytes, load_public_key(public_key))
        url = _find_database_url(database_url, data_dir) if data_folder is None else ""
        report = evaluate_slippage(load_fills(data_folder, url, provider_type), artifact)
    _print(report, as_json, "Hold-out")


@contextmanager
def _explain_failures() -> Iterator[None]:
    try:
        yield
    except (TrainerError, FileExistsError, ValueError) as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(1) from error


@contextmanager
def _show_progress() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield progress


def _find_database_url(given: str | None, data_dir: Path) -> str:
    from trainer.store import find_database_url

    return given or find_database_url(data_dir)


def _print(result: Any, as_json: bool, title: str) -> None:
    if as_json:
        typer.echo(json.dumps(result, indent=2, allow_nan=False))
        return
    table = Table("figure", "value", title=title)
    for name, value in _flatten(result):
        table.add_row(name, value)
    Console().print(table)


def _flatten(document: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in document.items():
        if isinstance(value, dict) and "intervals" not in name:
            yield from _flatten(value, f"{prefix}{name}.")
        elif not isinstance(value, dict):
            yield prefix + name, f"{value:.4f}" if isinstance(value, float) else str(value)
