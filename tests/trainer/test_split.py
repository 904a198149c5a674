from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.sample_rows import make_fill
from trainer.errors import NotEnoughDataError
from trainer.split import assign_blocks, split_by_time

minutes = st.lists(st.integers(0, 100_000), min_size=5, max_size=80)


@given(minutes, st.floats(0.3, 0.95), st.integers(0, 48), st.randoms())
def test_every_judged_row_is_later_than_every_learned_row_by_the_embargo(
    offsets: list[int], fraction: float, hours: int, random: object
) -> None:
    fills = [make_fill(number, ts_minutes=offset) for number, offset in enumerate(offsets)]
    getattr(random, "shuffle")(fills)  # noqa: B009 - hypothesis types it as object
    embargo = timedelta(hours=hours)
    try:
        split = split_by_time(fills, fraction, embargo)
    except NotEnoughDataError:
        return
    last = max(fill.ts for fill in split.train)
    assert all(fill.ts > last + embargo for fill in split.holdout)
    assert [fill.ts for fill in split.train] == sorted(fill.ts for fill in split.train)
    assert not {fill.trade_no for fill in split.train} & {fill.trade_no for fill in split.holdout}


def test_a_fraction_of_one_trains_on_all_rows() -> None:
    split = split_by_time([make_fill(number) for number in range(10)], 1.0, timedelta(hours=1))
    assert (len(split.train), len(split.holdout)) == (10, 0)


def test_an_embargo_longer_than_the_data_is_refused() -> None:
    with pytest.raises(NotEnoughDataError):
        split_by_time([make_fill(number) for number in range(10)], 0.7, timedelta(days=9))


def test_blocks_are_consecutive_within_each_provider() -> None:
    fills = [make_fill(number, provider_id=f"p{number % 2}") for number in range(24)]
    blocks = assign_blocks(fills, 4)
    for parity in (0, 1):
        own = blocks[parity::2]
        assert own == sorted(own)
        assert set(own) == {0, 1, 2, 3}
