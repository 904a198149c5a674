"""What the demo prints at the end: a choice of decisions, counts, latency, model, how to go on."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import riskgate
from demo.instruments import Instrument
from demo.router import Answered, Router
from riskgate.v1 import types_pb2

_COLOURS: Final = {"ALLOW": "green", "REDUCE": "yellow", "DENY": "red", "NO DECISION": "magenta"}
_ROWS_PER_KIND: Final = 2
_ROWS_MAX: Final = 24


def show_decisions(console: Console, samples: Sequence[Answered], sent: Sequence[Answered]) -> None:
    """Print the sample orders and a few orders of each verdict and leading reason."""
    table = Table("provider", "account", "symbol", "asked", "verdict", "lots", "buffer", "reason")
    for answered in samples:
        _add_row(table, answered)
    table.add_section()
    chosen: Counter[tuple[str, str]] = Counter()
    rows = 0
    for answered in sent:
        kind = (name_verdict(answered), _name_reasons(answered, 1))
        if chosen[kind] < _ROWS_PER_KIND and rows < _ROWS_MAX:
            chosen[kind] += 1
            rows += 1
            _add_row(table, answered)
    console.print(table)


def show_counts(console: Console, sent: Sequence[Answered]) -> None:
    """Print verdicts per account, and how often each reason was given."""
    verdicts = Table("account", *_COLOURS, title="Verdicts")
    ordered = sorted(sent, key=lambda answered: answered.order.account_id)
    for account, group in groupby(ordered, key=lambda answered: answered.order.account_id):
        counts = Counter(name_verdict(answered) for answered in group)
        verdicts.add_row(account, *(f"{counts[name]:,}" for name in _COLOURS))
    reasons: Counter[str] = Counter()
    for answered in sent:
        reasons.update(_list_reasons(answered))
    why = Table("reason", "orders", title="Reasons and notes")
    for name, count in reasons.most_common():
        why.add_row(name, f"{count:,}")
    console.print(verdicts)
    console.print(
        "  account123 is under low_risk: two losses in a row, and it rests for two hours.",
        style="dim",
    )
    console.print(why)


def show_latency(console: Console, sent: Sequence[Answered]) -> None:
    """Print how long the client waited and how long the engine took."""
    waited_us = np.array([answered.elapsed_s for answered in sent]) * 1e6
    engine_us = np.array(
        [
            answered.answer.server_ns / 1e3
            for answered in sent
            if isinstance(answered.answer, riskgate.DecideResponse)
        ]
    )
    table = Table("microseconds", "p50", "p99", "max", title=f"Latency of {len(sent):,} decisions")
    table.add_row("at the client, one at a time", *_describe(waited_us))
    table.add_row("inside the server", *_describe(engine_us))
    console.print(table)


def show_books(console: Console, router: Router) -> None:
    """Print what the router reported, and that nothing is left open."""
    reports = ", ".join(f"{count:,} {kind}" for kind, count in sorted(router.reports.items()))
    left = {key: lots for key, lots in router.open_lots.items() if lots != 0}
    flat = "all positions are flat again" if not left else f"still open: {left}"
    console.print(f"Simulated router: {reports}; {flat}.")
    for account, profit in sorted(router.profit.items()):
        console.print(f"  realised on {account}: {profit:+,.2f} USD (simulated)")


def show_slippage(console: Console, sent: Sequence[Answered], trained_until: str) -> None:
    """Print predicted against realised slippage of the orders that were stopped out.

    The engine answers for the moment of the question. Time of day is an input of the model, so
    these figures are rougher than those of the hold-out, which are made for the time of the fill.
    """
    rows = [
        (
            answered.order.slippage_pips,
            answered.answer.predicted_slippage_pips,
            answered.answer.sizing_slippage_pips,
            str(answered.order.filled_at) > trained_until.replace("T", " "),
        )
        for answered in sent
        if isinstance(answered.answer, riskgate.DecideResponse)
        and answered.order.slippage_pips is not None
        and answered.answer.HasField("predicted_slippage_pips")
    ]
    table = Table(
        "stop fills", "rows", "MAE of q50", "coverage of q90", title="Predicted against realised"
    )
    for name, is_later in (("inside the training window", False), ("after it", True)):
        part = np.array([row[:3] for row in rows if row[3] is is_later], dtype=np.float64)
        if len(part):
            error = np.abs(part[:, 0] - part[:, 1]).mean()
            covered = (part[:, 0] <= part[:, 2]).mean()
            table.add_row(name, f"{len(part):,}", f"{error:.3f} pips", f"{covered:.1%}")
    console.print(table)
    console.print(
        "  Asked now, not at the time of the fill: time of day is an input of the model.",
        style="dim",
    )


def show_model(console: Console, model: dict[str, Any], holdout: dict[str, Any]) -> None:
    """Print which model spoke, and its figures on rows that it has not seen."""
    console.print(f"Model {model['purpose']} {model['version']}, digest {model['digest']}")
    figures = ("mae_pips", "baseline_mae_pips", "pinball_q90_pips", "baseline_pinball_q90_pips")
    parts = [f"{name} {holdout[name]:.4f}" for name in figures if name in holdout]
    if "coverage_q90" in holdout:
        parts.append(f"coverage_q90 {holdout['coverage_q90']:.1%}")
    console.print(f"  hold-out of {holdout.get('rows', 0):,} later stop fills: {', '.join(parts)}")


def show_instruments(
    console: Console, instruments: Sequence[Instrument], rates: dict[str, float]
) -> None:
    """Print the derived instruments."""
    table = Table(
        *("symbol", "class", "base/quote", "tick", "pip", "contract*", "tick value", "ATR**"),
        *("to USD", "trades"),
        title=f"{len(instruments)} instruments derived from the data",
    )
    for item in instruments:
        rate = rates.get(item.quote_currency)
        table.add_row(
            item.symbol,
            item.asset_class,
            f"{item.base_currency}/{item.quote_currency}",
            f"{item.tick_size:f}",
            f"{item.pip_size:f}",
            f"{item.contract_size:,}",
            f"{item.tick_value.normalize():f}",
            f"{item.atr:g}",
            "none" if rate is None else f"{rate:.6g}",
            f"{item.trades:,}",
        )
    console.print(table)
    console.print(
        "  * simulated: usual size of the class, not in the data.  "
        "** stand-in: mean move of its trades; volatility index simulated: 50 everywhere.",
        style="dim",
    )


def show_next(console: Console, data_dir: str, *, keeps_running: bool) -> None:
    """Print commands to go on with."""
    start = (
        "" if keeps_running else f"  riskgate serve --data-dir {data_dir}      # start it again\n"
    )
    console.print(
        "How to go on (commands are in .venv/bin):\n"
        f"{start}"
        f"  riskgate doctor --data-dir {data_dir}\n"
        f"  riskgate get risk_configurations --data-dir {data_dir}\n"
        f"  riskgate models list --data-dir {data_dir}\n"
        f"  riskgate decide --data-dir {data_dir} --account account456 --provider channel_12345 "
        "--provider-type channel_source --symbol EURUSD --side buy --entry 1.10000 "
        "--stop 1.09800 --explain",
        soft_wrap=True,
        highlight=False,
    )


def name_verdict(answered: Answered) -> str:
    """Return the verdict's short name, or that there was no decision."""
    if isinstance(answered.answer, riskgate.NoDecisionError):
        return "NO DECISION"
    return types_pb2.Verdict.Name(answered.answer.verdict).removeprefix("VERDICT_")


