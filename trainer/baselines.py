"""The answers a model must beat, all from training rows only.

`GroupBaseline` is the plain quantile per symbol and session. `ProviderBaseline` is the champion:
the quantile per provider, pulled toward the market's. Both travel in the manifest, so a model can
be judged where its training rows are not at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.encodings import ANY, QUANTILES, Pair, shrink
from trainer.errors import ArtifactReadError, NotEnoughDataError
from trainer.rows import StopFill
from trainer.sessions import Session, find_session

PROVIDER_STRENGTH: Final = 20.0
_ANY_SESSION: Final = "ANY"


@dataclass(frozen=True, slots=True)
class GroupBaseline:
    """Median and 0.9-quantile by (symbol, session name), then by symbol, then of all rows."""

    groups: dict[tuple[str, str], Pair]

    def predict(self, fills: Sequence[StopFill]) -> NDArray[np.float64]:
        """Return q50 and q90 in pips, shape (rows, 2)."""
        return np.array([self._find(fill) for fill in fills]).reshape(-1, 2)

    def _find(self, fill: StopFill) -> Pair:
        for key in ((fill.symbol, find_session(fill.ts).name), (fill.symbol, _ANY_SESSION)):
            if key in self.groups:
                return self.groups[key]
        return self.groups[ANY, _ANY_SESSION]

    def to_document(self) -> list[dict[str, Any]]:
        """Return the form kept in the manifest."""
        return [
            {"symbol": symbol, "session": session, "q50_pips": pair[0], "q90_pips": pair[1]}
            for (symbol, session), pair in sorted(self.groups.items())
        ]


@dataclass(frozen=True, slots=True)
class ProviderBaseline:
    """Shrunken median and 0.9-quantile by (provider_type, provider_id), then of all rows."""

    providers: dict[tuple[str, str], Pair]

    def predict(self, fills: Sequence[StopFill]) -> NDArray[np.float64]:
        """Return q50 and q90 in pips, shape (rows, 2)."""
        market = self.providers[ANY, ANY]
        pairs = [
            self.providers.get((fill.provider_type, fill.provider_id), market) for fill in fills
        ]
        return np.array(pairs).reshape(-1, 2)

    def to_document(self) -> list[dict[str, Any]]:
        """Return the form kept in the manifest."""
        return [
            {"provider_type": kind, "provider_id": name, "q50_pips": pair[0], "q90_pips": pair[1]}
            for (kind, name), pair in sorted(self.providers.items())
        ]


def fit_group_baseline(fills: Sequence[StopFill]) -> GroupBaseline:
    """Return the plain quantiles of training rows.

    Raises:
        NotEnoughDataError: There are no rows.
    """
    rows: dict[tuple[str, str], list[float]] = {}
    for fill in fills:
        session = find_session(fill.ts).name
        for key in ((fill.symbol, session), (fill.symbol, _ANY_SESSION), (ANY, _ANY_SESSION)):
            rows.setdefault(key, []).append(fill.slippage_pips)
    if not rows:
        raise NotEnoughDataError("a baseline needs training rows")
    return GroupBaseline({key: _measure(pips) for key, pips in rows.items()})


def fit_provider_baseline(fills: Sequence[StopFill]) -> ProviderBaseline:
    """Return the shrunken quantiles of training rows.

    Raises:
        NotEnoughDataError: There are no rows.
    """
    if not fills:
        raise NotEnoughDataError("a baseline needs training rows")
    market = _measure([fill.slippage_pips for fill in fills])
    rows: dict[tuple[str, str], list[float]] = {}
    for fill in fills:
        rows.setdefault((fill.provider_type, fill.provider_id), []).append(fill.slippage_pips)
    shrunken = {key: shrink(pips, market, PROVIDER_STRENGTH) for key, pips in rows.items()}
    return ProviderBaseline({(ANY, ANY): market, **shrunken})


def read_baselines(document: Any) -> tuple[GroupBaseline, ProviderBaseline]:
    """Return the baselines kept in a manifest's metrics.

    Raises:
        ArtifactReadError: They are missing or malformed.
    """
    try:
        groups = {
            (row["symbol"], row["session"]): (float(row["q50_pips"]), float(row["q90_pips"]))
            for row in document["baseline"]
        }
        providers = {
            (row["provider_type"], row["provider_id"]): (
                float(row["q50_pips"]),
                float(row["q90_pips"]),
            )
            for row in document["champion"]
        }
        if (ANY, _ANY_SESSION) not in groups or (ANY, ANY) not in providers:
            raise ArtifactReadError("the manifest's baselines lack the one of all rows")
        known = {*(session.name for session in Session), _ANY_SESSION}
        if not {session for _symbol, session in groups} <= known:
            raise ArtifactReadError("the manifest's baselines name an unknown session")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactReadError("the manifest's baselines are malformed") from error
    return GroupBaseline(groups), ProviderBaseline(providers)


def _measure(slippage_pips: Sequence[float]) -> Pair:
    q50, q90 = np.quantile(np.asarray(slippage_pips, dtype=np.float64), QUANTILES)
    return float(q50), float(q90)
