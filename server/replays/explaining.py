"""Why a decision was made as it was: the engine as it stood before it, and all it went through."""

from typing import Any, Final, NamedTuple

from riskgate.v1.decision_pb2 import (
    DecideRequest,
    DecideResponse,
)
from server.commands.message_view import view_message
from server.engine import Engine
from server.errors import NotFoundError
from server.hotpath.journal.entries import (
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_CLOCK,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_NAMES,
    KIND_START,
    KIND_STREAM,
)
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS, MICROS, PPM, words
from server.hotpath.model_features import FEATURE_COUNT, SLIPPAGE_FEATURES, SLIPPAGE_OUTPUTS
from server.hotpath.records import KNOWN_MODEL, KNOWN_SLIPPAGE
from server.hotpath.table import find_nb
from server.journal.reader import Call, Entry, read_call
from server.replays.differing import FieldDifference, list_differences
from server.replays.judging import Rejudge
from server.replays.pairs import read_decisions
from server.replays.rows import view_row
from server.replays.source import ReplaySource
from server.services.convert import read_decision
from server.services.judge import Judged
from server.services.refusal import Refusal
from server.snapshots.index import rows_used

_KINDS: Final = (KIND_DECIDE, KIND_BATCH, KIND_STREAM)
_WITHOUT_NUMBER: Final = (KIND_START, KIND_CLOCK, KIND_ACKNOWLEDGE, KIND_EVENT)


class Explanation(NamedTuple):
    """One decision, made again.

    Attributes:
        entry_number: Of the journal entry.
        item: Place in its batch, from 0; None: it was no batch.
        epoch: Of the engine that made it.
        reading_ns: When the request came, Unix nanoseconds.
        request: What was asked.
        answer: What was answered, as journaled.
        explained: The same made again, with every check.
        differences: Where the answer made again is not the journaled one.
        differences_before: Entries before it that came out otherwise; not 0: trust nothing here.
        model: Digest, version, features by name, outputs; None: no model was asked.
        sizes: Every intermediate size, money and factor in units for people.
        rows: Rows of the tables that counted, by table, in the engine's units, as they were before
            the decision.
    """

    entry_number: int
    item: int | None
    epoch: int
    reading_ns: int
    request: DecideRequest
    answer: DecideResponse
    explained: DecideResponse
    differences: list[FieldDifference]
    differences_before: int
    model: dict[str, Any] | None
    sizes: dict[str, Any]
    rows: dict[str, Any]

    @property
    def is_same(self) -> bool:
        """Whether the answer came out as it was journaled."""
        return not self.differences


def explain(source: ReplaySource, decision_id: int, epoch: int | None = None) -> Explanation:
    """Make a decision again on the state that it was made on.

    Args:
        source: Of the journal.
        decision_id: Of the decision, which is the engine's sequence.
        epoch: If stated, it must have been made in this one.

    Raises:
        NotFoundError: There is no such decision in the journal.
        JournalError: The journal is damaged, or another release wrote it.
    """
    entry = source.find_entry(decision_id)
    call = _read_decision_call(entry, decision_id, epoch)
    replayer = source.begin_before(entry.number)
    replayer.advance(entry.number - 1)
    watch = _Watch(replayer.engine, decision_id)
    again = Rejudge(replayer.engine, replayer.start, watch=watch)
    answers = again.answer(entry, call)
    was = _find_answer(entry, call, decision_id)
    now = answers[was[0] or 0] if was is not None else None
    if watch.seen is None or was is None or now is None:
        raise NotFoundError("decision", f"{decision_id}: it does not come out again")
    item, answer = was
    _stamp(now, entry, call, decision_id, replayer.start)
    explained, rows, sizes, model = watch.seen
    explained.MergeFrom(DecideResponse(server_ns=now.server_ns, durability=now.durability))
    return Explanation(
        entry_number=entry.number,
        item=item,
        epoch=entry.epoch,
        reading_ns=entry.reading_ns,
        request=watch.request,
        answer=answer,
        explained=explained,
        differences=list(list_differences(view_message(answer), view_message(now))),
        differences_before=replayer.difference_count,
        model=model,
        sizes=sizes,
        rows=rows,
    )