def _list_reasons(answered: Answered) -> list[str]:
    if isinstance(answered.answer, riskgate.NoDecisionError):
        return [f"{answered.answer.code.name} {answered.answer.field}".strip()]
    names = map(types_pb2.Reason.Name, answered.answer.reasons)
    return [name.removeprefix("REASON_") for name in names]


def _name_reasons(answered: Answered, count: int) -> str:
    return ", ".join(_list_reasons(answered)[:count])


def _add_row(table: Table, answered: Answered) -> None:
    order, verdict = answered.order, name_verdict(answered)
    colour = _COLOURS[verdict]
    lots = buffer = "-"
    if isinstance(answered.answer, riskgate.DecideResponse) and answered.answer.lot_size > 0:
        lots = f"{answered.answer.lot_size:g}"
        buffer = f"{answered.answer.sl_buffer_pips:g}"
    reason = _name_reasons(answered, 3)
    note = f"[dim]{escape(order.note)}[/]" if order.note else ""
    table.add_row(
        order.provider_id,
        order.account_id,
        f"{order.symbol} {order.side}",
        "full" if order.lots is None else f"{order.lots:g}",
        f"[{colour}]{verdict}[/]",
        lots,
        buffer,
        "\n".join(part for part in (reason, note) if part),
    )


def _describe(values: Any) -> list[str]:
    if not len(values):
        return ["-", "-", "-"]
    p50, p99 = np.quantile(values, (0.5, 0.99))
    return [f"{p50:,.0f}", f"{p99:,.0f}", f"{values.max():,.0f}"]
