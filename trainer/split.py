"""Cut rows by time: what a model may learn from, and what it is judged on.

One cut for all accounts. An embargo before the cut keeps apart rows that the same news moved. No
function here looks at a slippage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from trainer.errors import NotEnoughDataError
from trainer.rows import StopFill


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from and rows to be judged on, in time order, at least the embargo apart."""

    train: list[StopFill]
    holdout: list[StopFill]


def order_by_time(fills: Sequence[StopFill]) -> list[StopFill]:
    """Return the rows by time, then provider and number: any source order gives the same."""
    return sorted(fills, key=lambda fill: (fill.ts, fill.provider_id, fill.trade_no))


def split_by_time(fills: Sequence[StopFill], train_fraction: float, embargo: timedelta) -> Split:
    """Cut at the time of the row that ends the first `train_fraction` of all rows.

    Args:
        fills: Rows in any order.
        train_fraction: Share of rows before the cut, in (0, 1]; 1 leaves nothing to judge on.
        embargo: Rows less than this before the cut, or after the last training row, belong to
            neither part.

    Raises:
        NotEnoughDataError: No row is left to train on.
    """
    if not 0 < train_fraction <= 1:
        raise ValueError("train_fraction is not in (0, 1]")
    ordered = order_by_time(fills)
    index = int(len(ordered) * train_fraction)
    if index == len(ordered):
        train = ordered
    else:
        cut = ordered[index].ts
        train = [fill for fill in ordered if fill.ts < cut - embargo]
    if not train:
        raise NotEnoughDataError("no stop fill lies before the cut")
    # Judged from the last training row, not from the cut: the manifest names that row, so anyone
    # can repeat it.
    edge = train[-1].ts + embargo
    return Split(train, [fill for fill in ordered if fill.ts > edge])


def assign_blocks(fills: Sequence[StopFill], block_count: int) -> list[int]:
    """Return for each row one of `block_count` consecutive stretches of its provider's history."""
    totals: dict[str, int] = {}
    for fill in fills:
        totals[fill.provider_id] = totals.get(fill.provider_id, 0) + 1
    seen: dict[str, int] = {}
    blocks = []
    for fill in fills:
        position = seen.get(fill.provider_id, 0)
        seen[fill.provider_id] = position + 1
        blocks.append(position * block_count // totals[fill.provider_id])
    return blocks
