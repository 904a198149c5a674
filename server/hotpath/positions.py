"""Positions and exposures: finding their rows, and moving them by fills and closes."""

from __future__ import annotations

from typing import Any

import numpy as np

from server.hotpath.jit import kernel, routine
from server.hotpath.layout import ID_WORDS, SYMBOL_WORDS
from server.hotpath.memory import (
    account_at,
    engine_of,
    exposure_at,
    exposures_of,
    instrument_at,
    position_at,
    positions_of,
    strategy_at,
)
from server.hotpath.table import find_nb, insert_nb, link_nb, rows_used_nb, write_key_nb
from server.hotpath.units import DOWN, UP, add_latched_nb, add_nb, mul_div_nb, take_off_latched_nb

POSITION_KEY_WORDS = 2 + ID_WORDS
EXPOSURE_KEY_WORDS = 1 + SYMBOL_WORDS


@kernel
def position_key_nb(
    state: Any, account_row: int, instrument_row: int, position_id: np.ndarray
) -> None:
    """Write the key of a position into the scratch words; an all-zero id is the net position."""
    state.scratch[0] = account_row
    state.scratch[1] = instrument_row
    for word in range(ID_WORDS):
        state.scratch[2 + word] = position_id[word]


@kernel
def net_key_nb(state: Any, account_row: int, instrument_row: int) -> None:
    """Write the key of the net position into the scratch words."""
    state.scratch[0] = account_row
    state.scratch[1] = instrument_row
    for word in range(ID_WORDS):
        state.scratch[2 + word] = 0


@kernel
def find_position_nb(state: Any) -> int:
    """Return the row of the position whose key is in the scratch words, 0 if there is none."""
    return find_nb(positions_of(state), state.scratch, POSITION_KEY_WORDS)


@routine
def make_position_nb(state: Any) -> int:
    """Return the row of the position whose key is in the scratch words, a new one if needed.

    0 if the table is full.
    """
    row = find_position_nb(state)
    if row != 0:
        return row
    engine = engine_of(state)
    if engine.position_free != 0:
        row = engine.position_free
        engine.position_free = position_at(state, row).next_position
        write_key_nb(positions_of(state), row, state.scratch, POSITION_KEY_WORDS)
        position_at(state, row).next_position = 0
        link_nb(positions_of(state), row, POSITION_KEY_WORDS)
    else:
        row = insert_nb(positions_of(state), state.scratch, POSITION_KEY_WORDS)
        if row == 0:
            return row
    account = account_at(state, state.scratch[0])
    position_at(state, row).next_position = account.first_position
    account.first_position = row
    return row


@kernel
def positions_have_room_nb(state: Any, rows: int) -> bool:
    """Tell whether `rows` (0 to 2) more positions fit."""
    room = positions_of(state).capacity - rows_used_nb(positions_of(state))
    free = engine_of(state).position_free
    if free != 0:
        room += 2 if position_at(state, free).next_position != 0 else 1
    return rows <= room


@kernel
def exposure_key_nb(state: Any, account_row: int, instrument_row: int) -> None:
    """Write the key of an account's exposure to the instrument's correlation group.

    No group: the symbol itself.
    """
    instrument = instrument_at(state, instrument_row)
    grouped = False
    for word in range(SYMBOL_WORDS):
        grouped |= instrument.correlation_group[word] != 0
    # A group and a symbol of the same name are two exposures.
    state.scratch[0] = account_row if grouped else -account_row
    for word in range(SYMBOL_WORDS):
        state.scratch[1 + word] = (
            instrument.correlation_group[word] if grouped else instrument.symbol[word]
        )


@kernel
def find_exposure_nb(state: Any) -> int:
    """Return the row of the exposure whose key is in the scratch words, 0 if there is none."""
    return find_nb(exposures_of(state), state.scratch, EXPOSURE_KEY_WORDS)


@kernel
def make_exposure_nb(state: Any) -> int:
    """Return the row of the exposure whose key is in the scratch words, a new one if needed.

    0 if the table is full.
    """
    return insert_nb(exposures_of(state), state.scratch, EXPOSURE_KEY_WORDS)


