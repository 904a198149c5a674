"""Rows of the engine's tables as plain values, by the names of their columns."""

import math
from typing import Any, Final

import numpy as np

from server.hotpath.layout import SYMBOL_WORDS, text

_TEXTS: Final = frozenset({
    "account_id", "provider_id", "symbol", "exchange", "correlation_group", "timezone",
    "breaker_id", "name", "regime", "position_id", "currency", "base_currency", "quote_currency",
    "from_currency", "to_currency", "strategy_id", "hours_timezone",
})  # fmt: skip
_NAME_LISTS: Final = frozenset({"regime_names", "symbols", "exchanges"})


def view_row(row: Any) -> dict[str, Any]:
    """Return a row ready for JSON: integers in the engine's units, text, lists; NaN is None."""
    return {name: _view_column(name, row[name]) for name in row.dtype.names}


def _view_column(name: str, value: Any) -> Any:
    if name in _TEXTS:
        return text(np.atleast_1d(value))
    if name in _NAME_LISTS:
        names = [text(packed) for packed in value.reshape(-1, SYMBOL_WORDS)]
        return [each for each in names if each]
    if name == "digest":
        return value.tobytes().hex()
    if value.shape:
        return value.tolist()
    plain = value.item()
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
