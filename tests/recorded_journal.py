"""A journal of made-up decisions and reports for tests of the recorder."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import (
    AckDirectiveRequest,
    AckDirectiveResponse,
    BatchResult,
    DecideBatchRequest,
    DecideBatchResponse,
    DecideRequest,
    DecideResponse,
    DecideStreamRequest,
    DecideStreamResponse,
    Directive,
    ExecutionReport,
    ReportExecutionRequest,
    ReportExecutionResponse,
    SyncAccountRequest,
    SyncAccountResponse,
    WorkingOrder,
)
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_EVENT,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
    READING,
)
from server.hotpath.layout import words
from server.hotpath.reasons import R_RISK_PER_TRADE, S_CUT, S_PASS
from server.hotpath.rows import EVENT, EVENT_KEPT_BYTES
from tests.journal_builder import NOW_NS, JournalBuilder

SECOND_NS: Final = 1_000_000_000
DIGEST: Final = bytes(range(32))


class RecordedJournal(JournalBuilder):
    """Writes entries as the engine of one account would; the clock moves on a second per entry."""

    def __init__(
        self, folder: Path, *, now_ns: int = NOW_NS, step_ns: int = SECOND_NS, **said: Any
    ) -> None:
        super().__init__(folder, **{"segment_bytes": 1 << 20, **said})
        self.now_ns = now_ns
        self.step_ns = step_ns

    def decide(self, client_order_id: str = "", **fields: Any) -> tuple[int, int]:
        """Write one decision; return its (epoch, sequence)."""
        request, answer, reading = self._decision(client_order_id, **fields)
        self._write(request, answer, reading)
        return answer.epoch, answer.decision_id

    def stream(self, client_order_id: str = "", **fields: Any) -> tuple[int, int]:
        """Write one decision of a stream."""
        request, answer, reading = self._decision(client_order_id, **fields)
        self._write(
            DecideStreamRequest(tag=7, request=request),
            DecideStreamResponse(tag=7, response=answer),
            reading,
            kind=KIND_STREAM,
        )
        return answer.epoch, answer.decision_id

    def batch(self, *orders: str, repeated: DecideResponse | None = None) -> list[tuple[int, int]]:
        """Write a batch of new decisions, in front of them the answer to an earlier order."""
        made = [self._decision(order, position=i) for i, order in enumerate(orders)]
        requests = [request for request, _, _ in made]
        results = [BatchResult(response=answer) for _, answer, _ in made]
        if repeated is not None:
            requests.insert(0, DecideRequest(account_id="desk", client_order_id="earlier"))
            results.insert(0, BatchResult(response=repeated))
        self._write(
            DecideBatchRequest(requests=requests),
            DecideBatchResponse(results=results),
            np.concatenate([reading for _, _, reading in made]),
            kind=KIND_BATCH,
        )
        return [(answer.epoch, answer.decision_id) for _, answer, _ in made]

    def report(
        self,
        kind: types.ReportKind,
        client_order_id: str = "",
        *,
        outcome: int = 1,
        held_lots: float = 0.0,
        **fields: Any,
    ) -> int:
        """Write an execution report; return its sequence."""
        self.sequence += 1
        report = ExecutionReport(
            report_id=f"report-{self.number}",
            account_id="desk",
            client_order_id=client_order_id,
            kind=kind,
        )
        event_time = fields.pop("event_time", None)
        if event_time is not None:
            report.event_time.FromDatetime(event_time)
        for name, value in fields.items():
            setattr(report, name, value)
        answer = ReportExecutionResponse(
            outcome=outcome,  # type: ignore[arg-type]
            sequence=self.sequence,
            epoch=self.origin.epoch,
            equity=10_000.0,
            held_lots=held_lots,
        )
        self._write(ReportExecutionRequest(report=report), answer, 0, kind=KIND_REPORT)
        return self.sequence

    def sync(self, *working: tuple[str, float]) -> int:
        """Write a sync of the account that names these working orders."""
        self.sequence += 1
        orders = [WorkingOrder(client_order_id=order, lots=lots) for order, lots in working]
        request = SyncAccountRequest(account_id="desk", working_orders=orders)
        self._write(request, SyncAccountResponse(sequence=self.sequence), 0, kind=KIND_SYNC)
        return self.sequence

    def trip(self, directive_id: int, breaker_id: str, **columns: Any) -> None:
        """Write that a breaker has tripped."""
        event = np.zeros(1, EVENT)
        event["event_id"], event["at_ns"], event["sequence"] = directive_id, self.now_ns, 1
        event["account_id"], event["breaker_id"] = words("desk"), words(breaker_id)
        event["breaker_name"] = words("max_drawdown_10_percent")
        event["position_lot_mantissa"], event["position_lot_scale"] = 1, 100
        values = {"condition": 1, "action": 4, "state": 2, "threshold": 0.1, "observed": 0.12}
        for name, value in {**values, "equity_micros": 8_800_000_000, **columns}.items():
            event[name] = value
        self.append(KIND_EVENT, event.tobytes()[:EVENT_KEPT_BYTES], reading_ns=self.now_ns)
        self.now_ns += self.step_ns

    def acknowledge(self, directive_id: int, *, success: bool, detail: str = "") -> None:
        """Write what a router has said of a directive."""
        directive = Directive(directive_id=directive_id)
        directive.outcome.success, directive.outcome.detail = success, detail
        directive.outcome.acknowledged_at.FromNanoseconds(self.now_ns)
        request = AckDirectiveRequest(directive_id=directive_id, success=success, detail=detail)
        answer = AckDirectiveResponse(directive=directive)
        self._write(request, answer, 0, kind=KIND_ACKNOWLEDGE, identity=b"spiffe://r/trader/x")

    def _write(self, request: Any, answer: Any, readings: Any, **said: Any) -> None:
        self.call(
            request.SerializeToString(),
            answer.SerializeToString(),
            readings=readings,
            reading_ns=self.now_ns,
            sequence=self.sequence,
            **said,
        )
        self.now_ns += self.step_ns

    def _decision(
        self,
        client_order_id: str,
        *,
        position: int = 0,
        held: bool = True,
        predicted_pips: float | None = 0.5,
        **fields: Any,
    ) -> tuple[DecideRequest, DecideResponse, Any]:
        self.sequence += 1
        request = DecideRequest(
            client_order_id=client_order_id,
            account_id="desk",
            provider_id="7",
            provider_type=types.PROVIDER_TYPE_CHANNEL_SOURCE,
            symbol="EURUSD",
            side=types.SIDE_BUY,
            order_type=types.ORDER_TYPE_MARKET,
            entry_price=1.1,
            stop_loss=1.09,
            requested_lots=1.5,
            signal_id=f"signal-{self.sequence}",
            atr=0.0012,
        )
        for name, value in fields.items():
            setattr(request, name, value)
        decided_ns = self.now_ns + 1_000 + position
        answer = DecideResponse(
            decision_id=self.sequence,
            epoch=self.origin.epoch,
            verdict=types.VERDICT_REDUCE,
            lot_size=1.2,
            sl_buffer_pips=1.5,
            stop_price=1.08985,
            reasons=[types.REASON_RISK_PER_TRADE],
            binding_limit=types.REASON_RISK_PER_TRADE,
            policy_version="1.0.0",
            policy_digest=DIGEST,
            mode=types.MODE_NORMAL,
            durability=types.DURABILITY_PROCESS,
            state_version=9,
            server_ns=1_000 + position,
            session=types.TRADING_SESSION_LONDON,
        )
        if predicted_pips is not None:
            answer.predicted_slippage_pips = predicted_pips
            answer.model_version, answer.model_digest = "1.2.3", DIGEST
        if held:
            seconds, nanos = divmod(self.now_ns + 30 * SECOND_NS, SECOND_NS)
            answer.reservation_expires_at.seconds = seconds
            answer.reservation_expires_at.nanos = nanos
        reading = np.zeros(1, READING)
        reading["decided_ns"] = decided_ns
        reading["q50_pips"], reading["q90_pips"] = predicted_pips or 0.0, 1.1
        reading["binding"] = R_RISK_PER_TRADE + 1
        reading["limit"], reading["observed"], reading["lots_max"] = 100_000_000, 0, 120
        reading["status"][0, R_RISK_PER_TRADE] = S_CUT
        reading["status"][0, 0] = S_PASS
        return request, answer, reading