@kernel
def strategy_notional_nb(account: Any, strategy: Any) -> int:
    """Return what a strategy has open: at most what its account has, for others close it too."""
    return min(strategy.open_notional_micros, account.open_notional_micros)


@kernel
def _give_up_nb(state: Any, row: int, strategy_row: int, part: int, whole: int) -> None:
    """Take the share part/whole of risk and notional off a position that becomes smaller."""
    position = position_at(state, row)
    risk = mul_div_nb(state, position.open_risk_micros, part, whole, DOWN)
    notional = mul_div_nb(state, position.open_notional_micros, part, whole, DOWN)
    position.open_risk_micros -= risk
    position.open_notional_micros -= notional
    account = account_at(state, position.account_row)
    account.open_risk_micros = take_off_latched_nb(account.open_risk_micros, risk)
    account.open_notional_micros = take_off_latched_nb(account.open_notional_micros, notional)
    exposure = exposure_at(state, position.exposure_row)
    exposure.open_notional_micros = take_off_latched_nb(exposure.open_notional_micros, notional)
    if strategy_row != 0:
        # What it closes may have been opened by others.
        strategy = strategy_at(state, strategy_row)
        strategy.open_notional_micros = max(strategy.open_notional_micros - notional, 0)


@kernel
def _open_nb(
    state: Any,
    row: int,
    exposure_row: int,
    strategy_row: int,
    risk_micros: int,
    notional_micros: int,
) -> None:
    """Add risk and notional to a position and the sums; a sum beyond int64 latches at its end."""
    position = position_at(state, row)
    if position.open_notional_micros == 0:
        # The group may change while the position is open: what opened here also leaves here.
        position.exposure_row = exposure_row
    position.open_risk_micros = add_latched_nb(position.open_risk_micros, risk_micros)
    position.open_notional_micros = add_latched_nb(position.open_notional_micros, notional_micros)
    account = account_at(state, position.account_row)
    if strategy_row != 0:
        strategy = strategy_at(state, strategy_row)
        opened = strategy_notional_nb(account, strategy)
        strategy.open_notional_micros = add_latched_nb(opened, notional_micros)
    account.open_risk_micros = add_latched_nb(account.open_risk_micros, risk_micros)
    account.open_notional_micros = add_latched_nb(account.open_notional_micros, notional_micros)
    exposure = exposure_at(state, position.exposure_row)
    exposure.open_notional_micros = add_latched_nb(exposure.open_notional_micros, notional_micros)


@routine
def move_position_nb(
    state: Any,
    row: int,
    exposure_row: int,
    strategy_row: int,
    steps: int,
    price_ticks: int,
    risk_micros: int,
    notional_micros: int,
) -> None:
    """Move one position row by signed lot steps at a price.

    What makes it larger opens with its risk and notional; what makes it smaller gives up the same
    share of both, rounded so that too much rather than too little stays counted.

    Args:
        state: the engine's tables.
        row: position row.
        exposure_row: exposure of its group; 0: this row carries no risk and no notional (the net
            row of a named one).
        strategy_row: of the order that moves it; 0: none.
        steps: signed, not 0.
        price_ticks: execution price; ≤ 0: the average price of the row.
        risk_micros: of all steps, ≥ 0.
        notional_micros: of all steps, ≥ 0.
    """
    position = position_at(state, row)
    net = position.net_steps
    if price_ticks <= 0:
        price_ticks = position.cost_ticks // abs(net) if net != 0 else 0
    opening = abs(steps)
    if net != 0 and (net > 0) != (steps > 0):
        closing = min(abs(net), opening)
        opening -= closing
        position.cost_ticks -= mul_div_nb(state, position.cost_ticks, closing, abs(net), DOWN)
        if exposure_row != 0:
            _give_up_nb(state, row, strategy_row, closing, abs(net))
    position.net_steps += steps
    if opening > 0:
        position.cost_ticks = add_nb(
            state, position.cost_ticks, mul_div_nb(state, opening, price_ticks, 1, DOWN)
        )
        if exposure_row != 0:
            _open_nb(
                state,
                row,
                exposure_row,
                strategy_row,
                mul_div_nb(state, risk_micros, opening, abs(steps), UP),
                mul_div_nb(state, notional_micros, opening, abs(steps), UP),
            )
