"""`riskgate simulate`: what the journal's requests would have got with other limits or a model."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.commands.replay_options import (
    FirstSequence,
    JournalFolder,
    LastSequence,
    ShardName,
    open_source,
)

_SHOWN_MAX: Final = 20


def simulate(
    changes: Annotated[
        Path | None,
        typer.Option("--changes", "-f", help="YAML file with limits, as `riskgate apply` takes."),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", help="Folder of a signed artifact: a model or a risk policy."),
    ] = None,
    first: FirstSequence = None,
    last: LastSequence = None,
    data_dir: DataDir = None,
    journal: JournalFolder = None,
    shard: ShardName = None,
    as_json: AsJson = False,
) -> None:
    """Judge the journal's requests again and list what flips, by how much, and what it would bring.

    Nothing of the stack is changed.
    """
    from server.replays.comparing import find_stretch
    from server.replays.simulating import simulate as simulate_stretch

    replacements, left_out = _read_replacements(changes, model, data_dir)
    source = open_source(data_dir, journal, shard)
    stretch = find_stretch(source, first, last)
    tally, unused = simulate_stretch(source, stretch, replacements)
    left_out += [f"{name}: nothing in the journal makes it possible" for name in unused]
    if as_json:
        print_json(_view(tally, left_out))
    else:
        _show(tally, left_out)


def _read_replacements(
    changes: Path | None, model: Path | None, data_dir: Path | None
) -> tuple[list[Any], list[str]]:
    from server.commands.apply_file import read_apply_file
    from server.errors import ConfigurationError
    from server.replays.what_if import read_artifact, read_changes
    from server.security.trust_set import load_trust_set
    from server.settings import load_settings

    if changes is None and model is None:
        raise ConfigurationError(["simulate: name a file with --changes, or an artifact --model"])
    replacements: list[Any] = []
    left_out: list[str] = []
    if changes is not None:
        replacements, left_out = read_changes(read_apply_file(changes))
    if model is not None:
        trust = load_trust_set(load_settings(data_dir=data_dir).data_dir / "keys")
        replacements.append(read_artifact(model, trust))
    return replacements, left_out


def _view(tally: Any, left_out: list[str]) -> dict[str, Any]:
    from server.replays.simulating import ASSUMED

    return {
        "decisions": tally.decisions,
        "same": tally.same,
        "resized": tally.resized,
        "flips": [
            {"was": was, "now": now, "decisions": count}
            for (was, now), count in tally.flips.most_common()
        ],
        "binding": [
            {"was": was or None, "now": now or None, "decisions": count}
            for (was, now), count in tally.bindings.most_common()
        ],
        "lots": {
            group: [
                {
                    "name": name,
                    "decisions": sums.decisions,
                    "was": sums.was,
                    "now": sums.now,
                    "change_mean": sums.change_mean,
                }
                for name, sums in sorted(by_name.items())
            ]
            for group, by_name in tally.lots.items()
        },
        "gain": [
            {
                "currency": currency,
                "was": gain.was,
                "now": gain.now,
                "reports": gain.reports,
                "other": gain.other,
                "other_reports": gain.other_reports,
            }
            for currency, gain in sorted(tally.gains.items())
        ],
        "without_outcome": tally.without_outcome,
        "first_flips": [
            {**pair._asdict(), "was": pair.was._asdict(), "now": pair.now._asdict()}
            for pair in tally.first_flips
        ],
        "left_out": left_out,
        "assumed": list(ASSUMED),
    }


def _show(tally: Any, left_out: list[str]) -> None:
    from rich.console import Console

    from server.replays.simulating import ASSUMED

    console = Console(highlight=False)
    flipped = sum(tally.flips.values())
    console.print(
        f"N = {tally.decisions:,} decisions: [bold]{flipped:,} flip[/], {tally.resized:,} keep "
        f"their verdict with other lots, {tally.same:,} stay as they were"
    )
    for title, counter in (("Flips", tally.flips), ("What binds", tally.bindings)):
        counts = [
            (was or "none", now or "none", f"{count:,}")
            for (was, now), count in counter.most_common(_SHOWN_MAX)
        ]
        _table(console, title, ("was", "now", "decisions"), counts)
    for group, by_name in tally.lots.items():
        rows = [_show_lots(name, sums) for name, sums in sorted(by_name.items())][:_SHOWN_MAX]
        title = "Lots of new risk" if group == "all" else f"Lots by {group}"
        heads = ("" if group == "all" else group, "decisions", "was", "now", "mean change")
        _table(console, title, heads, rows)
    _show_gains(console, tally)
    _table(
        console,
        f"First flips of {flipped:,}",
        ("decision", "account", "symbol", "provider", "was", "now", "binds now"),
        [_show_flip(pair) for pair in tally.first_flips[:_SHOWN_MAX]],
    )
    _list(console, "Left out", left_out)
    _list(console, "Assumed", ASSUMED)


def _show_lots(name: str, sums: Any) -> tuple[str, ...]:
    return (
        name,
        f"{sums.decisions:,}",
        f"{sums.was:,.8g}",
        f"{sums.now:,.8g}",
        f"{sums.change_mean:+,.4g}",
    )


def _show_flip(pair: Any) -> tuple[str, ...]:
    was, now = (f"{each.verdict} {each.lots:g}" for each in (pair.was, pair.now))
    names = pair.account, pair.symbol, pair.provider
    return str(pair.decision_id), *names, was, now, pair.now.binding


def _show_gains(console: Any, tally: Any) -> None:
    rows = [
        (
            currency,
            f"{gain.reports:,}",
            f"{gain.was:,.2f}",
            f"{gain.now:,.2f}",
            f"{gain.now - gain.was:+,.2f}",
            f"{gain.other:,.2f} in {gain.other_reports:,}" if gain.other_reports else "",
        )
        for currency, gain in sorted(tally.gains.items())
    ]
    heads = ("currency", "reports", "was", "now", "difference", "of other orders")
    _table(console, "Realised profit less commission", heads, rows)
    if tally.without_outcome:
        console.print(
            f"{tally.without_outcome:,} orders go only now: what they would bring is unknown\n"
        )


def _table(console: Any, title: str, heads: tuple[str, ...], rows: list[Any]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=SIMPLE, title=title, title_justify="left", title_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        # Text and not markup: names come from outside.
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _list(console: Any, title: str, lines: Any) -> None:
    if lines:
        console.print(f"[bold]{title}[/]")
        for line in lines:
            console.print(f"  {line}", markup=False)
