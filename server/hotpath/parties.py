"""Who asks and about what.

The rows of account, instrument and override, and what the account itself forbids.
"""

from __future__ import annotations

from typing import Any

from server.hotpath.checks import check_nb, check_numbers_nb
from server.hotpath.clock import (
    age_nb,
)
from server.hotpath.idempotency import ORDER_KEY_WORDS, order_key_nb
from server.hotpath.inputs import (
    PROVIDER_KEY_WORDS,
    provider_key_nb,
)
from server.hotpath.intrinsics import prefetch
from server.hotpath.jit import kernel
from server.hotpath.layout import (
    CHANGE_RISK_CONFIGURATION,
    ID_WORDS,
    NOT_SET,
    SYMBOL_WORDS,
)
from server.hotpath.memory import (
    account_at,
    accounts_of,
    decision_of,
    engine_of,
    exposures_of,
    idempotency_of,
    instrument_at,
    instruments_of,
    override_at,
    overrides_of,
    positions_of,
    providers_of,
    request_of,
    reservations_of,
    window_at,
    work_of,
)
from server.hotpath.positions import (
    EXPOSURE_KEY_WORDS,
    POSITION_KEY_WORDS,
    exposure_key_nb,
    net_key_nb,
)
from server.hotpath.reasons import (
    R_ACCOUNT_HALTED,
    R_ACCOUNT_REDUCING,
    R_ACCOUNT_UNKNOWN,
    R_CONFIGURATION_MISSING,
    R_COOLING_OFF,
    R_EQUITY_EXHAUSTED,
    R_EQUITY_STALE,
    R_EXCHANGE_MISMATCH,
    R_RESTARTED,
    R_SYMBOL_UNKNOWN,
    R_WINDOW_MISSING,
    S_NOT_APPLICABLE,
    S_PASS,
)
from server.hotpath.reservations import next_row_nb
from server.hotpath.table import find_nb, prefetch_key_nb, prefetch_row_nb

TRADING_REDUCING = 2
TRADING_HALTED = 3
CONFIGURATION_BYTES = CHANGE_RISK_CONFIGURATION.itemsize
ORDER_LIMITS_OFFSET = CHANGE_RISK_CONFIGURATION.fields["max_order_value_micros"][1]  # type: ignore[index]


@kernel
def prefetch_account_nb(state: Any) -> None:
    """Ask early for what later checks will read of an account in a large engine."""
    work = work_of(state)
    request = request_of(state)
    if request.client_order_id[0] != 0:
        order_key_nb(state, work.account_row, request.client_order_id)
        prefetch_key_nb(idempotency_of(state), state.scratch, ORDER_KEY_WORDS)
    prefetch_row_nb(reservations_of(state), next_row_nb(state))
    row = state.configurations + work.account_row * CONFIGURATION_BYTES
    for line in range(4):
        prefetch(row + 64 * line)
    for line in range(2):
        prefetch(row + ORDER_LIMITS_OFFSET + 64 * line)
    net_key_nb(state, work.account_row, work.instrument_row)
    prefetch_key_nb(positions_of(state), state.scratch, POSITION_KEY_WORDS)
    exposure_key_nb(state, work.account_row, work.instrument_row)
    prefetch_key_nb(exposures_of(state), state.scratch, EXPOSURE_KEY_WORDS)


@kernel
def find_parties_nb(state: Any) -> None:
    """Find the rows of account, instrument and symbol override."""
    request, work = request_of(state), work_of(state)
    prefetch_key_nb(accounts_of(state), request.account_id, ID_WORDS)
    prefetch_key_nb(providers_of(state), provider_key_nb(state), PROVIDER_KEY_WORDS)
    row = find_nb(instruments_of(state), request.symbol, SYMBOL_WORDS)
    work.instrument_row = row if instrument_at(state, row).alive != 0 else 0
    row = find_nb(accounts_of(state), request.account_id, ID_WORDS)
    work.account_row = row if account_at(state, row).alive != 0 else 0
    account = account_at(state, work.account_row)
    prefetch_account_nb(state)
    if work.account_row != 0 and account.override_count > 0:
        state.scratch[0] = work.account_row
        for word in range(SYMBOL_WORDS):
            state.scratch[1 + word] = request.symbol[word]
        row = find_nb(overrides_of(state), state.scratch, 1 + SYMBOL_WORDS)
        if row != 0 and override_at(state, row).generation == account.generation:
            work.override_row = row


@kernel
def _check_restart_nb(state: Any) -> None:
    """Deny new risk while holds of before a restart, which nobody knows, may still be in use."""
    work, decision, engine = work_of(state), decision_of(state), engine_of(state)
    lifetime_ns = account_at(state, work.account_row).reservation_ttl_ns
    decision.status[R_RESTARTED] = S_PASS
    if engine.restarted != 0:
        since = work.now_ns - engine.started_at_ns
        check_numbers_nb(decision, R_RESTARTED, since >= lifetime_ns, lifetime_ns, since)


@kernel
def check_parties_nb(state: Any) -> bool:
    """Deny unknown accounts, symbols, other exchanges, and new risk right behind a restart.

    Tell whether there is a size to find.
    """
    request, work, decision = request_of(state), work_of(state), decision_of(state)
    known = check_nb(decision, R_ACCOUNT_UNKNOWN, work.account_row != 0)
    known &= check_nb(decision, R_SYMBOL_UNKNOWN, work.instrument_row != 0)
    if work.instrument_row != 0:
        instrument = instrument_at(state, work.instrument_row)
        same = True
        for word in range(SYMBOL_WORDS):
            same &= request.exchange[word] == instrument.exchange[word]
        check_nb(decision, R_EXCHANGE_MISMATCH, same or request.exchange[0] == 0)
    if work.account_row != 0:
        account = account_at(state, work.account_row)
        if account.equity_at_ns > 0:
            decision.equity_age_ns = age_nb(work.now_ns, account.equity_at_ns)
    if known and request.reduce_only == 0:
        _check_restart_nb(state)
    return known


@kernel
def check_account_nb(state: Any) -> None:
    """Judge the account: trading state, configuration, equity, windows, cool-off."""
    work, decision = work_of(state), decision_of(state)
    account = account_at(state, work.account_row)
    check_nb(decision, R_ACCOUNT_REDUCING, account.trading_state != TRADING_REDUCING)
    check_nb(decision, R_ACCOUNT_HALTED, account.trading_state != TRADING_HALTED)
    check_nb(decision, R_CONFIGURATION_MISSING, account.has_configuration != 0)
    check_numbers_nb(
        decision, R_EQUITY_EXHAUSTED, account.equity_micros > 0, 0, account.equity_micros
    )
    decision.status[R_EQUITY_STALE] = S_NOT_APPLICABLE
    if account.equity_max_age_ns != NOT_SET:
        age = age_nb(work.now_ns, account.equity_at_ns)
        check_numbers_nb(
            decision,
            R_EQUITY_STALE,
            age <= account.equity_max_age_ns,
            account.equity_max_age_ns,
            age,
        )
    window = window_at(state, account.timezone_row)
    known = window.day_start_ns > 0 and window.week_start_ns > 0 and window.month_start_ns > 0
    check_nb(decision, R_WINDOW_MISSING, account.timezone_row != 0 and known)
    check_nb(decision, R_COOLING_OFF, True)
    if account.cooling_until_ns > work.now_ns:
        check_numbers_nb(decision, R_COOLING_OFF, False, account.cooling_until_ns - work.now_ns, 0)
