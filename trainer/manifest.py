"""Write what a release says about itself: inputs, answers, training rows, how well it does.

The digest of the training rows is over their values, not over a file, so rows read from a folder
and the same rows read from the record have the same digest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.canonical import encode_canonical
from trainer.features import FEATURES, OUTPUTS
from trainer.rows import StopFill

FORMAT: Final = 1
PURPOSE: Final = "slippage"
GOLDEN_ROWS: Final = 32


def digest_fills(fills: Sequence[StopFill]) -> str:
    """Return the SHA-256 of rows in their given order, as hex."""
    digest = sha256()
    for fill in fills:
        row = [
            fill.provider_type,
            fill.provider_id,
            fill.trade_no,
            fill.symbol,
            fill.side,
            fill.lots,
            fill.ts_us,
            fill.slippage_pips,
        ]
        digest.update(encode_canonical(row) + b"\n")
    return digest.hexdigest()


def describe_training(
    fills: Sequence[StopFill], train_fraction: float, embargo_hours: float
) -> dict[str, Any]:
    """Return the manifest's account of the training rows.

    Args:
        fills: Training rows in time order, at least one.
        train_fraction: Share of all rows before the cut.
        embargo_hours: Hours on either side of which no row is used.
    """
    return {
        "rows": len(fills),
        "from": format_time(fills[0].ts),
        "to": format_time(fills[-1].ts),
        "data_sha256": digest_fills(fills),
        "embargo_hours": embargo_hours,
        "split": {"kind": "time", "train_fraction": train_fraction},
        "accounts": _describe_accounts(fills),
    }


def build_golden(
    features: NDArray[np.float32], outputs: NDArray[np.float64]
) -> list[dict[str, list[float]]]:
    """Return inputs with the outputs that any runtime must give, spread over the rows."""
    picks = np.unique(np.linspace(0, len(features) - 1, GOLDEN_ROWS).round().astype(int))
    return [
        {
            "features": [float(value) for value in features[pick]],
            "outputs": [float(value) for value in outputs[pick]],
        }
        for pick in picks
    ]


def build_manifest(
    *,
    version: str,
    author: str,
    created_at: datetime,
    files: dict[str, dict[str, Any]],
    training: dict[str, Any],
    metrics: dict[str, Any],
    hyperparameters: dict[str, Any],
    golden: list[dict[str, list[float]]],
) -> bytes:
    """Return the canonical bytes of `manifest.json`.

    Raises:
        ValueError: A figure is NaN or infinite.
    """
    return encode_canonical(
        {
            "format": FORMAT,
            "purpose": PURPOSE,
            "algorithm": "tree_ensemble",
            "version": version,
            "author": author,
            "created_at": format_time(created_at),
            "features": [{"name": name, "unit": unit} for name, unit in FEATURES],
            "outputs": list(OUTPUTS),
            "files": files,
            "training": training,
            "metrics": metrics,
            "hyperparameters": hyperparameters,
            "golden": golden,
        }
    )


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _describe_accounts(fills: Sequence[StopFill]) -> list[dict[str, Any]]:
    rows: dict[tuple[str, str], list[StopFill]] = {}
    for fill in fills:
        rows.setdefault((fill.provider_type, fill.provider_id), []).append(fill)
    return [
        {
            "provider_type": kind,
            "provider_id": provider,
            "rows": len(own),
            "from": format_time(own[0].ts),
            "to": format_time(own[-1].ts),
        }
        for (kind, provider), own in sorted(rows.items())
    ]
