"""(state, change) → state: one change of any kind, whoever brings it.

`apply_change_nb` is the only way in which a change reaches the tables: the ring, a test and the
replay of a journal call it with the same numbers and get the same state. A change that names
something unknown is counted and does nothing else. Rules: docs/decision.md, section 8.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.account_changes import put_accounts_nb, put_configuration_nb, put_equity_nb
from server.hotpath.breaker_changes import put_breaker_nb, reset_breaker_nb
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    BREAKER_RESET,
    CLOCK,
    CONVERSION_RATE,
    EQUITY,
    HEARTBEAT,
    IDENTITY,
    INSTRUMENT,
    KILL,
    MARKET,
    MODEL,
    POLICY,
    PROVIDER,
    RISK_CONFIGURATION,
    SESSION,
    STRATEGY,
    WINDOW,
)
from server.hotpath.clock import take_reading_nb
from server.hotpath.feed_changes import (
    put_heartbeat_nb,
    put_model_nb,
    put_policy_nb,
    put_session_nb,
    put_windows_nb,
)
from server.hotpath.jit import routine
from server.hotpath.kills import put_kills_nb
from server.hotpath.market_changes import (
    put_instruments_nb,
    put_markets_nb,
    put_providers_nb,
    put_rates_nb,
)
from server.hotpath.memory import engine_of
from server.hotpath.strategies import enable_strategy_nb


@routine
def _put_rows_nb(
    state: Any, kind: int, deleted: bool, rows_address: int, row_count: int, now_ns: int
) -> bool:
    """Give rows to the kernel of their kind; False when they name something unknown."""
    # A clock reading has no rows worth reading: taking it in was all. An identity changes what the
    # port lets in, no decision.
    known = kind in (CLOCK, IDENTITY)
    if kind == MARKET:
        known = put_markets_nb(state, rows_address, row_count)
    elif kind == EQUITY:
        known = put_equity_nb(state, rows_address, now_ns)
    elif kind == CONVERSION_RATE:
        known = put_rates_nb(state, rows_address, row_count, deleted)
    elif kind == PROVIDER:
        known = put_providers_nb(state, rows_address, row_count, deleted)
    elif kind == INSTRUMENT:
        known = put_instruments_nb(state, rows_address, row_count, deleted)
    elif kind == ACCOUNT:
        known = put_accounts_nb(state, rows_address, row_count, deleted, now_ns)
    elif kind == RISK_CONFIGURATION:
        known = put_configuration_nb(state, rows_address, row_count, deleted, now_ns)
    elif kind == BREAKER:
        known = put_breaker_nb(state, rows_address, deleted, now_ns)
    elif kind == POLICY:
        known = put_policy_nb(state, rows_address)
    elif kind == MODEL:
        known = put_model_nb(state, rows_address)
    elif kind == WINDOW:
        known = put_windows_nb(state, rows_address, row_count)
    elif kind == SESSION:
        known = put_session_nb(state, rows_address)
    elif kind == HEARTBEAT:
        known = put_heartbeat_nb(state, rows_address, now_ns)
    elif kind == KILL:
        known = put_kills_nb(state, rows_address, row_count)
    elif kind == STRATEGY:
        known = enable_strategy_nb(state, rows_address)
    elif kind == BREAKER_RESET:
        known = reset_breaker_nb(state, rows_address, now_ns)
    return known


@routine
def apply_change_nb(
    state: Any,
    kind: int,
    version: int,
    deleted: bool,
    rows_address: int,
    row_count: int,
    reading_ns: int,
) -> None:
    """Apply one change: take in the clock, put its rows, number it.

    Args:
        state: MEMORY record.
        kind: riskgate.v1.ChangeKind; one that is not known here counts as an unknown change.
        version: of the record; 0 for heartbeats, clock readings and market data.
        deleted: the entity named by the key columns is gone.
        rows_address: of rows of dtype CHANGE_ROWS[kind], back to back, aligned to 8 bytes.
        row_count: at least 1.
        reading_ns: wall clock.
    """
    now_ns = take_reading_nb(state, reading_ns)
    known = _put_rows_nb(state, kind, deleted, rows_address, row_count, now_ns)
    engine = engine_of(state)
    engine.sequence += 1
    engine.state_version = max(engine.state_version, version)
    if not known:
        engine.unknown_changes += 1
