"""(state, change) → state: what each row of a StateChange does.

`apply_nb` takes one row of one kind. A change that names something unknown is counted and does
nothing else. Rules: docs/decision.md, section 8.
"""

from __future__ import annotations

import math
from typing import Any

from server.hotpath.accounts import mark_equity_nb, roll_account_nb
from server.hotpath.breakers import close_breaker_nb, refresh_breakers_nb
from server.hotpath.jit import i64, routine
from server.hotpath.layout import (
    CHANGE_RISK_CONFIGURATION,
    CLOCK_LEAP_NS,
    ID_WORDS,
    NOT_SET,
    SYMBOL_WORDS,
)
from server.hotpath.memory import (
    account_at,
    accounts_of,
    breaker_at,
    breakers_of,
    engine_of,
    instrument_at,
    instruments_of,
    override_at,
    overrides_of,
    provider_at,
    providers_of,
    rate_at,
    rates_of,
    windows_of,
    words_at_nb,
)
from server.hotpath.table import find_nb, insert_nb, write_key_nb
from server.hotpath.units import OUT_OF_RANGE, volatility_micropoints_nb

CONFIGURATION_BYTES = CHANGE_RISK_CONFIGURATION.itemsize


@routine
def put_instrument_nb(state: Any, words: Any, deleted: bool) -> bool:
    """Define an instrument; its market context stays."""
    row = insert_nb(instruments_of(state), words, SYMBOL_WORDS)
    if row == 0:
        return False
    if not deleted:
        write_key_nb(instruments_of(state), row, words, words.shape[0])
    instrument_at(state, row).alive = 0 if deleted else 1
    return True


@routine
def put_instruments_nb(state: Any, rows: Any, deleted: bool) -> bool:
    """Define instruments, one per row of words."""
    known = True
    for position in range(rows.shape[0]):
        known &= put_instrument_nb(state, rows[position], deleted)
    return known


@routine
def put_account_nb(state: Any, change: Any, deleted: bool, now_ns: int) -> bool:
    """Define an account; its equity changes only by a newer mark."""
    row = insert_nb(accounts_of(state), change.account_id, ID_WORDS)
    zone = (
        insert_nb(windows_of(state), change.timezone, SYMBOL_WORDS)
        if change.timezone[0] != 0
        else i64(0)
    )
    if row == 0:
        return False
    account = account_at(state, row)
    if account.alive != 0:
        # Windows that have begun meanwhile start from the equity before this mark.
        roll_account_nb(state, row, now_ns)
    account.alive = 0 if deleted else 1
    if deleted:
        return True
    account.currency = change.currency
    account.timezone_row = zone
    account.equity_max_age_ns = change.equity_max_age_ns
    account.reservation_ttl_ns = change.reservation_ttl_ns
    account.trading_state = change.trading_state
    account.allow_new_providers = change.allow_new_providers
    mark_equity_nb(state, row, change.equity_micros, change.equity_at_ns)
    roll_account_nb(state, row, now_ns)
    refresh_breakers_nb(state, row, now_ns)
    return True


@routine
def put_accounts_nb(state: Any, rows: Any, deleted: bool, now_ns: int) -> bool:
    """Define accounts, one per row."""
    known = True
    for position in range(rows.shape[0]):
        known &= put_account_nb(state, rows[position], deleted, now_ns)
    return known


@routine
def find_account_nb(state: Any, account_id: Any) -> int:
    """Return the row of a live account, 0 if there is none."""
    row = find_nb(accounts_of(state), account_id, ID_WORDS)
    return row if row != 0 and account_at(state, row).alive != 0 else i64(0)


@routine
def put_equity_nb(state: Any, rows: Any, now_ns: int) -> bool:
    """Mark the equity of an account."""
    change = rows[0]
    row = find_account_nb(state, change.account_id)
    if row == 0:
        return False
    roll_account_nb(state, row, now_ns)
    mark_equity_nb(state, row, change.equity_micros, change.equity_at_ns)
    refresh_breakers_nb(state, row, now_ns)
    return True


