"""`python -m demo [--data DIR] [--data-dir DIR] [--keep]`: from nothing to a table of decisions.

Starts the stack, applies the sample, trains and activates a model, lets a simulated router ask
about every trade of the data (or of a small simulated market), and prints what came of it.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

import riskgate
from demo import summary
from demo.instruments import Instrument, build_document, derive_instruments, derive_rates
from demo.orders import WIDE_ACCOUNT, Order, build_orders, build_samples
from demo.router import Answered, Contract, Router
from demo.stack import Stack, StackError
from riskgate.channel import read_address
from trainer.errors import TrainerError
from trainer.metrics import provider_metrics
from trainer.push import PushResult, push_provider_metrics
from trainer.rows import StopFill, Trade
from trainer.simulate import simulate_market, write_market
from trainer.source import open_folder, read_stop_fills, read_trades

SAMPLE: Final = Path(__file__).with_name("sample.yaml")
INSECURE: Final = (
    "INSECURE: the demo serves without TLS (--insecure-loopback), on this machine only, and every "
    "caller here may do everything. `riskgate serve` alone wants a certificate of every caller."
)
SIMULATED_TRADES: Final = 1_500
SIMULATED_SEED: Final = 7
MODEL_VERSION: Final = "1.0.0"
_ACTIVE_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.05
_START_EQUITY: Final = 10_000.0


@dataclass(frozen=True, slots=True)
class Market:
    """What the demo asks about.

    Attributes:
        folder: Where the trainer reads the same rows.
    """

    trades: list[Trade]
    fills: list[StopFill]
    folder: Path
    is_simulated: bool


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="The whole system at work.")
    parser.add_argument("--data", type=Path, help="folder with recorded trades and stop fills")
    parser.add_argument("--data-dir", type=Path, help="new data directory of the stack")
    parser.add_argument("--keep", action="store_true", help="leave the stack running until Ctrl-C")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 140)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console.print(INSECURE, style="yellow", highlight=False)
    try:
        with tempfile.TemporaryDirectory() as work, Stack(options.data_dir) as stack:
            run(console, stack, options.data, Path(work))
            summary.show_next(console, str(stack.data_dir), keeps_running=options.keep)
            if options.keep:
                console.print("The stack is running; stop it with Ctrl-C.")
                signal.pause()
    except KeyboardInterrupt:
        return 0 if options.keep else 130
    except (StackError, TrainerError, riskgate.NoDecisionError) as error:
        console.print(f"[red]The demo failed:[/] {error}", highlight=False)
        return 1
    return 0


def run(console: Console, stack: Stack, data: Path | None, work: Path) -> None:
    """Do everything between start and stop of the stack."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20))
    progress = Progress(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=console)
    with progress:
        step = _Steps(progress)
        step.begin("start PostgreSQL, Redis, control and engine")
        market = load_market(data, work)
        stack.wait_for_author_key()
        # Training and the engine's first compilation of its kernels take a core each.
        training = stack.start_command(
            *("train slippage", "--data", market.folder),
            *("--out", work / "model", "--version", MODEL_VERSION),
        )
        stack.wait_until_ready()
        step.begin("apply the sample")
        stack.run("apply", "-f", SAMPLE, "--reason", "sample of the demo")
        instruments, rates = describe_instruments(market, stack, work)
        step.begin("work out provider metrics and scores")
        metrics = provider_metrics(market.trades, market.fills, _START_EQUITY)
        control = read_address("control", stack.data_dir)
        pushed = push_provider_metrics(metrics, control, "demo", credentials="plaintext")
        step.begin("train and sign a slippage model")
        trained = training.wait()
        step.begin("have the model verified, approve and activate it")
        model = ship_model(stack, work / "model")
        orders, left_out = build_orders(
            market.trades, market.fills, with_samples=market.is_simulated
        )
        samples = build_samples()
        step.begin("ask, fill, close, report", total=len(orders) + len(samples))
        with riskgate.connect(stack.data_dir) as gate:
            router = Router(gate, build_contracts(instruments, rates))
            answered = []
            for order in samples:
                answered.append(step.advance(router.send(order)))
                router.close_all()
            sent = [step.advance(router.send(order)) for order in orders]
            router.close_all()
    show(console, market, (len(orders), left_out), instruments, rates)
    _show_results(console, market, router, (answered, sent), pushed, (model, trained))


def load_market(data: Path | None, work: Path) -> Market:
    """Return the recorded trades and fills of a folder, or simulated ones."""
    if data is None:
        simulated = simulate_market(SIMULATED_SEED, SIMULATED_TRADES)
        folder = work / "market"
        write_market(simulated, folder)
        return Market(simulated.trades, simulated.fills, folder, is_simulated=True)
    source = open_folder(data)
    return Market(read_trades(source), read_stop_fills(source), data, is_simulated=False)


