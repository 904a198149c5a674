"""Recorded fills and closes, scaled to the lots that a simulation has let go instead."""

import math
from typing import Final

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import ExecutionReport

_MOVES: Final = (
    types.REPORT_KIND_PARTIAL_FILL,
    types.REPORT_KIND_FILL,
    types.REPORT_KIND_CLOSE,
)
# Of a lot step; as docs/decision.md rounds lots.
_SLACK: Final = 1e-6


class Order:
    """One order that went, as it was and as it is simulated.

    Args:
        decision_id: Of the simulated decision.
        lots_was: As journaled.
        lots_now: As simulated.
        lot_step: Of the instrument.
    """

    def __init__(self, decision_id: int, lots_was: float, lots_now: float, lot_step: float) -> None:
        self.decision_id = decision_id
        self._lots_was = lots_was
        self._lots_now = lots_now
        self._step = lot_step
        # By whether it closes: lots that were reported so far, and what of them was passed on.
        self._was = {False: 0.0, True: 0.0}
        self._now = {False: 0.0, True: 0.0}

    @property
    def ratio(self) -> float:
        """What one recorded lot is in the simulation."""
        return self._lots_now / self._lots_was if self._lots_was else 1.0

    def scale(self, report: ExecutionReport) -> ExecutionReport | None:
        """Return the report as it would have come; None if nothing would have.

        Rounding never loses a step for good: what all reports of an order add up to is scaled.
        """
        if report.decision_id:
            report.decision_id = self.decision_id
        if self._lots_now == self._lots_was:
            return report
        if not self._lots_now:
            return None
        for name in ("realised_pnl", "commission"):
            if report.HasField(name):
                setattr(report, name, getattr(report, name) * self.ratio)
        return self._scale_lots(report) if report.kind in _MOVES else report

    def _scale_lots(self, report: ExecutionReport) -> ExecutionReport:
        closes = report.kind == types.REPORT_KIND_CLOSE
        moved = report.lots
        if report.HasField("cumulative_lots"):
            moved = max(report.cumulative_lots - self._was[closes], 0.0)
            report.ClearField("cumulative_lots")
        self._was[closes] += moved
        total = self._round(self._was[closes] * self.ratio)
        lots = total - self._now[closes]
        self._now[closes] = total
        report.lots = lots
        if lots < self._step / 2:
            # Less than a step: nothing moves, but an order that is done is done.
            is_done = report.kind == types.REPORT_KIND_FILL
            report.kind = types.REPORT_KIND_CANCEL if is_done else types.REPORT_KIND_ACK
            report.ClearField("lots")
        return report

    def _round(self, lots: float) -> float:
        if not self._step:
            return lots
        return math.floor(lots / self._step + _SLACK) * self._step
