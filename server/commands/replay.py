"""`riskgate replay`: do again what a journal says, and compare every byte of every answer."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.commands.replay_options import (
    FirstSequence,
    JournalFolder,
    LastSequence,
    ShardName,
    open_source,
)

_SHOWN_MAX = 20


def replay(
    first: FirstSequence = None,
    last: LastSequence = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare each snapshot on the way, too.")
    ] = False,
    data_dir: DataDir = None,
    journal: JournalFolder = None,
    shard: ShardName = None,
    as_json: AsJson = False,
) -> None:
    """Replay the journal in an engine of its own; fails if anything comes out differently.

    No server needs to run, and one that runs may go on.
    """
    from rich.console import Console

    from server.replays.comparing import compare, find_stretch

    source = open_source(data_dir, journal, shard)
    stretch = find_stretch(source, first, last)
    console = Console(highlight=False, soft_wrap=True)
    with nullcontext(None) if as_json or not console.is_terminal else _bar(console) as bar:
        advance = _follow(bar, source) if bar is not None else lambda _: None
        found = compare(source, stretch, snapshots=verify, findings_max=_SHOWN_MAX, advance=advance)
    if as_json:
        print_json(_view(found))
    else:
        _show(console, found)
    if not found.is_same:
        raise typer.Exit(1)


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.fields[decisions]:,} decisions"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _follow(bar: Any, source: Any) -> Any:
    """Return what moves the bar on, by bytes of the journal."""
    total = sum(segment.path.stat().st_size for segment in source.list_segments())
    task = bar.add_task("replay", total=total, decisions=0)

    def advance(replayer: Any) -> None:
        bar.update(task, completed=replayer.bytes_read, decisions=replayer.decisions)

    return advance


def _view(found: Any) -> dict[str, Any]:
    from server.commands.entry_view import replace_infinite

    return {
        "first_entry": found.first_number,
        "last_entry": found.last_number,
        "decisions": found.decisions,
        "differences": found.difference_count,
        "elapsed_s": round(found.elapsed_s, 6),
        "decisions_per_second": round(found.decisions_per_second),
        "findings": [
            replace_infinite(
                {**each._asdict(), "fields": [field._asdict() for field in each.fields]}
            )
            for each in found.findings
        ],
        "snapshots": [
            {"entry": number, "differences": differing}
            for number, differing in found.snapshots.items()
        ],
    }


def _show(console: Any, found: Any) -> None:
    console.print(
        f"replayed entries {found.first_number:,} to {found.last_number:,}: "
        f"N = {found.decisions:,} decisions in {found.elapsed_s:.2f} s, "
        f"{found.decisions_per_second:,.0f} decisions/s"
    )
    for number, differing in found.snapshots.items():
        console.print(f"snapshot of entry {number:,}: {'; '.join(differing) or 'the same'}")
    colour = "red" if found.difference_count else "green"
    console.print(f"[bold {colour}]differences: {found.difference_count:,}[/]")
    for each in found.findings:
        console.print(f"  entry {each.number}, {each.kind}, sequence {each.sequence}")
        if each.by_model:
            said = ", ".join(f"q50 {q50:g} q90 {q90:g}" for q50, q90 in each.model_was)
            console.print(f"    the model says something else now; journaled: {said} pips")
        for field in each.fields:
            console.print(f"    {field.field}: was {field.was}, is now {field.now}", markup=False)
        if not each.fields and not each.by_model:
            console.print("    the state behind it has another sequence")
    if found.difference_count > len(found.findings):
        console.print(f"  and {found.difference_count - len(found.findings):,} more")
