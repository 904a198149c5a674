import google_crc32c
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.hotpath.jit import routine
from server.hotpath.journal.checksum import (
    _by_table_nb,
    _take_word_nb,
    checksum_bytes_nb,
    checksum_nb,
)

# RFC 3720, appendix B.4: 32 bytes each.
VECTORS = [
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


def checksum_of(data: bytes) -> int:
    """Return the checksum by the kernel that takes words, the first one as a number."""
    words = np.frombuffer(data, np.int64)
    return int(checksum_nb(words[1:].ctypes.data, len(words) - 1, int(words[0])))


@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_checksum_is_that_of_the_standard(data: bytes, expected: int) -> None:
    assert checksum_of(data) == expected
    assert int(checksum_bytes_nb(np.frombuffer(data, np.uint8).ctypes.data, len(data))) == expected


@given(st.binary(min_size=8, max_size=256).filter(lambda data: len(data) % 8 == 0))
def test_words_and_bytes_agree_with_the_library_that_reads_them(data: bytes) -> None:
    expected = google_crc32c.value(data)
    assert checksum_of(data) == expected
    assert int(checksum_bytes_nb(np.frombuffer(data, np.uint8).ctypes.data, len(data))) == expected


@routine
def _one_word_each_way(crc: int, word: int) -> tuple[int, int]:
    return _take_word_nb(crc, word), _by_table_nb(crc, word)


@given(st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))
def test_processors_without_the_instruction_get_the_same(crc: int, word: int) -> None:
    by_instruction, by_table = _one_word_each_way(crc, word)
    assert by_instruction == by_table
