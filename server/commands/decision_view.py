"""A decision for people: the verdict, what it rests on, and with `explain` every check."""

from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from riskgate.v1 import decision_pb2, types_pb2
from server.commands.message_view import view_message

_COLOURS: Final = {"ALLOW": "green", "REDUCE": "yellow", "DENY": "red"}
_UNITS: Final = {"MILLISECONDS": "ms"}
_STATUS_COLOURS: Final = {"DENY": "red", "CUT": "yellow", "NOTE": "cyan", "PASS": "green"}


def show_decision(
    answer: decision_pb2.DecideResponse, order: str, order_id: str, elapsed_s: float
) -> None:
    """Print a decision.

    Args:
        answer: The decision.
        order: What was asked, as in "EURUSD buy".
        order_id: Client order id that was sent.
        elapsed_s: From before the connection to the answer, seconds.
    """
    view = view_message(answer)
    console = Console(highlight=False)
    colour = _COLOURS.get(view["verdict"], "red")
    console.print(
        f"[bold {colour}]{view['verdict']}[/]  [bold]{view['lot_size']:g}[/] lots of {order}"
    )
    facts = Table.grid(padding=(0, 2))
    for name, text in list_facts(view):
        facts.add_row(f"[dim]{name}[/]", text)
    facts.add_row("[dim]order[/]", order_id)
    facts.add_row(
        "[dim]time[/]",
        f"{answer.server_ns / 1e6:.3g} ms in the server, {elapsed_s * 1e3:.0f} ms with connecting",
    )
    console.print(facts)
    if answer.checks:
        console.print(tabulate_checks(answer))


def list_facts(view: dict[str, Any]) -> list[tuple[str, str]]:
    """Return names and texts of what a decision says, from its plain view; empty ones left out."""
    ages = {name: age for name, age in view["input_ages"].items() if age is not None}
    slippage = (view["predicted_slippage_pips"], view["sizing_slippage_pips"])
    facts = [
        ("reasons", ", ".join(view["reasons"])),
        ("binding limit", view["binding_limit"] or ""),
        ("largest passing", _format(view["largest_passing_lots"], " lots")),
        ("stop", _format(view["stop_price"])),
        ("stop buffer", f"{view['sl_buffer_pips']:g} pips"),
        ("trailing stop", _format(view["trailing_stop_distance"])),
        ("slippage", "" if None in slippage else f"q50 {slippage[0]:g}, q90 {slippage[1]:g} pips"),
        ("score", _format(view["performance_score"])),
        ("multiplier", _format(view["score_multiplier"])),
        ("breakers", ", ".join(f"{item['name']} {item['state']}" for item in view["breakers"])),
        ("model", _name_artifact(view["model_version"], view["model_digest"])),
        ("policy", _name_artifact(view["policy_version"], view["policy_digest"])),
        ("mode", str(view["mode"])),
        ("ages", ", ".join(f"{name.removesuffix('_ms')} {age} ms" for name, age in ages.items())),
        ("decision", f"{view['decision_id']} of epoch {view['epoch']}"),
    ]
    return [(name, text) for name, text in facts if text]


def tabulate_checks(answer: decision_pb2.DecideResponse) -> Table:
    """Return a table of the checks that an answer lists."""
    table = Table(box=SIMPLE)
    table.add_column("check", no_wrap=True)
    table.add_column("status")
    for name in ("limit", "observed", "headroom", "lots max"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    for check in answer.checks:
        view = view_message(check)
        if check.status == types_pb2.CHECK_STATUS_NOT_APPLICABLE:
            continue
        colour = _STATUS_COLOURS.get(view["status"], "white")
        numbers = [_format(view[name]) for name in ("limit", "observed", "headroom", "lots_max")]
        unit = _UNITS.get(view["unit"], (view["unit"] or "").lower())
        table.add_row(view["check"], f"[{colour}]{view['status']}[/]", *numbers, unit)
    return table


def _format(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:,.10g}{unit}"


def _name_artifact(version: str, digest: str) -> str:
    return f"{version} ({digest[:12]})" if version else ""
