"""The kill switch: which orders it stops, and what a change of it does.

A kill names one scope. Its times only grow (`CHANGE_KILL`), so it can come by several ways, twice
and in any order; it holds until a re-arming that is not older. An order that leaves a scope unnamed
is stopped by every kill of that kind: nobody gets out by saying less.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.checks import check_nb
from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.layout import CHANGE_KILL, ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import (
    decision_of,
    engine_of,
    kill_at,
    kills_of,
    request_of,
    words_at_nb,
)
from server.hotpath.reasons import R_KILL_ALL, R_KILL_NEW_RISK
from server.hotpath.table import find_nb, insert_nb

KILL_GLOBAL: Final = 1
KILL_ACCOUNT: Final = 2
KILL_CONNECTION: Final = 3
KILL_PROVIDER: Final = 4
KILL_SYMBOL: Final = 5
KILL_STRATEGY: Final = 6
KILL_SCOPES: Final = 7

KILL_KEY_WORDS: Final = 2 + ID_WORDS
KILL_BYTES: Final = CHANGE_KILL.itemsize

kill_change_at = address_reference(CHANGE_KILL)


@kernel
def stops_new_risk_nb(kill: Any) -> bool:
    """Tell whether a kill of new risk holds."""
    return kill.new_risk_killed_at_ns > kill.new_risk_rearmed_at_ns


@kernel
def stops_all_nb(kill: Any) -> bool:
    """Tell whether a kill of everything holds."""
    return kill.all_killed_at_ns > kill.all_rearmed_at_ns


@kernel
def _count_nb(state: Any, kill: Any, sign: int) -> None:
    """Add (+1) or take away (−1) a kill from the counts of its scope."""
    engine = engine_of(state)
    if stops_new_risk_nb(kill):
        engine.kills_of_new_risk[kill.scope] += sign
    if stops_all_nb(kill):
        engine.kills_of_all[kill.scope] += sign


@routine
def put_kill_nb(state: Any, address: int) -> bool:
    """Merge what is known of one scope: the newest kill and the newest re-arming count.

    Return False for a scope that does not exist. A kill that finds no room kills everything.
    """
    change = kill_change_at(address)
    if not KILL_GLOBAL <= change.scope < KILL_SCOPES:
        return False
    row = insert_nb(kills_of(state), words_at_nb(address, KILL_KEY_WORDS), KILL_KEY_WORDS)
    if row == 0:
        engine_of(state).kills_lost += 1
        return False
    kill = kill_at(state, row)
    _count_nb(state, kill, i64(-1))
    kill.new_risk_killed_at_ns = max(kill.new_risk_killed_at_ns, change.new_risk_killed_at_ns)
    kill.new_risk_rearmed_at_ns = max(kill.new_risk_rearmed_at_ns, change.new_risk_rearmed_at_ns)
    kill.all_killed_at_ns = max(kill.all_killed_at_ns, change.all_killed_at_ns)
    kill.all_rearmed_at_ns = max(kill.all_rearmed_at_ns, change.all_rearmed_at_ns)
    _count_nb(state, kill, i64(1))
    return True


@routine
def put_kills_nb(state: Any, rows_address: int, row_count: int) -> bool:
    """Merge kills, one per row."""
    known = True
    for position in range(row_count):
        known &= put_kill_nb(state, rows_address + position * KILL_BYTES)
    return known


@kernel
def _name_nb(state: Any, scope: int, provider_type: int, name: Any, width: int) -> int:
    """Return the row of the kill of a scope by name, 0 if there is none."""
    key = state.scratch
    key[0] = scope
    key[1] = provider_type
    for word in range(ID_WORDS):
        key[2 + word] = name[word] if word < width else i64(0)
    return find_nb(kills_of(state), key, KILL_KEY_WORDS)


@routine
def _judge_scope_nb(state: Any, scope: int, provider_type: int, name: Any, width: int) -> int:
    """Return 2 when everything is killed in a scope, 1 when new risk is, else 0."""
    engine = engine_of(state)
    if engine.kills_of_new_risk[scope] == 0 and engine.kills_of_all[scope] == 0:
        return i64(0)
    if name[0] == 0:
        return i64(2) if engine.kills_of_all[scope] > 0 else i64(1)
    row = _name_nb(state, scope, provider_type, name, width)
    if row == 0:
        return i64(0)
    kill = kill_at(state, row)
    if stops_all_nb(kill):
        return i64(2)
    return i64(1) if stops_new_risk_nb(kill) else i64(0)


@routine
def _find_worst_nb(state: Any) -> int:
    """Return 2 when all orders of this request's scopes are killed, 1 when new risk is, else 0."""
    request, engine = request_of(state), engine_of(state)
    if engine.kills_lost > 0 or engine.kills_of_all[KILL_GLOBAL] > 0:
        return i64(2)
    worst = i64(1) if engine.kills_of_new_risk[KILL_GLOBAL] > 0 else i64(0)
    zero = i64(0)
    worst = max(
        worst, _judge_scope_nb(state, i64(KILL_ACCOUNT), zero, request.account_id, i64(ID_WORDS))
    )
    worst = max(
        worst, _judge_scope_nb(state, i64(KILL_CONNECTION), zero, request.identity, i64(ID_WORDS))
    )
    worst = max(
        worst,
        _judge_scope_nb(
            state,
            i64(KILL_PROVIDER),
            request.provider_type,
            request.provider_id,
            i64(ID_WORDS),
        ),
    )
    worst = max(
        worst, _judge_scope_nb(state, i64(KILL_SYMBOL), zero, request.symbol, i64(SYMBOL_WORDS))
    )
    return max(
        worst, _judge_scope_nb(state, i64(KILL_STRATEGY), zero, request.strategy_id, i64(ID_WORDS))
    )


@kernel
def check_kills_nb(state: Any) -> bool:
    """Deny what a kill switch stops; tell whether the order may be judged at all."""
    request, decision = request_of(state), decision_of(state)
    worst = _find_worst_nb(state)
    alive = check_nb(decision, R_KILL_ALL, worst != 2)
    return alive & check_nb(decision, R_KILL_NEW_RISK, worst != 1 or request.reduce_only != 0)