@routine
def put_configuration_nb(state: Any, words: Any, changes: Any, deleted: bool, now_ns: int) -> bool:
    """Replace a risk configuration and all its overrides (the same rows as words and records)."""
    row = find_account_nb(state, changes[0].account_id)
    if row == 0:
        return False
    roll_account_nb(state, row, now_ns)
    account = account_at(state, row)
    account.generation += 1
    account.has_configuration = 0 if deleted else 1
    account.override_count = 0
    if not deleted:
        words_at_nb(state.configurations + row * CONFIGURATION_BYTES, words.shape[1])[:] = words[0]
        for position in range(1, changes.shape[0]):
            change = changes[position]
            state.scratch[0] = row
            for word in range(SYMBOL_WORDS):
                state.scratch[1 + word] = change.symbol[word]
            override_row = insert_nb(overrides_of(state), state.scratch, 1 + SYMBOL_WORDS)
            if override_row == 0:
                # A limit that cannot be kept must not be lost in silence: the
                # account stays without configuration.
                account.has_configuration = 0
                return False
            override = override_at(state, override_row)
            override.generation = account.generation
            override.override = change.override
            override.position_max_drawdown_ppm = change.position_max_drawdown_ppm
            override.max_position_size_ppm = change.max_position_size_ppm
            override.max_leverage_ppm = change.max_leverage_ppm
            override.risk_per_trade_ppm = change.risk_per_trade_ppm
            account.override_count += 1
    refresh_breakers_nb(state, row, now_ns)
    return True


@routine
def put_provider_nb(state: Any, words: Any, deleted: bool) -> bool:
    """Set the score of a provider."""
    row = insert_nb(providers_of(state), words, ID_WORDS + 1)
    if row == 0:
        return False
    if not deleted:
        write_key_nb(providers_of(state), row, words, words.shape[0])
    provider_at(state, row).alive = 0 if deleted else 1
    return True


@routine
def put_providers_nb(state: Any, rows: Any, deleted: bool) -> bool:
    """Set the scores of providers, one per row of words."""
    known = True
    for position in range(rows.shape[0]):
        known &= put_provider_nb(state, rows[position], deleted)
    return known


@routine
def put_rate_nb(state: Any, words: Any, deleted: bool) -> bool:
    """Set a conversion rate."""
    row = insert_nb(rates_of(state), words, 2)
    if row == 0:
        return False
    write_key_nb(rates_of(state), row, words, words.shape[0])
    if deleted:
        rate_at(state, row).rate_picos = 0
    return True


@routine
def put_rates_nb(state: Any, rows: Any, deleted: bool) -> bool:
    """Set conversion rates, one per row of words."""
    known = True
    for position in range(rows.shape[0]):
        known &= put_rate_nb(state, rows[position], deleted)
    return known


@routine
def _join_chain_nb(state: Any, account_row: int, row: int) -> None:
    """Put a breaker at the end of its account's chain."""
    account = account_at(state, account_row)
    breaker_at(state, row).next_breaker = 0
    if account.first_breaker == 0:
        account.first_breaker = row
        return
    last = account.first_breaker
    while breaker_at(state, last).next_breaker != 0:
        last = breaker_at(state, last).next_breaker
    breaker_at(state, last).next_breaker = row


@routine
def _leave_chain_nb(state: Any, row: int) -> None:
    account = account_at(state, breaker_at(state, row).account_row)
    after = breaker_at(state, row).next_breaker
    if account.first_breaker == row:
        account.first_breaker = after
        return
    before = account.first_breaker
    while breaker_at(state, before).next_breaker != row:
        before = breaker_at(state, before).next_breaker
    breaker_at(state, before).next_breaker = after


@routine
def put_breaker_nb(state: Any, words: Any, rows: Any, deleted: bool, now_ns: int) -> bool:
    """Define a circuit breaker (the same row as words and as record).

    A disabled or deleted one is closed.
    """
    change = rows[0]
    row = find_nb(breakers_of(state), words, ID_WORDS)
    if deleted:
        if row == 0:
            return True
        breaker_at(state, row).enabled = 0
        close_breaker_nb(state, row)
        return True
    account_row = find_account_nb(state, change.account_id)
    if account_row == 0:
        return False
    roll_account_nb(state, account_row, now_ns)
    if row == 0:
        row = insert_nb(breakers_of(state), words, ID_WORDS)
        if row == 0:
            return False
        close_breaker_nb(state, row)
    breaker = breaker_at(state, row)
    if breaker.condition != change.condition:
        # Another condition starts afresh.
        close_breaker_nb(state, row)
    if breaker.account_row not in (0, account_row):
        _leave_chain_nb(state, row)
        breaker.account_row = 0
    write_key_nb(breakers_of(state), row, words, words.shape[0])
    if breaker.account_row == 0:
        breaker.account_row = account_row
        _join_chain_nb(state, account_row, row)
    refresh_breakers_nb(state, account_row, now_ns)
    return True


