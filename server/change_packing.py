"""StateChange bytes to a frame for the ring: the last place where a change can be refused.

Behind the ring nothing checks any more, so whatever compiled code will take at its word is judged
here: the kind, the layout, whole rows, and every number that becomes an index or a count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError

from riskgate.v1 import identity_pb2, state_pb2
from server.change_numbers import MalformedChangeError, check_numbers
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    CONVERSION_RATE,
    IDENTITY,
    INSTRUMENT,
    MODEL,
    NO_CHANGE,
    PROVIDER,
    RISK_CONFIGURATION,
)
from server.hotpath.layout import (
    CHANGE_ROWS,
    ID_WORDS,
    LAYOUT_VERSION,
    SYMBOL_WORDS,
    currency_word,
    words,
)
from server.hotpath.model_tables import MODEL_SLOTS, NO_MODEL_SLOT
from server.hotpath.ring_frame import FRAME, FRAME_BYTES

__all__ = ["MalformedChangeError", "key_row", "pack_change", "pack_refused"]

Rows = np.ndarray[Any, np.dtype[Any]]

_VERSION_MAX: Final = 2**63 - 1
_PROVIDER_TYPES: Final = {"channel_source": 1, "user": 2}


def pack_change(change: bytes, slot: int, *, is_partial: bool = False) -> bytes:
    """Check a change and return its frame.

    Args:
        change: bytes of a riskgate.v1.StateChange.
        slot: model slot that was filled for a MODEL change, else NO_MODEL_SLOT.
        is_partial: it comes with others that may be older, so it does not yet number the state.

    Raises:
        MalformedChangeError: it is not a change that this engine can apply.
    """
    try:
        message = state_pb2.StateChange.FromString(change)
    except DecodeError as error:
        raise MalformedChangeError("not a StateChange") from error
    if message.layout_version != LAYOUT_VERSION:
        raise MalformedChangeError(f"layout version {message.layout_version}")
    if message.version > _VERSION_MAX:
        raise MalformedChangeError(f"version {message.version} is out of range")
    if message.kind == IDENTITY:
        _check_identity(message)
        return _join(message, b"", 0, NO_MODEL_SLOT, change, is_partial=is_partial)
    if message.kind not in CHANGE_ROWS:
        raise MalformedChangeError(f"kind {message.kind} is unknown")
    if message.rows:
        rows = message.rows
        _check_rows(message.kind, rows)
    else:
        rows = key_row(message.kind, message.key).tobytes()
    if message.kind == MODEL:
        rows = _write_slot(rows, slot)
    row_count = len(rows) // CHANGE_ROWS[message.kind].itemsize
    return _join(message, rows, row_count, slot, change, is_partial=is_partial)


def _join(
    message: state_pb2.StateChange,
    rows: bytes,
    row_count: int,
    slot: int,
    change: bytes,
    *,
    is_partial: bool,
) -> bytes:
    padding = bytes(-len(change) % 8)
    header = np.zeros(1, FRAME)
    # All columns of FRAME in their order: one by one they cost a third of the whole.
    header[0] = (
        FRAME_BYTES + len(rows) + len(change) + len(padding),
        message.kind,
        0 if is_partial else message.version,
        not message.rows,
        slot,
        row_count,
        len(rows),
        len(change),
    )
    return b"".join((header.tobytes(), rows, change, padding))


def pack_refused() -> bytes:
    """Return the frame that holds the place of a refused change."""
    header = np.zeros(1, FRAME)
    header["frame_bytes"] = FRAME_BYTES
    header["kind"] = NO_CHANGE
    return header.tobytes()


def _check_identity(message: state_pb2.StateChange) -> None:
    # The engine keeps its place and does nothing; the decision port has read it before.
    try:
        identity = identity_pb2.Identity.FromString(message.rows)
    except DecodeError as error:
        raise MalformedChangeError("its rows are no Identity") from error
    if message.rows and identity.uri != message.key:
        raise MalformedChangeError("the identity is that of another key")


def _check_rows(kind: int, rows: bytes) -> None:
    dtype = CHANGE_ROWS[kind]
    if len(rows) % dtype.itemsize:
        raise MalformedChangeError(f"{len(rows)} bytes are no whole rows of kind {kind}")
    check_numbers(kind, np.frombuffer(rows, dtype))


def _write_slot(rows: bytes, slot: int) -> bytes:
    if not NO_MODEL_SLOT <= slot < MODEL_SLOTS:
        raise MalformedChangeError(f"model slot {slot} does not exist")
    written = np.frombuffer(rows, CHANGE_ROWS[MODEL]).copy()
    written["slot"] = slot
    return written.tobytes()


def key_row(kind: int, key: str) -> Rows:
    """Return a row of a kind with only its key columns filled from the key text.

    Raises:
        MalformedChangeError: the key has no such form, or nothing of that kind can be deleted.
    """
    row = np.zeros(1, CHANGE_ROWS[kind])
    try:
        _WRITE_KEY[kind](row, key)
    except (KeyError, ValueError) as error:
        raise MalformedChangeError(f"nothing of kind {kind} has the key {key!r}") from error
    return row


def _write_provider_key(row: Rows, key: str) -> None:
    kind, _, provider_id = key.partition(":")
    row["provider_type"] = _PROVIDER_TYPES[kind]
    row["provider_id"][0] = words(provider_id)


def _write_rate_key(row: Rows, key: str) -> None:
    source, _, target = key.partition("/")
    row["from_currency"] = currency_word(source)
    row["to_currency"] = currency_word(target)


def _write_words(column: str, count: int) -> Callable[[Rows, str], None]:
    def write(row: Rows, key: str) -> None:
        row[column][0] = words(key, count)

    return write


_WRITE_KEY: Final[dict[int, Callable[[Rows, str], None]]] = {
    INSTRUMENT: _write_words("symbol", SYMBOL_WORDS),
    ACCOUNT: _write_words("account_id", ID_WORDS),
    RISK_CONFIGURATION: _write_words("account_id", ID_WORDS),
    PROVIDER: _write_provider_key,
    CONVERSION_RATE: _write_rate_key,
    BREAKER: _write_words("breaker_id", ID_WORDS),
}