class _Watch:
    """Looks at the engine around one decision; what it saw is a copy."""

    def __init__(self, engine: Engine, decision_id: int) -> None:
        self._engine = engine
        self._decision_id = decision_id
        self._account: dict[str, Any] | None = None
        self._tables: dict[str, Any] = {}
        self.request = DecideRequest()
        self.seen: tuple[DecideResponse, dict[str, Any], dict[str, Any], Any] | None = None

    def before(self, message: DecideRequest) -> None:
        """Keep what the decision will change, if this may be the one."""
        state = self._engine.state
        if int(state.engine[0]["sequence"]) != self._decision_id - 1:
            return
        self._account = None
        if len(message.account_id.encode()) <= ID_BYTES_MAX:
            row = int(find_nb(state.accounts.record[0], words(message.account_id), ID_WORDS))
            self._account = view_row(state.accounts.rows[row]) if row else None
        for name in ("positions", "exposures"):
            rows = getattr(state, name).rows
            self._tables[name] = rows[: rows_used(rows) + 1].copy()

    def after(self, message: DecideRequest, judged: Judged | Refusal) -> None:
        """Take down everything if this was the decision."""
        state = self._engine.state
        is_new = not isinstance(judged, Refusal) and judged.response is not None
        if not is_new or int(state.engine[0]["sequence"]) != self._decision_id or self.seen:
            return
        self.request = message
        explained = read_decision(state, explain=True, server_ns=0)
        rows = {"account": self._account, **_list_rows(state), **self._list_exposed(state)}
        self.seen = explained, rows, _list_sizes(state), _view_model(state)

    def _list_exposed(self, state: Any) -> dict[str, Any]:
        """Return what was held and open in the symbol and its group before the decision."""
        found: dict[str, Any] = {}
        for name, table, column in (
            ("position", "positions", "net_row"),
            ("exposure", "exposures", "exposure_row"),
        ):
            row, rows = int(state.work[0][column]), self._tables[table]
            was_there = 0 < row < len(rows) and rows[row]["account_row"] != 0
            found[name] = view_row(rows[row]) if was_there else None
        return found


def _read_decision_call(entry: Entry, decision_id: int, epoch: int | None) -> Call:
    call = read_call(entry) if entry.kind in _KINDS else None
    events = len(call.readings) if call else int(entry.kind not in _WITHOUT_NUMBER)
    if decision_id <= entry.sequence - events:
        raise NotFoundError("decision", f"{decision_id}: the journal begins behind it")
    if call is None:
        kind = KIND_NAMES[entry.kind]
        raise NotFoundError("decision", f"{decision_id}: this number is that of a {kind}")
    if epoch not in (None, entry.epoch):
        text = f"{decision_id} of epoch {epoch}: it was made in epoch {entry.epoch}"
        raise NotFoundError("decision", text)
    return call


def _find_answer(
    entry: Entry, call: Call, decision_id: int
) -> tuple[int | None, DecideResponse] | None:
    for item, answer in enumerate(read_decisions(entry, call)[1]):
        if answer is not None and answer.decision_id == decision_id:
            return (item if entry.kind == KIND_BATCH else None), answer
    return None


def _stamp(
    answer: DecideResponse, entry: Entry, call: Call, decision_id: int, start: dict[str, int]
) -> None:
    """Write into an answer what is not the engine's to say."""
    place = decision_id - 1 - (entry.sequence - len(call.readings))
    decided_ns = int(call.readings[place]["decided_ns"])
    answer.server_ns = max(decided_ns - entry.reading_ns, 0)
    answer.durability = start["durability"]  # type: ignore[assignment]


