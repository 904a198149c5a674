"""Memory ahead of the engine: present before it is written, and no more than that."""

import mmap
import resource

import numpy as np

from server.engine import Engine
from server.hotpath.memory import Capacity
from server.prefault import Prefault, Region, populate, regions_of

PAGES = 512
SIZE_BYTES = PAGES * 4_096


def new_memory() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return pages that nobody has touched: what numpy hands out may have been used before."""
    return np.frombuffer(mmap.mmap(-1, SIZE_BYTES), np.uint8)


def faults_of_writing(array: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array[::4_096] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_memory_when_populated_then_writing_it_faults_no_more() -> None:
    fresh, present = new_memory(), new_memory()
    assert populate(present.ctypes.data, SIZE_BYTES)
    assert faults_of_writing(present) < faults_of_writing(fresh)


def test_regions_when_the_engine_moves_on_then_only_what_is_ahead_is_asked_for() -> None:
    engine = Engine(Capacity(**dict.fromkeys(Capacity._fields, 16))._replace(answer_bytes=1 << 28))
    prefault = Prefault(engine)
    first = prefault.advance()
    assert 32 << 20 <= first < 64 << 20
    assert prefault.advance() == 0
    engine.state.engine[0]["answer_head"] = 8 << 20
    assert prefault.advance() == 8 << 20


def test_regions_when_named_then_cover_answers_ids_reports_and_holds() -> None:
    engine = Engine(Capacity(**dict.fromkeys(Capacity._fields, 16)))
    state = engine.state
    starts = {region.start for region in regions_of(engine)}
    for array in (state.answers, state.reservations.rows, state.idempotency.rows):
        assert array.ctypes.data in starts


def test_memory_when_the_system_refuses_then_it_says_so() -> None:
    assert not populate(4_096, 4_096)  # nothing is mapped there
    assert Region(0, 0, lambda: 0).read_used() == 0
