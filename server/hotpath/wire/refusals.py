"""Why a message got no answer: status code, dotted path of the field, fixed words.

The words themselves stand in `refusal_texts.py`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from server.hotpath.intrinsics import (
    address_of,
    copy_bytes,
    load_byte,
    store_byte,
)
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.wire.refusal_texts import (
    FIXED,
    INVALID_ARGUMENT,
    NAMES,
    NOT_FOUND,
    PREFIXES,
    PROBLEM_TEXTS,
)
from server.hotpath.wire.wire_record import WIRE

_STRIDE: Final = 72


def _table(texts: tuple[str, ...]) -> Any:
    return np.frombuffer(b"".join(text.encode().ljust(_STRIDE, b"\0") for text in texts), np.uint8)


def _lengths(texts: tuple[str, ...]) -> Any:
    return np.array([len(text) for text in texts], np.int64)


_NAME_BYTES, _NAME_LENGTHS = _table(NAMES), _lengths(NAMES)
_PROBLEM_BYTES, _PROBLEM_LENGTHS = _table(PROBLEM_TEXTS), _lengths(PROBLEM_TEXTS)
_PREFIX_BYTES, _PREFIX_LENGTHS = _table(PREFIXES), _lengths(PREFIXES)
_FIXED_TEXTS: Final = tuple(text for _, _, text in FIXED)
_FIXED_BYTES, _FIXED_LENGTHS = _table(_FIXED_TEXTS), _lengths(_FIXED_TEXTS)
_FIXED_CODES: Final = np.array([code for code, _, _ in FIXED], np.int64)
_FIXED_NAMES: Final = np.array([NAMES.index(name) for _, name, _ in FIXED], np.int64)
_NOT_FOUND_ACCOUNT: Final = np.frombuffer(b"not found: account ", np.uint8)

_MESSAGE_OFFSET: Final[int] = WIRE.fields["message"][1]  # type: ignore[index]
_PATH_OFFSET: Final[int] = WIRE.fields["path"][1]  # type: ignore[index]


@kernel
def _append_nb(target: int, table: Any, lengths: Any, row: int) -> int:
    length = lengths[row]
    copy_bytes(target, table.ctypes.data + row * i64(_STRIDE), length)
    return target + length


@kernel
def _close_nb(wire: Any, code: int, message_end: int, path_end: int) -> None:
    message, path = address_of(wire) + _MESSAGE_OFFSET, address_of(wire) + _PATH_OFFSET
    wire.refusal_code = code
    wire.refusal_message = message
    wire.refusal_message_bytes = message_end - message
    wire.refusal_field = path
    wire.refusal_field_bytes = path_end - path


@routine
def refuse_field_nb(wire: Any, prefix: int, name: int, problem: int) -> None:
    """Refuse with INVALID_ARGUMENT: `path: problem`."""
    path = address_of(wire) + _PATH_OFFSET
    path_end = _append_nb(path, _PREFIX_BYTES, _PREFIX_LENGTHS, prefix)
    path_end = _append_nb(path_end, _NAME_BYTES, _NAME_LENGTHS, name)
    message = address_of(wire) + _MESSAGE_OFFSET
    copy_bytes(message, path, path_end - path)
    end = message + (path_end - path)
    store_byte(end, 58)
    store_byte(end + 1, 32)
    end = _append_nb(end + 2, _PROBLEM_BYTES, _PROBLEM_LENGTHS, problem)
    _close_nb(wire, i64(INVALID_ARGUMENT), end, path_end)


@routine
def refuse_fixed_nb(wire: Any, refusal: int) -> None:
    """Refuse with one of the fixed refusals."""
    path, message = address_of(wire) + _PATH_OFFSET, address_of(wire) + _MESSAGE_OFFSET
    path_end = _append_nb(path, _NAME_BYTES, _NAME_LENGTHS, _FIXED_NAMES[refusal])
    end = _append_nb(message, _FIXED_BYTES, _FIXED_LENGTHS, refusal)
    _close_nb(wire, _FIXED_CODES[refusal], end, path_end)


@kernel
def _is_public_nb(byte: int) -> bool:
    """Tell whether a byte may leave in a text, as `server.errors.replace_unsafe` decides."""
    letter = 97 <= (byte | 32) <= 122
    digit_to_semicolon = 48 <= byte <= 59  # 0-9 : ;
    return letter or digit_to_semicolon or byte in (95, 46, 44, 61, 43, 37, 91, 93, 40, 41, 32, 45)


@routine
def refuse_account_nb(wire: Any, account_id: int, length: int) -> None:
    """Refuse with NOT_FOUND, naming the account that was asked for."""
    message = address_of(wire) + _MESSAGE_OFFSET
    head = i64(_NOT_FOUND_ACCOUNT.shape[0])
    copy_bytes(message, _NOT_FOUND_ACCOUNT.ctypes.data, head)
    end = message + head
    for position in range(length):
        byte = load_byte(account_id + position)
        if byte & 0xC0 == 0x80:
            continue  # one question mark for a character, not for each of its bytes
        store_byte(end, byte if _is_public_nb(byte) else i64(63))
        end += 1
    path = address_of(wire) + _PATH_OFFSET
    _close_nb(wire, i64(NOT_FOUND), end, path)
