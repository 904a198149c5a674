"""Random orders for an engine that keeps a journal.

`play_world` feeds it from the random world: decisions alone, in streams and batches, reports,
broker's views, changes and model swaps. `SteadyFlow` makes many decisions in little time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.hotpath.change_kinds import MODEL, RISK_CONFIGURATION
from server.hotpath.journal.entries import (
    KIND_BATCH,
    KIND_DECIDE,
    KIND_REPORT,
    KIND_STREAM,
    KIND_SYNC,
)
from server.hotpath.layout import NOT_SET, text
from tests.cases import MODELS, Change, Decide, World
from tests.hotpath.wire.messages import to_report, to_request
from tests.journaled_engine import JournaledEngine
from tests.snapshot_harness import draw_sync

_KEY_COLUMNS: Final = {1: "symbol", 2: "account_id", 3: "account_id", 7: "breaker_id"}
_PROVIDER_TYPES: Final = {1: "channel_source", 2: "user"}
# Limits that would soon end a flow of many orders.
_WIDE: Final = (
    "max_leverage_ppm",
    "max_correlated_exposure_ppm",
    "daily_max_drawdown_ppm",
    "weekly_max_drawdown_ppm",
    "monthly_max_drawdown_ppm",
    "min_provider_score_micropoints",
)


def new_world_engine(folder: Path, world: World, **options: Any) -> JournaledEngine:
    """Return an engine as the world wants it, with the changes of a start applied."""
    engine = JournaledEngine(
        folder,
        world.capacity,
        started_at_ns=world.started_at_ns,
        restarted=world.restarted,
        idempotency_min_age_ns=world.idempotency_min_age_ns,
        **options,
    )
    for event in world.initial_changes():
        give_event(engine, world, event)
    return engine


def play_world(engine: JournaledEngine, world: World, events: int) -> None:
    """Feed random events; decisions come alone, in streams and in batches of both sorts."""
    waiting: list[pb.DecideRequest] = []
    for _ in range(events):
        event = world.next_event()
        if isinstance(event, Decide) and world.rng.random() < 0.2:
            waiting.append(to_request(event.row))
            if world.rng.random() < 0.2:
                engine.reading_ns = event.reading_ns
                engine.batch(*waiting, all_or_none=bool(world.rng.random() < 0.4))
                waiting.clear()
        else:
            give_event(engine, world, event)
        if world.rng.random() < 0.002:
            _sync(engine, world)
        world.sequence = engine.sequence


def give_event(engine: JournaledEngine, world: World, event: Any) -> None:
    """Hand one event of a world to the engine, by the door it would come through."""
    if isinstance(event, Change):
        _change(engine, world, event)
    elif isinstance(event, Decide):
        request = to_request(event.row)
        if world.rng.random() < 0.2:
            message = pb.DecideStreamRequest(tag=event.reading_ns % 1_000, request=request)
            engine.call(KIND_STREAM, message.SerializeToString(), event.reading_ns)
        else:
            engine.call(KIND_DECIDE, request.SerializeToString(), event.reading_ns)
    else:
        report = pb.ReportExecutionRequest(report=to_report(event.row))
        engine.call(KIND_REPORT, report.SerializeToString(), event.reading_ns)


def _change(engine: JournaledEngine, world: World, event: Change) -> None:
    engine.reading_ns = event.reading_ns
    if event.kind == MODEL:
        number = int(world.rng.integers(-1, len(MODELS)))
        engine.swap_model(None if number < 0 else number, max(event.version, 0))
        return
    rows = b"" if event.deleted else event.rows.tobytes()
    engine.change(event.kind, key_of(event.kind, event.rows), rows, max(event.version, 0))


def key_of(kind: int, rows: Any) -> str:
    """Return the key of a change that its rows name."""
    if kind in _KEY_COLUMNS:
        return text(rows[_KEY_COLUMNS[kind]][0])
    if kind == 4:
        return f"{_PROVIDER_TYPES[int(rows['provider_type'][0])]}:{text(rows['provider_id'][0])}"
    if kind == 6:
        return "/".join(text(rows[f"{end}_currency"]) for end in ("from", "to"))
    return ""


def _sync(engine: JournaledEngine, world: World) -> None:
    drawn = draw_sync(world, engine.reading_ns)
    message = pb.SyncAccountRequest(account_id=drawn.account_id)
    for position in drawn.positions:
        row = {name: value for name, value in position._asdict().items() if value is not None}
        message.positions.add(**row)
    for order in drawn.orders:
        message.working_orders.add(**order._asdict())
    engine.call(KIND_SYNC, message.SerializeToString())


# --- A steady flow ---------------------------------------------------------------------------


class SteadyFlow:
    """Many decisions in little time: encoded once, each sent again and again under a new id.

    A decision comes every 10 µs, alone or in a batch, a change every 10 ms, another model every
    50 ms. What is let go is mostly rejected at once, so that there is room for the next.

    Args:
        engine: Of the world, behind its initial changes.
        world: Source of requests and changes.
        pool: How many different requests.

    Attributes:
        swaps: Models activated.
        changes: Changes besides these.
    """

    def __init__(self, engine: JournaledEngine, world: World, pool: int = 1_000) -> None:
        self._engine, self._world = engine, world
        self._pool = list(self._encode(pool))
        self._made = 0
        self._due_ns = dict.fromkeys(("change", "swap"), engine.reading_ns)
        self.swaps = self.changes = 0
        for _ in range(20):
            self._put(RISK_CONFIGURATION)

    def run(self, decisions: int) -> None:
        """Make at least so many more decisions."""
        engine = self._engine
        until = engine.answers + decisions
        while engine.answers < until:
            for name, every_ns, give in (
                ("change", 10_000_000, self._change),
                ("swap", 50_000_000, self._swap),
            ):
                if engine.reading_ns >= self._due_ns[name]:
                    self._due_ns[name] += every_ns
                    give()
            self._decide(20 if self._made % 3 == 0 else 1)

    def _encode(self, count: int) -> Iterator[tuple[bytes, str]]:
        while count:
            event = self._world.next_event()
            if isinstance(event, Decide):
                request = to_request(event.row)
                for name in ("client_order_id", "replaces_client_order_id", "min_state_version"):
                    request.ClearField(name)
                yield request.SerializeToString(), request.account_id
                count -= 1

    def _decide(self, count: int) -> None:
        engine = self._engine
        engine.reading_ns += 10_000 * count
        asked = [self._next_request() for _ in range(count)]
        if count == 1:
            raw = engine.call(KIND_DECIDE, asked[0][0])
            answers = [pb.DecideResponse.FromString(raw)]
        else:
            # Encoded as a batch of its own each, they make up one when put together.
            raw = engine.call(KIND_BATCH, b"".join(_as_item(raw) for raw, _, _ in asked))
            results = pb.DecideBatchResponse.FromString(raw).results
            answers = [result.response for result in results]
        for (_, account_id, order_id), answer in zip(asked, answers, strict=True):
            if answer.HasField("reservation_expires_at"):
                self._report(account_id, order_id, answer.lot_size)

    def _next_request(self) -> tuple[bytes, str, str]:
        self._made += 1
        raw, account_id = self._pool[self._made * 7_919 % len(self._pool)]
        order_id = f"steady-{self._made}"
        named = pb.DecideRequest(client_order_id=order_id).SerializeToString()
        return raw + named, account_id, order_id

    def _report(self, account_id: str, order_id: str, lots: float) -> None:
        kind = types.REPORT_KIND_FILL if self._made % 5 == 0 else types.REPORT_KIND_REJECT
        for closes in (False, True):
            report = pb.ExecutionReport(
                report_id=f"{order_id}-{closes:d}",
                account_id=account_id,
                client_order_id=order_id,
                kind=types.REPORT_KIND_CLOSE if closes else kind,
            )
            if kind == types.REPORT_KIND_FILL:
                report.lots = lots
            if closes:
                report.realised_pnl = float(self._made % 7 - 3)
            message = pb.ReportExecutionRequest(report=report)
            self._engine.call(KIND_REPORT, message.SerializeToString())
            if kind == types.REPORT_KIND_REJECT:
                return

    def _change(self) -> None:
        is_beat = self.changes % 10 == 0
        kind = 11 if is_beat else int(self._world.rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 14]))
        self._put(kind)
        self.changes += 1

    def _put(self, kind: int) -> None:
        rows = self._world._changes.make(kind, self._engine.reading_ns)
        if kind == RISK_CONFIGURATION:
            for name in _WIDE:
                rows[name] = NOT_SET
        self._engine.change(kind, key_of(kind, rows), rows.tobytes(), self._made)

    def _swap(self) -> None:
        self._engine.swap_model(int(self._world.rng.integers(len(MODELS))))
        self.swaps += 1


def _as_item(raw: bytes) -> bytes:
    return pb.DecideBatchRequest(requests=[pb.DecideRequest.FromString(raw)]).SerializeToString()
