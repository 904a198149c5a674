"""A steady flow of orders for tests: each is decided, compared with the size worked out by hand,
and withdrawn again, so that the next one finds the account as it was.
"""

import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import riskgate
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types

ACCOUNT: Final = "steady"
PROVIDER: Final = "channel_12345"
# 0.5 % of 10,000 is 50 of risk money; a lot loses 20.0 pips to the stop and 0.5 pips of buffer
# behind it (5 % of an ATR of 10 pips), 205 in all: 0.24 lots, and 0.12 with half the money.
WHOLE_LOTS: Final = 0.24
HALF_LOTS: Final = 0.12
# With the multiplier 1.35 of a score of 87.5: 67.50 / 205.
GOOD_PROVIDER_LOTS: Final = 0.32
DEGRADED_AGE_MS: Final = 2_000
REFUSE_AGE_MS: Final = 30_000

_PAUSE_S: Final = 0.02
# Far beyond what a call needs; the point is that it never needs Redis or PostgreSQL.
_DEADLINE_S: Final = 2.0


class Decided:
    """One answer and when it came."""

    def __init__(self, answer: pb.DecideResponse, spent_s: float) -> None:
        self.answer = answer
        self.spent_s = spent_s
        self.at_s = time.monotonic()
        self.mode = answer.mode
        self.reasons = set(answer.reasons)
        self.age_ms = answer.input_ages.heartbeat_ms

    def __repr__(self) -> str:
        names = sorted(types.Reason.Name(reason) for reason in self.reasons)
        mode = types.Mode.Name(self.mode)
        return f"<{mode} {self.answer.lot_size} lots, feed {self.age_ms} ms old, {names}>"


def order(account_id: str = ACCOUNT, provider_id: str = PROVIDER) -> dict[str, Any]:
    """Return the fields of the order that every expected size is worked out for."""
    return {
        "account_id": account_id,
        "provider_id": provider_id,
        "provider_type": "channel_source",
        "symbol": "EURUSD",
        "side": "buy",
        "entry_price": 1.1,
        "stop_loss": 1.098,
        "atr": 0.001,
        "volatility_index": 50.0,
    }


def find_fault(decided: Decided) -> str:
    """Return what is wrong with an answer, by the failure policy; empty when nothing is."""
    answer, reasons = decided.answer, decided.reasons
    refused = types.REASON_FEED_STALE in reasons
    halved = types.REASON_FEED_DEGRADED in reasons
    mode: types.Mode = types.MODE_NORMAL
    if refused:
        mode = types.MODE_REFUSE
    elif halved or types.REASON_RECORD_AWAY in reasons:
        mode = types.MODE_DEGRADED
    lots = 0.0 if refused else HALF_LOTS if halved else WHOLE_LOTS
    # Ages are cut to whole milliseconds, so exactly the limit may be on either side of it.
    if not (decided.age_ms >= DEGRADED_AGE_MS if halved or refused else decided.age_ms <= 2_000):
        return f"an age that does not fit the reasons: {decided}"
    if not (decided.age_ms >= REFUSE_AGE_MS if refused else decided.age_ms <= REFUSE_AGE_MS):
        return f"an age that does not fit the reasons: {decided}"
    return "" if (answer.mode, answer.lot_size) == (mode, lots) else f"a wrong answer: {decided}"


class OrderFlow:
    """Sends orders in a thread from `with` to its end.

    Attributes:
        decided: All answers, in order.
        faults: What was wrong; empty is the promise.
        failures: Calls without an answer.
    """

    def __init__(self, data_dir: Path) -> None:
        self._gate = riskgate.connect(data_dir, deadline_s=_DEADLINE_S)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orders")
        self.decided: list[Decided] = []
        self.faults: list[str] = []
        self.failures: list[riskgate.NoDecisionError] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._gate.close()

    def wait_for(
        self, condition: Callable[[Decided], bool], *, timeout_s: float
    ) -> tuple[Decided, float]:
        """Return the first answer from now on that fits, and how long it took to come."""
        began_s = time.monotonic()
        for index in count(len(self.decided)):
            while index >= len(self.decided):
                assert self._thread.is_alive(), "the flow of orders has ended"
                late = time.monotonic() - began_s > timeout_s
                assert not late, f"not within {timeout_s} s; last: {self.decided[-1:]}"
                time.sleep(0.005)
            if condition(self.decided[index]):
                return self.decided[index], self.decided[index].at_s - began_s
        raise AssertionError

    def _run(self) -> None:
        for number in count():
            if self._stop.wait(_PAUSE_S):
                return
            order_id = f"flow-{id(self)}-{number}"
            try:
                self._send(order_id)
            except riskgate.NoDecisionError as error:
                self.failures.append(error)

    def _send(self, order_id: str) -> None:
        began_s = time.monotonic()
        answer = self._gate.decide(client_order_id=order_id, **order())
        decided = Decided(answer, time.monotonic() - began_s)
        self.decided.append(decided)
        fault = find_fault(decided)
        if fault:
            self.faults.append(fault)
        if answer.HasField("reservation_expires_at"):
            self._gate.report(
                report_id=order_id, account_id=ACCOUNT, client_order_id=order_id, kind="reject"
            )