def _list_rows(state: Any) -> dict[str, Any]:
    work, engine = state.work[0], state.engine[0]
    account_row = int(work["account_row"])
    rows: dict[str, Any] = {"configuration": None}
    if account_row and state.accounts.rows[account_row]["has_configuration"]:
        rows["configuration"] = view_row(state.configurations[account_row])
    for name, table, column in (
        ("symbol_configuration", state.overrides, "override_row"),
        ("instrument", state.instruments, "instrument_row"),
        ("provider", state.providers, "provider_row"),
    ):
        row = int(work[column])
        rows[name] = view_row(table.rows[row]) if row else None
    rows["policy"] = view_row(state.policy[0])
    rows["service"] = {
        name: int(engine[name])
        for name in ("state_version", "heartbeat_at_ns", "record_away", "clock_unconfirmed",
                     "restarted", "session", "model_serial")
    }  # fmt: skip
    return rows


def _list_sizes(state: Any) -> dict[str, Any]:
    """Return the numbers on the way to the size: lots, pips, account currency, factors."""
    work, decision = state.work[0], state.decision[0]
    instrument = state.instruments.rows[int(work["instrument_row"])]
    per_pip, scale = int(instrument["ticks_per_pip"]), int(instrument["lot_scale"])

    def money(micros: Any) -> float:
        return int(micros) / MICROS

    def factor(ppm: Any) -> float:
        return int(ppm) / PPM

    def pips(ticks: Any) -> float | None:
        return int(ticks) / per_pip if per_pip else None

    def lots(steps: Any) -> float | None:
        return int(steps) * int(instrument["lot_mantissa"]) / scale if scale else None

    rate = int(work["rate_picos"])
    return {
        "score": money(decision["score_micropoints"]),
        "multiplier": factor(decision["multiplier_ppm"]),
        "quality": factor(work["quality_ppm"]),
        "regime_multiplier": factor(work["regime_ppm"]),
        "is_new_provider": bool(work["new_provider"]),
        "conversion_rate": rate / 1e12 if rate else None,
        "atr_pips": pips(work["atr_ticks"]) if work["atr_ticks"] else None,
        "volatility_index": money(work["volatility_micropoints"])
        if work["volatility_micropoints"] >= 0
        else None,
        "stop_distance_pips": pips(work["distance_ticks"]),
        "slippage_pips": money(decision["slippage_micropips"]),
        "buffer_pips": pips(decision["buffer_ticks"]),
        "risk_money": money(decision["risk_money_micros"]),
        "loss_per_lot": money(decision["loss_per_lot_micros"]),
        "notional_per_lot": money(decision["notional_per_lot_micros"]),
        "risk_lots": lots(work["risk_steps"]),
        "target_lots": lots(decision["target_steps"]),
        "largest_lots": lots(decision["largest_steps"]),
        "lots": lots(decision["lot_steps"]),
        "hold_risk": money(work["hold_risk_micros"]),
        "hold_notional": money(work["hold_notional_micros"]),
    }


def _view_model(state: Any) -> dict[str, Any] | None:
    decision = state.decision[0]
    slot, known = int(decision["model_slot"]), int(decision["known"])
    if slot < 0 or not known & KNOWN_SLIPPAGE:
        return None
    record, memory = state.models.slots[slot], state.memory[0]
    spoke = bool(known & KNOWN_MODEL)
    names = [name for name, _ in SLIPPAGE_FEATURES]
    features = memory["features"][:FEATURE_COUNT].tolist()
    outputs = memory["quantiles"][: len(SLIPPAGE_OUTPUTS)].tolist()
    return {
        "digest": record["digest"].tobytes().hex(),
        "version": ".".join(str(part) for part in record["version"]),
        "slot": slot,
        "features": dict(zip(names, features, strict=True)),
        "outputs": dict(zip(SLIPPAGE_OUTPUTS, outputs, strict=True)) if spoke else None,
    }
