"""Text fields: UTF-8 checked, and packed into the zero-padded words of a record."""

from __future__ import annotations

from typing import Final

from server.hotpath.intrinsics import load_byte, load_half, load_long, store_long
from server.hotpath.jit import i64, kernel, routine

# One bit of every byte: 0x80 and 0x01 repeated, as int64.
_HIGH_BITS: Final = -9_187_201_950_435_737_472
_LOW_BITS: Final = 72_340_172_838_076_673


@kernel
def _last_word_nb(address: int, length: int) -> int:
    """Return what is left of text after its whole words, zero padded; nothing else is read.

    One word in a register: bytes stored one by one would stall whoever reads the word next.
    """
    rest = length & 7
    if rest == 0:
        return i64(0)
    if length >= 8:
        # The last eight bytes, without those that an earlier word has.
        kept = (i64(1) << (8 * rest)) - 1
        return (load_long(address + length - 8) >> (64 - 8 * rest)) & kept
    if rest >= 4:
        return load_half(address) | (load_half(address + rest - 4) << (8 * (rest - 4)))
    middle, last = rest >> 1, rest - 1
    word = load_byte(address) | (load_byte(address + middle) << (8 * middle))
    return word | (load_byte(address + last) << (8 * last))


@kernel
def _is_ascii_nb(address: int, length: int) -> bool:
    seen = _last_word_nb(address, length)
    for position in range(0, length & ~7, 8):
        seen |= load_long(address + position)
    return (seen & _HIGH_BITS) == 0


@kernel
def _sequence_bytes_nb(first: int) -> int:
    """Return how many bytes a UTF-8 sequence has, 0 if none begins like this."""
    if first < 0x80:
        return i64(1)
    if 0xC2 <= first <= 0xDF:
        return i64(2)
    if 0xE0 <= first <= 0xEF:
        return i64(3)
    return i64(4) if 0xF0 <= first <= 0xF4 else i64(0)


@kernel
def _second_is_valid_nb(first: int, second: int) -> bool:
    """Check the byte that rules out overlong forms, surrogates and what lies beyond Unicode."""
    if first == 0xE0:
        return 0xA0 <= second <= 0xBF
    if first == 0xED:
        return 0x80 <= second <= 0x9F
    if first == 0xF0:
        return 0x90 <= second <= 0xBF
    if first == 0xF4:
        return 0x80 <= second <= 0x8F
    return 0x80 <= second <= 0xBF


@routine
def _is_valid_utf8_nb(address: int, length: int) -> bool:
    position = i64(0)
    while position < length:
        first = load_byte(address + position)
        size = _sequence_bytes_nb(first)
        if size == 0 or position + size > length:
            return False
        if size > 1 and not _second_is_valid_nb(first, load_byte(address + position + 1)):
            return False
        for further in range(2, size):
            if load_byte(address + position + further) & 0xC0 != 0x80:
                return False
        position += size
    return True


@kernel
def is_text_nb(address: int, length: int) -> bool:
    """Tell whether bytes are UTF-8; quick for ASCII."""
    return _is_ascii_nb(address, length) or _is_valid_utf8_nb(address, length)


@kernel
def _has_zero_byte_nb(word: int) -> bool:
    return ((word - _LOW_BITS) & ~word & _HIGH_BITS) != 0


@kernel
def pack_text_nb(source: int, length: int, target: int) -> bool:
    """Copy text into words that are zero; tell whether it is free of zero bytes.

    Args:
        source: Address of the text.
        length: Bytes, at most the room of the target.
        target: Address of the words.
    """
    whole = length & ~7
    clean = True
    for position in range(0, whole, 8):
        word = load_long(source + position)
        clean &= not _has_zero_byte_nb(word)
        store_long(target + position, word)
    if whole < length:
        word = _last_word_nb(source, length)
        store_long(target + whole, word)
        # The padding behind the text is no zero byte of the text.
        clean &= not _has_zero_byte_nb(word | (i64(_LOW_BITS) << (8 * (length & 7))))
    return clean


@kernel
def text_length_nb(address: int, bytes_max: int) -> int:
    """Return the length of zero-padded text in words."""
    length = i64(0)
    while length < bytes_max and not _has_zero_byte_nb(load_long(address + length)):
        length += 8
    while length < bytes_max and load_byte(address + length) != 0:
        length += 1
    return length
