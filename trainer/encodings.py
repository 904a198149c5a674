"""Shrunken slippage quantiles per provider and symbol: the history that the model sees of a fill.

Four levels, each pulled toward the one above it by as many imaginary rows as its strength says:

    (provider, symbol) → (provider, any) → (any, any)         a known provider
                         (any, symbol)   → (any, any)         an unknown provider

The levels of an unknown provider are made from *live* accounts only, those with slippage in their
upper tenth: a demo account that fills every stop at its level says nothing about the next broker,
and taking it for evidence would promise a new provider fills without slippage. `fit_encodings` may
see training rows only.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.errors import ArtifactReadError, NotEnoughDataError
from trainer.rows import StopFill

ANY: Final = ""
QUANTILES: Final = (0.5, 0.9)
_DIGITS: Final = 6

Pair = tuple[float, float]
LevelKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Strengths:
    """Imaginary rows of the parent in each level, > 0.

    The symbol level is pulled hardest: it speaks for providers nobody has seen, and brokers differ
    more than symbols.
    """

    provider_symbol: float = 15.0
    provider: float = 20.0
    symbol: float = 60.0


@dataclass(frozen=True, slots=True)
class Encodings:
    """Quantile pairs (q50, q90 in pips) by (provider_type, provider_id, symbol)."""

    levels: dict[LevelKey, Pair]

    def find(self, provider_type: str, provider_id: str, symbol: str) -> Pair:
        """Return the pair of the narrowest level that exists."""
        for key in (
            (provider_type, provider_id, symbol),
            (provider_type, provider_id, ANY),
            (ANY, ANY, symbol),
        ):
            if key in self.levels:
                return self.levels[key]
        return self.levels[ANY, ANY, ANY]

    def find_rows(self, fills: Sequence[StopFill]) -> NDArray[np.float64]:
        """Return the pairs of all rows, shape (rows, 2)."""
        pairs = [self.find(fill.provider_type, fill.provider_id, fill.symbol) for fill in fills]
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def without_providers(self) -> "Encodings":
        """Return only the levels that an unknown provider would meet."""
        return Encodings({key: pair for key, pair in self.levels.items() if key[1] == ANY})

    def to_document(self) -> dict[str, Any]:
        """Return the content of `encodings.json`, ordered by key."""
        return {
            "levels": [
                {
                    "provider_type": provider_type,
                    "provider_id": provider_id,
                    "symbol": symbol,
                    "q50_pips": pair[0],
                    "q90_pips": pair[1],
                }
                for (provider_type, provider_id, symbol), pair in sorted(self.levels.items())
            ]
        }


def read_encodings(document: Any) -> Encodings:
    """Return the encodings of a parsed `encodings.json`.

    Raises:
        ArtifactReadError: A level is malformed or repeated, or the last resort is missing.
    """
    levels: dict[LevelKey, Pair] = {}
    try:
        for level in document["levels"]:
            key = (level["provider_type"], level["provider_id"], level["symbol"])
            if key in levels:
                raise ArtifactReadError(f"encodings.json holds the level {key} twice")
            levels[key] = (float(level["q50_pips"]), float(level["q90_pips"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactReadError("encodings.json is malformed") from error
    if (ANY, ANY, ANY) not in levels:
        raise ArtifactReadError("encodings.json lacks the level of last resort")
    return Encodings(levels)


def fit_encodings(fills: Sequence[StopFill], strengths: Strengths | None = None) -> Encodings:
    """Return the shrunken quantiles of training rows.

    Raises:
        NotEnoughDataError: There are no rows.
    """
    if not fills:
        raise NotEnoughDataError("encodings need at least one stop fill")
    weights = strengths or Strengths()
    live = _select_live(fills)
    market = _measure([fill.slippage_pips for fill in live])
    levels: dict[LevelKey, Pair] = {(ANY, ANY, ANY): market}
    for (symbol,), pips in _group(live, "symbol"):
        levels[ANY, ANY, symbol] = shrink(pips, market, weights.symbol)
    for (kind, provider), pips in _group(fills, "provider_type", "provider_id"):
        levels[kind, provider, ANY] = shrink(pips, market, weights.provider)
    for (kind, provider, symbol), pips in _group(fills, "provider_type", "provider_id", "symbol"):
        parent = levels[kind, provider, ANY]
        levels[kind, provider, symbol] = shrink(pips, parent, weights.provider_symbol)
    return Encodings(
        {key: (round(q50, _DIGITS), round(q90, _DIGITS)) for key, (q50, q90) in levels.items()}
    )


def shrink(slippage_pips: Sequence[float], parent: Pair, strength: float) -> Pair:
    """Return (n·own + strength·parent) / (n + strength) for both quantiles."""
    count = len(slippage_pips)
    own = _measure(slippage_pips)
    q50, q90 = (
        (count * mine + strength * above) / (count + strength)
        for mine, above in zip(own, parent, strict=True)
    )
    return q50, q90


def find_live_providers(fills: Iterable[StopFill]) -> set[tuple[str, str]]:
    """Return (provider_type, provider_id) of the accounts whose own 0.9-quantile is above zero."""
    groups = _group(fills, "provider_type", "provider_id")
    return {(kind, provider) for (kind, provider), pips in groups if _measure(pips)[1] > 0}


def _select_live(fills: Sequence[StopFill]) -> Sequence[StopFill]:
    live = find_live_providers(fills)
    chosen = [fill for fill in fills if (fill.provider_type, fill.provider_id) in live]
    return chosen or fills


def _measure(slippage_pips: Sequence[float]) -> Pair:
    q50, q90 = np.quantile(np.asarray(slippage_pips, dtype=np.float64), QUANTILES)
    return float(q50), float(q90)


def _group(
    fills: Iterable[StopFill], *fields: str
) -> Iterator[tuple[tuple[str, ...], list[float]]]:
    groups: dict[tuple[str, ...], list[float]] = {}
    for fill in fills:
        key = tuple(str(getattr(fill, field)) for field in fields)
        groups.setdefault(key, []).append(fill.slippage_pips)
    return iter(groups.items())
