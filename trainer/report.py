"""Figures of a model on unseen rows beside the baseline and the champion, as JSON."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainer.bootstrap import draw_means, measure_interval
from trainer.encodings import QUANTILES
from trainer.losses import measure_pinball
from trainer.rows import StopFill

_NAMES: Final = ("", "baseline_", "champion_")
_US_PER_DAY: Final = 86_400_000_000


def build_report(
    fills: Sequence[StopFill],
    predicted: NDArray[np.float64],
    baseline: NDArray[np.float64],
    champion: NDArray[np.float64],
) -> dict[str, Any]:
    """Return the figures of all rows, and the same per account under `by_account`.

    Args:
        fills: Rows that no one was fitted on, at least one.
        predicted: The model's q50 and q90 in pips, shape (rows, 2).
        baseline: The same per symbol and session.
        champion: The same per provider, shrunken.
    """
    observed = np.array([fill.slippage_pips for fill in fills])
    days = np.array([fill.ts_us // _US_PER_DAY for fill in fills])
    accounts = np.array([f"{fill.provider_type}/{fill.provider_id}" for fill in fills])
    answers = (predicted, baseline, champion)
    report = _measure(observed, days, answers)
    report["crossed_quantiles"] = int(np.sum(predicted[:, 1] < predicted[:, 0]))
    report["by_account"] = {
        str(account): _measure(
            observed[accounts == account],
            days[accounts == account],
            tuple(answer[accounts == account] for answer in answers),
        )
        for account in np.unique(accounts)
    }
    return report


def _measure(
    observed: NDArray[np.float64],
    days: NDArray[np.int64],
    answers: tuple[NDArray[np.float64], ...],
) -> dict[str, Any]:
    _lower, upper = QUANTILES
    columns: dict[str, NDArray[np.float64]] = {}
    for prefix, answer in zip(_NAMES, answers, strict=True):
        columns[f"{prefix}mae_pips"] = np.abs(observed - answer[:, 0])
        columns[f"{prefix}pinball_q90_pips"] = measure_pinball(observed, answer[:, 1], upper)
        columns[f"{prefix}coverage_q90"] = (observed <= answer[:, 1]).astype(np.float64)
        columns[f"{prefix}coverage_q50"] = (observed <= answer[:, 0]).astype(np.float64)
    names = list(columns)
    means = {name: float(values.mean()) for name, values in columns.items()}
    drawn = draw_means(np.column_stack(list(columns.values())), days)
    draws = {name: drawn[:, index] for index, name in enumerate(names)}
    intervals = {name: measure_interval(values) for name, values in draws.items()}
    report: dict[str, Any] = {"rows": len(observed), "days": len(np.unique(days)), **means}
    for prefix in _NAMES[1:]:
        for figure in ("mae_pips", "pinball_q90_pips"):
            name = f"{figure.removesuffix('_pips')}_gain_over_{prefix.removesuffix('_')}"
            own, other = means[figure], means[prefix + figure]
            report[name] = 1 - own / other if other > 0 else None
            ratios = 1 - np.divide(
                draws[figure],
                draws[prefix + figure],
                out=np.full(len(drawn), np.nan),
                where=draws[prefix + figure] > 0,
            )
            intervals[name] = measure_interval(ratios)
    report["intervals_95"] = intervals
    return report
