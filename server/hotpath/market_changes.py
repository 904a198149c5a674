"""What changes of instruments, market context, providers and conversion rates do.

A kernel here takes the address of rows of its kind, and returns False when the change names
something unknown or finds no room. Rules: docs/decision.md, section 8.
"""

from __future__ import annotations

import math
from typing import Any, Final

from server.hotpath.intrinsics import address_reference
from server.hotpath.jit import kernel, routine
from server.hotpath.layout import (
    CHANGE_CONVERSION_RATE,
    CHANGE_INSTRUMENT,
    CHANGE_MARKET,
    CHANGE_PROVIDER,
    ID_WORDS,
    SYMBOL_WORDS,
)
from server.hotpath.memory import (
    instrument_at,
    instruments_of,
    provider_at,
    providers_of,
    rate_at,
    rates_of,
    words_at_nb,
)
from server.hotpath.table import find_nb, insert_nb, write_key_nb
from server.hotpath.units import (
    OUT_OF_RANGE,
    quote_twice_ticks_nb,
    volatility_micropoints_nb,
)

INSTRUMENT_BYTES: Final = CHANGE_INSTRUMENT.itemsize
PROVIDER_BYTES: Final = CHANGE_PROVIDER.itemsize
RATE_BYTES: Final = CHANGE_CONVERSION_RATE.itemsize
MARKET_BYTES: Final = CHANGE_MARKET.itemsize

instrument_change_at = address_reference(CHANGE_INSTRUMENT)
market_change_at = address_reference(CHANGE_MARKET)
rate_change_at = address_reference(CHANGE_CONVERSION_RATE)


@routine
def put_instrument_nb(state: Any, address: int, deleted: bool) -> bool:
    """Define an instrument; its market context stays."""
    words = words_at_nb(address, INSTRUMENT_BYTES // 8)
    row = insert_nb(instruments_of(state), words, SYMBOL_WORDS)
    if row == 0:
        return False
    if not deleted:
        if instrument_change_at(address).tick_size != instrument_at(state, row).tick_size:
            # The collar's ticks are others now: its window begins anew.
            instrument_at(state, row).collar_twice_ticks = 0
        write_key_nb(instruments_of(state), row, words, INSTRUMENT_BYTES // 8)
    instrument_at(state, row).alive = 0 if deleted else 1
    return True


@routine
def put_instruments_nb(state: Any, rows_address: int, row_count: int, deleted: bool) -> bool:
    """Define instruments, one per row."""
    known = True
    for position in range(row_count):
        known &= put_instrument_nb(state, rows_address + position * INSTRUMENT_BYTES, deleted)
    return known


@routine
def put_provider_nb(state: Any, address: int, deleted: bool) -> bool:
    """Set the score of a provider."""
    words = words_at_nb(address, PROVIDER_BYTES // 8)
    row = insert_nb(providers_of(state), words, ID_WORDS + 1)
    if row == 0:
        return False
    if not deleted:
        write_key_nb(providers_of(state), row, words, PROVIDER_BYTES // 8)
    provider_at(state, row).alive = 0 if deleted else 1
    return True


@routine
def put_providers_nb(state: Any, rows_address: int, row_count: int, deleted: bool) -> bool:
    """Set the scores of providers, one per row."""
    known = True
    for position in range(row_count):
        known &= put_provider_nb(state, rows_address + position * PROVIDER_BYTES, deleted)
    return known


@routine
def put_rate_nb(state: Any, address: int, deleted: bool) -> bool:
    """Set a conversion rate, unless the stored one is newer."""
    words = words_at_nb(address, RATE_BYTES // 8)
    row = insert_nb(rates_of(state), words, 2)
    if row == 0:
        return False
    if not deleted and rate_change_at(address).as_of_ns < rate_at(state, row).as_of_ns:
        return True
    write_key_nb(rates_of(state), row, words, RATE_BYTES // 8)
    if deleted:
        rate_at(state, row).rate_picos = 0
    return True


@routine
def put_rates_nb(state: Any, rows_address: int, row_count: int, deleted: bool) -> bool:
    """Set conversion rates, one per row."""
    known = True
    for position in range(row_count):
        known &= put_rate_nb(state, rows_address + position * RATE_BYTES, deleted)
    return known


@kernel
def _begin_collar_nb(instrument: Any) -> None:
    """Let the collar's next window begin with the quote that has come, when it is time."""
    over_ns = instrument.collar_start_ns + instrument.collar_window_ns
    begun = instrument.collar_twice_ticks != 0
    if instrument.collar_window_ns == 0 or (begun and instrument.quote_at_ns < over_ns):
        return
    twice = quote_twice_ticks_nb(instrument.bid, instrument.ask, instrument.tick_size)
    if twice > 0:
        instrument.collar_start_ns = instrument.quote_at_ns
        instrument.collar_twice_ticks = twice


@routine
def put_market_nb(state: Any, address: int) -> bool:
    """Set what is stated of a symbol's regime, ATR, volatility and quote.

    Unless the stored value is newer.
    """
    change = market_change_at(address)
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
        _begin_collar_nb(instrument)
    return True


@routine
def put_markets_nb(state: Any, rows_address: int, row_count: int) -> bool:
    """Set the market context of symbols, one per row."""
    known = True
    for position in range(row_count):
        known &= put_market_nb(state, rows_address + position * MARKET_BYTES)
    return known
