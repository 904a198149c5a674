"""The risk policy: knots, weights and bounds, as a document and as one row.

An engine starts with the default policy; the artifact that was activated last replaces it. Answers
carry its version and its digest: the SHA-256 of its canonical JSON, which is that of `policy.json`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import numpy as np

from server.hotpath.layout import NOT_SET, POLICY, PPM

RISK_POLICY: Final = "risk_policy"
"""Purpose of its artifacts, and key of its state change."""

DEFAULT_POLICY: Final[dict[str, Any]] = {
    "version": "1.0.0",
    "multiplier": [[0, 0.5], [50, 1.0], [65, 1.0], [87.5, 1.35], [100, 1.5]],
    "quality": [[0, 1.5], [50, 1.0], [65, 1.0], [87.5, 0.75], [100, 0.6]],
    "k_slip": 1.0,
    "k_atr": 0.05,
    "slippage_cap_pips": 50,
    "slippage_floor_pips": 0,
    "buffer_min_pips": 0,
    "buffer_max_pips": None,
    "score_weights": [0.35, 0.25, 0.20, 0.15, 0.05],
    "score_drawdown_scale": 0.50,
    "score_reward_risk_scale": 3,
}


def canonical_bytes(policy: dict[str, Any]) -> bytes:
    """Return the bytes that a policy's digest is made from."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":")).encode()


def _millionths(value: float) -> int:
    return round(value * 1_000_000)


def policy_row(policy: dict[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a policy as one POLICY row, POLICY[1].

    Raises:
        ValueError: weights do not sum to 1, or knots do not rise.
        KeyError: a part is missing.
    """
    row = np.zeros(1, POLICY)
    digest = hashlib.sha256(canonical_bytes(policy)).digest()
    row["digest"][0] = np.frombuffer(digest, "<i8")
    row["version_major"], row["version_minor"], row["version_patch"] = map(
        int, policy["version"].split(".")
    )
    for name in ("multiplier", "quality"):
        knots = policy[name]
        scores = [_millionths(score) for score, _ in knots]
        if not knots or scores != sorted(set(scores)):
            msg = f"{name}: scores must rise"
            raise ValueError(msg)
        row[f"{name}_count"] = len(knots)
        row[f"{name}_score_micropoints"][0, : len(knots)] = scores
        row[f"{name}_ppm"][0, : len(knots)] = [_millionths(value) for _, value in knots]
    row["k_slip_ppm"] = _millionths(policy["k_slip"])
    row["k_atr_ppm"] = _millionths(policy["k_atr"])
    for name in ("slippage_cap", "slippage_floor", "buffer_min", "buffer_max"):
        pips = policy[f"{name}_pips"]
        row[f"{name}_micropips"] = NOT_SET if pips is None else _millionths(pips)
    weights = [_millionths(weight) for weight in policy["score_weights"]]
    if sum(weights) != PPM:
        msg = "score_weights must sum to 1"
        raise ValueError(msg)
    row["score_weights_ppm"][0] = weights
    row["score_drawdown_scale_ppm"] = _millionths(policy["score_drawdown_scale"])
    row["score_reward_risk_scale_ppm"] = _millionths(policy["score_reward_risk_scale"])
    return row


def default_policy_row() -> np.ndarray[Any, np.dtype[Any]]:
    """Return the default policy as POLICY[1]."""
    return policy_row(DEFAULT_POLICY)
