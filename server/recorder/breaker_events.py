"""Entries of trips and acknowledgements as values of the record."""

import math
from typing import Any, Final

import numpy as np

from riskgate.v1.decision_pb2 import AckDirectiveRequest, AckDirectiveResponse
from server.hotpath.condition_codes import VARIABLE_NAMES
from server.hotpath.journal.entries import ENTRY_BYTES
from server.hotpath.layout import MICROS, PPM, SYMBOL_WORDS, text
from server.hotpath.rows import EVENT, EVENT_KEPT_BYTES
from server.journal.reader import Entry, read_call
from server.record.archive_events import Acknowledgement, BreakerEvent
from server.recorder.values import clean, to_datetime, to_unix_ns

# By riskgate.v1.BreakerCondition: the name of what it is about. An expression has its variables.
_OBSERVED: Final = {
    1: "drawdown",
    2: "day_loss",
    3: "week_loss",
    4: "month_loss",
    5: "consecutive_losses",
    6: "volatility_index",
}
_EXPRESSION: Final = 7
# By riskgate.v1.BreakerAction, as the record names them.
_ACTIONS: Final = {
    1: "block",
    2: "reduce_only",
    3: "reduce_size",
    4: "close_position",
    5: "alert",
}
_STATES: Final = {2: "tripped", 5: "locked"}
_ID_MAX: Final = 2**63


def read_breaker_event(shard: int, entry: Entry) -> BreakerEvent:
    """Take an entry of KIND_EVENT apart."""
    body = entry.raw[ENTRY_BYTES : ENTRY_BYTES + EVENT_KEPT_BYTES]
    event = np.frombuffer(body.ljust(EVENT.itemsize, b"\0"), EVENT)[0]
    breaker_id = text(event["breaker_id"])
    number = int(breaker_id) if breaker_id.isascii() and breaker_id.isdigit() else 0
    return BreakerEvent(
        breaker_id=number if 0 < number < _ID_MAX else None,
        account_id=text(event["account_id"]),
        breaker_name=text(event["breaker_name"]),
        occurred_at=to_datetime(int(event["at_ns"])),
        triggered_values=_read_values(event),
        action_taken=_ACTIONS[int(event["action"])],
        positions_affected=list(_read_positions(event)),
        shard=shard,
        epoch=entry.epoch,
        sequence=entry.sequence,
        directive_id=int(event["event_id"]),
    )


def read_acknowledgement(shard: int, entry: Entry) -> Acknowledgement:
    """Take an entry of KIND_ACKNOWLEDGE apart."""
    call = read_call(entry)
    directive = AckDirectiveResponse.FromString(call.answer).directive
    return Acknowledgement(
        shard=shard,
        directive_id=AckDirectiveRequest.FromString(call.request).directive_id,
        success=directive.outcome.success,
        detail=clean(directive.outcome.detail),
        at=to_datetime(to_unix_ns(directive.outcome.acknowledged_at)),
        by=clean(call.identity.decode()),
    )


def _read_values(event: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    condition = int(event["condition"])
    if condition == _EXPRESSION:
        for name, value in zip(
            event["value_names"][: event["value_count"]], event["values"], strict=False
        ):
            values[VARIABLE_NAMES[int(name)]] = _known(value)
    else:
        values[_OBSERVED[condition]] = _known(event["observed"])
        values["threshold"] = _known(event["threshold"])
    values.setdefault("equity", int(event["equity_micros"]) / MICROS)
    if event["drawdown_ppm"] >= 0:
        values.setdefault("drawdown", int(event["drawdown_ppm"]) / PPM)
    values.setdefault("consecutive_losses", int(event["consecutive_losses"]))
    if symbol := text(event["symbol"]):
        values["symbol"] = symbol
    values["state"] = _STATES.get(int(event["state"]), str(event["state"]))
    return values


def _known(value: Any) -> float | None:
    return float(value) if math.isfinite(value) else None


def _read_positions(event: Any) -> Any:
    for number in range(min(int(event["position_count"]), len(event["position_steps"]))):
        start = number * SYMBOL_WORDS
        steps = int(event["position_steps"][number]) * int(event["position_lot_mantissa"][number])
        yield {
            "symbol": text(event["position_symbols"][start : start + SYMBOL_WORDS]),
            "lots": steps / int(event["position_lot_scale"][number]),
        }
