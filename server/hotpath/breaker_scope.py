"""Whom a circuit breaker concerns: instruments, exchanges, providers, strategies."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import kernel
from server.hotpath.layout import (
    BREAKER_EXCHANGES_MAX,
    BREAKER_PROVIDERS_MAX,
    BREAKER_STRATEGIES_MAX,
    BREAKER_SYMBOLS_MAX,
    ID_WORDS,
    SYMBOL_WORDS,
)

_PROVIDER_WORDS = ID_WORDS + 1


@kernel
def _lists_nb(names: Any, count: int, width: int, name: Any) -> bool:
    for entry in range(count):
        same = True
        for word in range(width):
            same &= names[entry * width + word] == name[word]
        if same:
            return True
    return False


@kernel
def covers_instrument_nb(breaker: Any, instrument: Any) -> bool:
    """Tell whether a breaker's symbols and exchanges hold an instrument's.

    An instrument without an exchange is in every exchange's scope.
    """
    if breaker.symbol_count > 0 and not _lists_nb(
        breaker.symbols,
        min(breaker.symbol_count, BREAKER_SYMBOLS_MAX),
        SYMBOL_WORDS,
        instrument.symbol,
    ):
        return False
    if breaker.exchange_count == 0:
        return True
    anywhere = True
    for word in range(SYMBOL_WORDS):
        anywhere &= instrument.exchange[word] == 0
    return anywhere or _lists_nb(
        breaker.exchanges,
        min(breaker.exchange_count, BREAKER_EXCHANGES_MAX),
        SYMBOL_WORDS,
        instrument.exchange,
    )


@kernel
def _lists_provider_nb(breaker: Any, request: Any) -> bool:
    for entry in range(min(breaker.provider_count, BREAKER_PROVIDERS_MAX)):
        at = entry * _PROVIDER_WORDS
        same = breaker.providers[at + ID_WORDS] == request.provider_type
        for word in range(ID_WORDS):
            same &= breaker.providers[at + word] == request.provider_id[word]
        if same:
            return True
    return False


@kernel
def in_scope_nb(breaker: Any, instrument: Any, request: Any) -> bool:
    """Tell whether a breaker concerns a request. One that names no strategy is in every one's."""
    if (breaker.symbol_count | breaker.exchange_count) > 0 and not covers_instrument_nb(
        breaker, instrument
    ):
        return False
    if breaker.provider_count > 0 and not _lists_provider_nb(breaker, request):
        return False
    if breaker.strategy_count == 0 or request.strategy_id[0] == 0:
        return True
    return _lists_nb(
        breaker.strategies,
        min(breaker.strategy_count, BREAKER_STRATEGIES_MAX),
        ID_WORDS,
        request.strategy_id,
    )
