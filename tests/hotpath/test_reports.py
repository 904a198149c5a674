"""Reports find their order by either name, in engine and twin alike."""

from typing import Any

import numpy as np
import pytest

from server.engine import Engine
from server.hotpath.layout import words
from server.hotpath.records import REPORT, REPORT_APPLIED, REPORT_HAS_LOTS, REPORT_HAS_PRICE
from tests.desk import NOW_NS, SMALL, Desk
from tests.reference import Reference


def _fill(decision_id: int) -> Any:
    row = np.zeros(1, REPORT)
    row["account_id"][0] = words("A")
    row["report_id"][0] = words("report-1")
    row["client_order_id"][0] = words("never-seen")
    row["decision_id"], row["kind"], row["present"] = (
        decision_id,
        3,
        REPORT_HAS_LOTS | REPORT_HAS_PRICE,
    )
    row["lots"], row["price"] = 0.32, 1.1
    return row[0]


@pytest.mark.parametrize("kind", ["engine", "twin"])
def test_report_when_order_id_is_unknown_then_the_decision_id_names_the_order(kind: str) -> None:
    kinds = {"engine": Engine, "twin": Reference}
    subject: Any = kinds[kind](SMALL, started_at_ns=NOW_NS)
    answer = Desk(subject, score=87.5).decide("buy", 1.1, 1.098, atr=0.001, dry_run=False)
    report = _fill(int(answer["sequence"]))
    if kind == "engine":
        outcome = int(subject.report_record(report, NOW_NS)["outcome"])
    else:
        outcome = subject.report(report, NOW_NS)["outcome"]
    assert outcome == REPORT_APPLIED
