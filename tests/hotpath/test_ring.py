"""The ring keeps order and content, and refuses instead of overwriting."""

from __future__ import annotations

import random

import numpy as np
import pytest

from server.hotpath.ring import new_ring, pop_nb, push_nb


def test_ring_when_used_for_long_then_frames_come_out_as_they_went_in() -> None:
    chance = random.Random(7)
    ring = new_ring(4_096)
    out = np.zeros(4_096, np.uint8)
    waiting: list[tuple[bytes, int]] = []
    for _ in range(5_000):
        if chance.random() < 0.55:
            payload = chance.randbytes(chance.randrange(0, 700))
            tag = chance.randrange(-1, 4)
            if push_nb(ring, np.frombuffer(payload, np.uint8), tag):
                waiting.append((payload, tag))
            else:
                assert sum(24 + len(kept) for kept, _ in waiting) + 24 + len(payload) > 4_096 - 700
        elif waiting:
            payload, tag = waiting.pop(0)
            length, got = pop_nb(ring, out)
            assert (out[:length].tobytes(), got) == (payload, tag)
        else:
            assert pop_nb(ring, out) == (-1, 0)


@pytest.mark.parametrize("size", [0, 4_095, 5_000])
def test_ring_when_size_is_no_power_of_two_then_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        new_ring(size)