def describe_instruments(
    market: Market, stack: Stack, work: Path
) -> tuple[list[Instrument], dict[str, float]]:
    """Derive instruments and rates from recorded trades and apply them to the stack.

    The sample already has the instruments of the simulated market.
    """
    if market.is_simulated:
        return [], {}
    instruments = derive_instruments(market.trades)
    currencies = {instrument.quote_currency for instrument in instruments}
    rates = derive_rates(market.trades, currencies)
    document = build_document(instruments, rates)
    file = work / "derived.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    stack.run("apply", "-f", file, "--reason", "instruments of the recorded data")
    return instruments, rates


def ship_model(stack: Stack, artifact: Path) -> dict[str, Any]:
    """Push, propose, approve and activate a model; wait until the engine answers with it.

    Returns:
        What the register says about it.
    """
    stack.run("models push", artifact, "--by", "demo author")
    why = ("--by", "demo", "--reason", "better than what it replaces on the hold-out")
    stack.run("models propose", MODEL_VERSION, *why)
    # In earnest these are two people, each with a key of his own on a machine of his own.
    stack.run("models approve", MODEL_VERSION, "--as", "both", *why)
    model: dict[str, Any] = stack.run("models activate", MODEL_VERSION, *why)
    question = Order(
        "", WIDE_ACCOUNT, "user", "user_67890", "EURUSD", "buy", 1.1, 1.098, None, exit_price=1.1
    )
    ends_at_s = time.monotonic() + _ACTIVE_TIMEOUT_S
    with riskgate.connect(stack.data_dir, deadline_s=5.0) as gate:
        while gate.decide(
            account_id=question.account_id,
            provider_id=question.provider_id,
            provider_type=question.provider_type,
            symbol=question.symbol,
            side=question.side,
            entry_price=question.entry,
            stop_loss=question.stop,
            dry_run=True,
        ).model_digest != bytes.fromhex(model["model"]["digest"]):
            if time.monotonic() > ends_at_s:
                raise StackError("the engine does not use the activated model")
            time.sleep(_POLL_S)
    registered: dict[str, Any] = model["model"]
    return registered


def build_contracts(
    instruments: Sequence[Instrument], rates: dict[str, float]
) -> dict[str, Contract]:
    """Return what the router needs to work out profits; no rate: the gate lets nothing through."""
    sample = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    known = {rate["from"]: rate["rate"] for rate in sample["conversion_rates"]} | {"USD": 1.0}
    contracts = {
        item["symbol"]: Contract(item["contract_size"], known[item["quote_currency"]])
        for item in sample["instruments"]
    }
    for instrument in instruments:
        rate = rates.get(instrument.quote_currency, known.get(instrument.quote_currency))
        if rate is not None:
            contracts[instrument.symbol] = Contract(instrument.contract_size, rate)
    return contracts


def show(
    console: Console,
    market: Market,
    counts: tuple[int, Counter[str]],
    instruments: Sequence[Instrument],
    rates: dict[str, float],
) -> None:
    """Print what went in."""
    usable, left_out = counts
    kind = "simulated market (built in, not real data)" if market.is_simulated else "recorded data"
    console.print(
        f"\nInput: [bold]{kind}[/]: {len(market.trades):,} trades, {len(market.fills):,} stop and "
        f"target fills; {usable:,} usable orders."
    )
    for reason, count in left_out.items():
        console.print(f"  left out {count:,}: {reason}")
    if not market.is_simulated:
        summary.show_instruments(console, instruments, rates)


def _show_results(
    console: Console,
    market: Market,
    router: Router,
    answers: tuple[Sequence[Answered], Sequence[Answered]],
    pushed: PushResult,
    shipped: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    samples, sent = answers
    model, trained = shipped
    console.print(
        f"Provider metrics: {pushed.written:,} periods written, {pushed.left_out:,} without any "
        "stop left out; scores follow from the newest."
    )
    summary.show_decisions(console, samples, sent)
    summary.show_counts(console, [*samples, *sent])
    summary.show_books(console, router)
    summary.show_slippage(console, sent, trained["trained_until"])
    summary.show_latency(console, [*samples, *sent])
    summary.show_model(console, model, trained["holdout"])
    if market.is_simulated:
        console.print("All of this was a simulated market. With real trades: make demo DATA=DIR")


class _Steps:
    """One progress line per step; the step before is finished when the next begins."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: Any = None

    def begin(self, description: str, total: int = 1) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=1)
        self._task = self._progress.add_task(description, total=total)

    def advance(self, answered: Answered) -> Answered:
        self._progress.advance(self._task)
        return answered


if __name__ == "__main__":
    sys.exit(main())
