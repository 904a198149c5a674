"""The worked example as an engine that keeps a journal, orders of it, and other limits for it."""

import time
from pathlib import Path
from typing import Any, Final

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.loaders.calendar import Calendar
from tests.decision_harness import beat, example_changes, good_request, submit
from tests.journaled_engine import JournaledEngine

# The limits of the example as `riskgate apply` takes them, and with half the risk per trade.
WIDE: Final = {
    "config_id": "simulated",
    "account_id": "A",
    "position_max_drawdown_percentage": 100,
    "position_trailing_stop_multiplier": 2,
    "daily_max_drawdown_percentage": 100,
    "weekly_max_drawdown_percentage": 100,
    "monthly_max_drawdown_percentage": 100,
    "max_position_size_percentage": 100_000,
    "max_correlated_exposure_percentage": 100_000,
    "risk_per_trade_percentage": 0.5,
    "volatility_adjustment_factor": 0,
    "cooling_off_period_minutes": 0,
    "consecutive_loss_threshold": 0,
}
HALF: Final = {**WIDE, "risk_per_trade_percentage": 0.25}


def new_example_engine(folder: Path, **options: Any) -> JournaledEngine:
    """Return an engine with the state of the worked example; its clock is that of the machine."""
    made = JournaledEngine(folder, started_at_ns=time.time_ns(), **options)
    Calendar(made.engine.submit).add_timezone("UTC")
    for version, (kind, key, rows) in enumerate(example_changes(), start=1):
        submit(made.engine, kind, key, rows, version=version)
    beat(made.engine, version=4)
    made.reading_ns = time.time_ns()
    assert made.engine.drain(made.reading_ns) == 6
    return made


def trade(live: JournaledEngine, order_id: str, pnl: float, **fields: Any) -> Any:
    """Let an order go, fill it whole and close it with a profit."""
    answer = live.decide(good_request(client_order_id=order_id, **fields))
    for kind, extra in (
        (types.REPORT_KIND_FILL, {}),
        (types.REPORT_KIND_CLOSE, {"realised_pnl": pnl}),
    ):
        outcome = live.report(
            report_id=f"{order_id}-{kind}", account_id="A", client_order_id=order_id,
            kind=kind, lots=answer.lot_size, price=1.1, **extra,
        )  # fmt: skip
        assert outcome.outcome == pb.REPORT_OUTCOME_APPLIED
    return answer
