"""What changes of an account, its equity and its risk configuration do.

A kernel here takes the address of rows of its kind, and returns False when the change names
something unknown or finds no room. Rules: docs/decision.md, section 8.
"""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.accounts import mark_equity_nb, roll_account_nb
from server.hotpath.breakers import refresh_breakers_nb
from server.hotpath.intrinsics import address_reference, copy_bytes
from server.hotpath.jit import i64, routine
from server.hotpath.layout import (
    CHANGE_ACCOUNT,
    CHANGE_EQUITY,
    CHANGE_RISK_CONFIGURATION,
    ID_WORDS,
    SYMBOL_WORDS,
)
from server.hotpath.memory import account_at, accounts_of, override_at, overrides_of, windows_of
from server.hotpath.table import find_nb, insert_nb

ACCOUNT_BYTES: Final = CHANGE_ACCOUNT.itemsize
CONFIGURATION_BYTES: Final = CHANGE_RISK_CONFIGURATION.itemsize

account_change_at = address_reference(CHANGE_ACCOUNT)
equity_change_at = address_reference(CHANGE_EQUITY)
configuration_change_at = address_reference(CHANGE_RISK_CONFIGURATION)


@routine
def put_account_nb(state: Any, address: int, deleted: bool, now_ns: int) -> bool:
    """Define an account; its equity changes only by a newer mark."""
    change = account_change_at(address)
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
def put_accounts_nb(
    state: Any, rows_address: int, row_count: int, deleted: bool, now_ns: int
) -> bool:
    """Define accounts, one per row."""
    known = True
    for position in range(row_count):
        known &= put_account_nb(state, rows_address + position * ACCOUNT_BYTES, deleted, now_ns)
    return known


@routine
def find_account_nb(state: Any, account_id: Any) -> int:
    """Return the row of a live account, 0 if there is none."""
    row = find_nb(accounts_of(state), account_id, ID_WORDS)
    return row if row != 0 and account_at(state, row).alive != 0 else i64(0)


@routine
def put_equity_nb(state: Any, address: int, now_ns: int) -> bool:
    """Mark the equity of an account."""
    change = equity_change_at(address)
    row = find_account_nb(state, change.account_id)
    if row == 0:
        return False
    roll_account_nb(state, row, now_ns)
    mark_equity_nb(state, row, change.equity_micros, change.equity_at_ns)
    refresh_breakers_nb(state, row, now_ns)
    return True


@routine
def _put_override_nb(state: Any, account_row: int, address: int) -> bool:
    change = configuration_change_at(address)
    account = account_at(state, account_row)
    state.scratch[0] = account_row
    for word in range(SYMBOL_WORDS):
        state.scratch[1 + word] = change.symbol[word]
    row = insert_nb(overrides_of(state), state.scratch, 1 + SYMBOL_WORDS)
    if row == 0:
        return False
    override = override_at(state, row)
    override.generation = account.generation
    override.override = change.override
    override.position_max_drawdown_ppm = change.position_max_drawdown_ppm
    override.max_position_size_ppm = change.max_position_size_ppm
    override.max_leverage_ppm = change.max_leverage_ppm
    override.risk_per_trade_ppm = change.risk_per_trade_ppm
    override.max_order_value_micros = change.max_order_value_micros
    override.max_order_microlots = change.max_order_microlots
    override.max_long_microlots = change.max_long_microlots
    override.max_short_microlots = change.max_short_microlots
    override.restricted = change.restricted
    account.override_count += 1
    return True


@routine
def put_configuration_nb(
    state: Any, rows_address: int, row_count: int, deleted: bool, now_ns: int
) -> bool:
    """Replace a risk configuration and all its overrides."""
    row = find_account_nb(state, configuration_change_at(rows_address).account_id)
    if row == 0:
        return False
    roll_account_nb(state, row, now_ns)
    account = account_at(state, row)
    account.generation += 1
    account.has_configuration = 0 if deleted else 1
    account.override_count = 0
    if not deleted:
        kept = state.configurations + row * CONFIGURATION_BYTES
        copy_bytes(kept, rows_address, CONFIGURATION_BYTES)
        for position in range(1, row_count):
            if not _put_override_nb(state, row, rows_address + position * CONFIGURATION_BYTES):
                # A limit that cannot be kept must not be lost in silence: the
                # account stays without configuration.
                account.has_configuration = 0
                return False
    refresh_breakers_nb(state, row, now_ns)
    return True