@routine
def put_market_nb(state: Any, change: Any) -> bool:
    """Set what is stated of a symbol's regime, ATR, volatility and quote.

    Unless the stored value is newer.
    """
    row = find_nb(instruments_of(state), change.symbol, SYMBOL_WORDS)
    if row == 0 or instrument_at(state, row).alive == 0:
        return False
    instrument = instrument_at(state, row)
    if change.regime[0] != 0:
        for word in range(SYMBOL_WORDS):
            instrument.regime[word] = change.regime[word]
    if change.atr > 0.0 and math.isfinite(change.atr) and change.atr_at_ns >= instrument.atr_at_ns:
        instrument.atr = change.atr
        instrument.atr_at_ns = change.atr_at_ns
    volatility = volatility_micropoints_nb(change.volatility_index)
    if volatility != OUT_OF_RANGE and change.volatility_at_ns >= instrument.volatility_at_ns:
        instrument.volatility_micropoints = volatility
        instrument.volatility_at_ns = change.volatility_at_ns
    quoted = (
        change.bid > 0.0
        and change.ask > 0.0
        and math.isfinite(change.bid)
        and math.isfinite(change.ask)
    )
    if quoted and change.quote_at_ns >= instrument.quote_at_ns:
        instrument.bid = change.bid
        instrument.ask = change.ask
        instrument.quote_at_ns = change.quote_at_ns
    return True


@routine
def put_markets_nb(state: Any, rows: Any) -> bool:
    """Set the market context of symbols, one per row."""
    known = True
    for position in range(rows.shape[0]):
        known &= put_market_nb(state, rows[position])
    return known


@routine
def put_model_nb(state: Any, rows: Any) -> bool:
    """Make a filled slot the active model, or none when the digest is all zero.

    Older serials change nothing.
    """
    change = rows[0]
    engine = engine_of(state)
    if change.serial <= engine.model_serial:
        return False
    empty = True
    for word in range(4):
        empty &= change.digest[word] == 0
    engine.model_serial = change.serial
    engine.model_slot = NOT_SET if empty else change.slot
    return True


@routine
def put_windows_nb(state: Any, rows: Any) -> bool:
    """Set the boundaries of time zones, one per row of words."""
    for position in range(rows.shape[0]):
        row = insert_nb(windows_of(state), rows[position], SYMBOL_WORDS)
        if row == 0:
            return False
        write_key_nb(windows_of(state), row, rows[position], rows.shape[1])
    return True


@routine
def put_session_nb(state: Any, rows: Any) -> bool:
    """Set the open trading session and the next one."""
    change = rows[0]
    engine = engine_of(state)
    engine.session = change.session
    engine.next_session = change.next_session
    engine.next_session_at_ns = change.next_at_ns
    return True


@routine
def put_heartbeat_nb(state: Any, rows: Any, now_ns: int) -> bool:
    """Note that the feed lives; a heartbeat that agrees with our clock confirms it after a leap."""
    change = rows[0]
    engine = engine_of(state)
    if change.published_at_ns - now_ns <= CLOCK_LEAP_NS:
        # One from the future would never grow old.
        engine.heartbeat_at_ns = max(engine.heartbeat_at_ns, change.published_at_ns)
    engine.record_away = change.record_away
    if abs(change.published_at_ns - now_ns) <= CLOCK_LEAP_NS:
        engine.clock_unconfirmed = 0
    return True


@routine
def finish_change_nb(state: Any, version: int, known: bool) -> None:
    """Number a change and move the state version."""
    engine = engine_of(state)
    engine.sequence += 1
    engine.state_version = max(engine.state_version, version)
    if not known:
        engine.unknown_changes += 1
