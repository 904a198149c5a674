"""Events of the engine as Directives: in answers, on watches and behind acknowledgements."""

from typing import Any, Final

from riskgate.v1 import types_pb2 as types
from riskgate.v1.decision_pb2 import Directive
from server.hotpath.layout import SECOND_NS, SYMBOL_WORDS, text
from server.hotpath.memory import State

# In one answer.
DIRECTIVES_MAX: Final = 8
_KINDS: Final[dict[int, types.DirectiveKind]] = {
    types.BREAKER_ACTION_BLOCK: types.DIRECTIVE_KIND_BLOCK,
    types.BREAKER_ACTION_REDUCE_ONLY: types.DIRECTIVE_KIND_REDUCE_ONLY,
    types.BREAKER_ACTION_REDUCE_SIZE: types.DIRECTIVE_KIND_REDUCE_SIZE,
    types.BREAKER_ACTION_CLOSE: types.DIRECTIVE_KIND_CLOSE,
    types.BREAKER_ACTION_ALERT: types.DIRECTIVE_KIND_ALERT,
}


def find_event(state: State, number: int) -> Any:
    """Return an event by its number, None when it was never made or is kept no more."""
    if not 1 <= number <= int(state.engine[0]["event_count"]):
        return None
    event = state.events[(number - 1) % (len(state.events) - 1) + 1]
    return event if int(event["event_id"]) == number else None


def list_directives(state: State, account_row: int) -> list[Directive]:
    """Return the newest directives of an account that are not acknowledged, newest first."""
    found: list[Directive] = []
    event = find_event(state, int(state.accounts.rows[account_row]["first_event"]))
    while event is not None and len(found) < DIRECTIVES_MAX:
        found.append(read_directive(event))
        event = find_event(state, int(event["next_of_account"]))
    return found


def read_directive(event: Any) -> Directive:
    """Build the message of one EVENT row."""
    directive = Directive(
        directive_id=int(event["event_id"]),
        kind=_KINDS[int(event["action"])],
        account_id=text(event["account_id"]),
        symbol=text(event["symbol"]),
        breaker_id=text(event["breaker_id"]),
        breaker_name=text(event["breaker_name"]),
        position_count=int(event["position_count"]),
    )
    _write_time(directive.issued_at, int(event["at_ns"]))
    for number in range(min(int(event["position_count"]), len(event["position_steps"]))):
        start = number * SYMBOL_WORDS
        steps = int(event["position_steps"][number])
        mantissa = int(event["position_lot_mantissa"][number])
        directive.positions.add(
            symbol=text(event["position_symbols"][start : start + SYMBOL_WORDS]),
            lots=steps * mantissa / int(event["position_lot_scale"][number]),
        )
    if event["acknowledged_at_ns"]:
        directive.outcome.success = bool(event["succeeded"])
        directive.outcome.detail = text(event["detail"])
        _write_time(directive.outcome.acknowledged_at, int(event["acknowledged_at_ns"]))
    return directive


def _write_time(moment: Any, at_ns: int) -> None:
    moment.seconds, moment.nanos = divmod(at_ns, SECOND_NS)
