"""`riskgate explain DECISION_ID`: the inputs, every check and the state as of one decision."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.commands.replay_options import JournalFolder, ShardName, open_source

# Endings of columns in the engine's units → how many of them make up one of the shown unit.
_UNITS: Final = {
    "_ppm": (10_000, " %"),
    "_micros": (1_000_000, ""),
    "_micropips": (1_000_000, " pips"),
    "_micropoints": (1_000_000, " points"),
    "_picos": (10**12, ""),
}
_NOT_SET: Final = -1
# Columns that link rows of the engine and mean nothing outside.
_LINKS: Final = ("next_", "first_", "exposure_row", "timezone_row", "account_row", "instrument_row")


def explain(
    decision_id: Annotated[int, typer.Argument(min=1, help="Id of the decision.")],
    epoch: Annotated[int | None, typer.Option(min=1, help="Epoch that must have made it.")] = None,
    data_dir: DataDir = None,
    journal: JournalFolder = None,
    shard: ShardName = None,
    as_json: AsJson = False,
) -> None:
    """Make a decision again and show all that it rests on; fails if it comes out differently."""
    from server.replays.explaining import explain as explain_decision

    found = explain_decision(open_source(data_dir, journal, shard), decision_id, epoch)
    if as_json:
        print_json(view_explanation(found))
    else:
        _show(found)
    if not found.is_same or found.differences_before:
        raise typer.Exit(1)


def view_explanation(found: Any) -> dict[str, Any]:
    """Return an Explanation as JSON values: request, answer, every check, model, rows."""
    from server.commands.entry_view import format_time, replace_infinite
    from server.commands.message_view import view_message

    explained = view_message(found.explained)
    view = {
        "decision_id": found.answer.decision_id,
        "epoch": found.epoch,
        "entry": found.entry_number,
        "item": found.item,
        "time": format_time(found.reading_ns),
        "is_same": found.is_same,
        "differences": [each._asdict() for each in found.differences],
        "differences_before": found.differences_before,
        "request": view_message(found.request),
        "answer": view_message(found.answer),
        "checks": explained["checks"],
        "breakers": explained["breakers"],
        "model": found.model,
        "sizes": found.sizes,
        "rows": found.rows,
    }
    return {name: replace_infinite(value) for name, value in view.items()}


def _show(found: Any) -> None:
    from rich.console import Console

    from server.commands.decision_view import list_facts, tabulate_checks

    view = view_explanation(found)
    console = Console(highlight=False)
    item = "" if found.item is None else f", item {found.item} of its batch"
    console.print(
        f"[bold]{view['answer']['verdict']}[/]  [bold]{view['answer']['lot_size']:g}[/] lots: "
        f"decision {view['decision_id']} of epoch {view['epoch']}, entry {view['entry']}{item}, "
        f"{view['time']}"
    )
    asked = {
        name: value for name, value in view["request"].items() if value not in (None, "", False)
    }
    _table(console, "asked", asked)
    _table(console, "answered", dict(list_facts(view["answer"])))
    console.print(tabulate_checks(found.explained))
    _table(console, "sizes", view["sizes"])
    model = view["model"]
    if model is None:
        console.print("[bold]model[/]  none was asked\n")
    else:
        outputs = model["outputs"] or {"outputs": "not usable"}
        head = {"version": model["version"], "digest": model["digest"]}
        _table(console, "model", {**head, **model["features"], **outputs})
    for name, row in view["rows"].items():
        if row is not None:
            _table(console, name.replace("_", " "), _for_people(row))
    _say_whether_same(console, found)


def _say_whether_same(console: Any, found: Any) -> None:
    if found.differences_before:
        console.print(
            f"[bold red]{found.differences_before} entries before it come out otherwise: the "
            "state shown here is not the one it was made on[/]"
        )
    if found.is_same:
        console.print("[green]Made again, the answer is the journaled one.[/]")
        return
    console.print("[bold red]Made again, the answer is another one:[/]")
    for each in found.differences:
        console.print(f"  {each.field}: was {each.was}, is now {each.now}", markup=False)


def _table(console: Any, title: str, values: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, value in values.items():
        if value is not None:
            shown = f"{value:,.10g}" if isinstance(value, float) else str(value)
            # Text and not markup: names come from outside.
            table.add_row(Text(name.replace("_", " "), style="dim"), Text(shown, overflow="fold"))
    console.print(f"[bold]{title}[/]")
    console.print(table)
    console.print()


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with numbers in units that people read; what is not set is left out."""
    shown = {}
    for name, value in row.items():
        if name.startswith(_LINKS) or value in ("", _NOT_SET, []):
            continue
        for ending, (parts, unit) in _UNITS.items():
            if name.endswith(ending) and isinstance(value, int):
                shown[name.removesuffix(ending)] = f"{value / parts:,.10g}{unit}"
                break
        else:
            shown[name.removesuffix("_ns")] = _show_time(name, value)
    return shown


def _show_time(name: str, value: Any) -> Any:
    if not name.endswith("_ns") or not isinstance(value, int):
        return value
    if name.endswith(("_at_ns", "_start_ns", "_until_ns")):
        return str(datetime.fromtimestamp(value / 1e9, UTC)) if value else "never"
    return f"{value / 1e6:,.10g} ms"
