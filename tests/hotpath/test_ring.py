"""The ring keeps order and content, and refuses instead of overwriting."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import Any

import numba
import numpy as np
import pytest

from server.hotpath.intrinsics import load_acquire, load_word
from server.hotpath.ring import RING, Ring, new_ring, pop_nb, push_nb, settle_nb

SIZE_BYTES = 4_096
# Small enough to go round hundreds of times, large enough for a busy machine to change threads.
RACE_BYTES = 65_536
FRAMES = 100_000
# Lengths that do not divide the ring, so that frames meet its end in every possible way.
WORDS_MAX = 61

Words = np.ndarray[Any, np.dtype[np.int64]]


def push(ring: Ring, words: Words) -> bool:
    return bool(push_nb(ring.record[0], words.ctypes.data))


def pop(ring: Ring) -> bytes:
    length = pop_nb(ring.record[0])
    if length:
        settle_nb(ring.record[0], False)
    return ring.popped[: length // 8].tobytes()


def random_frame(chance: random.Random, words_max: int) -> Words:
    count = chance.randrange(1, words_max + 1)
    return np.array([8 * count, *(chance.getrandbits(63) for _ in range(count - 1))], np.int64)


@pytest.mark.parametrize("words_max", [1, 3, WORDS_MAX, SIZE_BYTES // 8])
def test_ring_when_used_for_long_then_it_behaves_like_a_bounded_queue(words_max: int) -> None:
    chance = random.Random(words_max)
    ring, model, waiting_bytes, refused = new_ring(SIZE_BYTES), deque[bytes](), 0, 0
    for step in range(20_000):
        # Long spells of filling and of emptying, so that it gets full and empty several times.
        if chance.random() < (0.75 if step // 2_000 % 2 == 0 else 0.25):
            frame = random_frame(chance, words_max)
            fits = waiting_bytes + frame.nbytes <= SIZE_BYTES
            assert push(ring, frame) == fits
            refused += not fits
            if fits:
                model.append(frame.tobytes())
                waiting_bytes += frame.nbytes
        else:
            expected = model.popleft() if model else b""
            waiting_bytes -= len(expected)
            assert pop(ring) == expected
    record = ring.record[0]
    assert record["frames_pushed"] - record["frames_popped"] == len(model)
    assert record["written_bytes"] - record["read_bytes"] == waiting_bytes
    assert record["written_bytes"] > 5 * SIZE_BYTES
    assert refused > 0


def test_push_when_the_ring_is_full_then_it_is_refused_until_a_frame_is_taken() -> None:
    ring, frame = new_ring(SIZE_BYTES), np.array([32, 1, 2, 3], np.int64)
    assert all(push(ring, frame) for _ in range(SIZE_BYTES // 32))
    before = ring.data.tobytes()
    assert not push(ring, np.array([8], np.int64))
    assert ring.data.tobytes() == before
    assert pop(ring) == frame.tobytes()
    assert push(ring, frame)
    assert not push(ring, frame)


def test_push_when_the_frame_is_larger_than_the_ring_then_it_is_refused() -> None:
    ring = new_ring(SIZE_BYTES)
    frame = np.zeros(SIZE_BYTES // 8 + 1, np.int64)
    frame[0] = frame.nbytes
    assert not push(ring, frame)
    assert pop(ring) == b""


def test_settle_when_frames_are_done_with_then_each_is_counted_and_the_refused_apart() -> None:
    ring, frame = new_ring(SIZE_BYTES), np.array([8], np.int64)
    for refused in (False, True, True, False, False):
        push(ring, frame)
        pop_nb(ring.record[0])
        assert ring.record["frames_pushed"][0] == ring.record["frames_popped"][0] + 1
        settle_nb(ring.record[0], refused)
    assert ring.record[["frames_pushed", "frames_popped", "frames_refused"]][0].tolist() == (
        5,
        5,
        2,
    )


def test_record_when_laid_out_then_producer_and_owner_share_no_cache_line_pair() -> None:
    at = {name: RING.fields[name][1] for name in RING.names or ()}  # type: ignore[index]
    assert at["written_bytes"] - at["popped"] >= 112
    assert at["read_bytes"] - at["frames_pushed"] >= 112
    assert RING.itemsize - at["frames_refused"] >= 112


@numba.njit(nogil=True, error_model="numpy")
def _take_and_check_nb(ring: Any, frames: int, stop_address: int) -> int:
    """Take frames while they are the expected ones; return how many were."""
    for number in range(frames):
        length = pop_nb(ring)
        while length == 0:
            if load_acquire(stop_address) != 0:
                return number
            length = pop_nb(ring)
        if length != 8 * (2 + number % WORDS_MAX):
            return number
        for word in range(1, length // 8):
            if load_word(ring.popped + 8 * word) != number + word:
                return number
        settle_nb(ring, False)
    return frames


def test_ring_when_producer_and_compiled_owner_run_at_once_then_every_frame_is_intact() -> None:
    ring, stop, intact = new_ring(RACE_BYTES), np.zeros(1, np.int64), [0]
    record = ring.record[0]
    # Compiled before the race begins.
    assert _take_and_check_nb(record, 0, stop.ctypes.data) == 0

    def take() -> None:
        intact[0] = _take_and_check_nb(record, FRAMES, stop.ctypes.data)

    owner = threading.Thread(target=take)
    owner.start()
    frames = [np.zeros(2 + length, np.int64) for length in range(WORDS_MAX)]
    places = [(frame.ctypes.data, np.arange(len(frame))) for frame in frames]
    try:
        for number in range(FRAMES):
            frame, (address, offsets) = frames[number % WORDS_MAX], places[number % WORDS_MAX]
            np.add(offsets, number, out=frame)
            frame[0] = frame.nbytes
            while not push_nb(record, address):
                assert owner.is_alive(), "the owner met a frame that was not intact"
                time.sleep(0)
        owner.join(60)
    finally:
        stop[0] = 1
        owner.join()
    assert intact[0] == FRAMES
    assert record["frames_popped"] == FRAMES
    assert record["written_bytes"] > 300 * RACE_BYTES


@pytest.mark.parametrize("size", [0, 2_048, 4_095, 5_000])
def test_ring_when_size_is_no_power_of_two_then_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        new_ring(size)
