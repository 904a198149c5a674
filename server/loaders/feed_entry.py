"""One entry of the shared state, checked before the engine may see it.

Redis is outside: whatever it holds may be damaged, of another release, or not ours at all. What is
not exactly a change of a kind that the record publishes, with whole rows of this layout, is
dropped.
"""

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from riskgate.v1 import identity_pb2, state_pb2
from server.hotpath.layout import CHANGE_ROWS, LAYOUT_VERSION

KEY_BYTES_MAX: Final = 160
ROWS_BYTES_MAX: Final = 65_536
_VERSION_MAX: Final = 2**63 - 1

# Clock readings, windows and sessions are the engine's own; from outside they would be forged.
_FOREIGN_KINDS: Final = frozenset(
    {
        state_pb2.CHANGE_KIND_WINDOW,
        state_pb2.CHANGE_KIND_CLOCK,
        state_pb2.CHANGE_KIND_SESSION,
    }
)
_IDENTITY: Final = state_pb2.CHANGE_KIND_IDENTITY
_PUBLISHED_KINDS: Final = (frozenset(CHANGE_ROWS) | {_IDENTITY}) - _FOREIGN_KINDS
_MANY_ROWS_KIND: Final = state_pb2.CHANGE_KIND_RISK_CONFIGURATION


class Entry(NamedTuple):
    """A change that may go on: the very bytes, and what they say."""

    change: bytes
    message: state_pb2.StateChange


class MalformedEntryError(ValueError):
    """An entry is not a change of this layout; the text says what is wrong."""


def read_entry(change: bytes) -> Entry:
    """Check the bytes of one change.

    Raises:
        MalformedEntryError: It must not reach the engine.
    """
    try:
        message = state_pb2.StateChange.FromString(change)
    except DecodeError as error:
        raise MalformedEntryError("not a change") from error
    if message.layout_version != LAYOUT_VERSION:
        raise MalformedEntryError(f"layout version {message.layout_version}")
    if message.kind not in _PUBLISHED_KINDS:
        raise MalformedEntryError(f"kind {message.kind}")
    if message.version > _VERSION_MAX or len(message.key.encode()) > KEY_BYTES_MAX:
        raise MalformedEntryError("version or key out of range")
    if message.kind == _IDENTITY:
        _check_identity(message)
        return Entry(change, message)
    count, rest = divmod(len(message.rows), CHANGE_ROWS[message.kind].itemsize)
    if rest or len(message.rows) > ROWS_BYTES_MAX:
        raise MalformedEntryError(f"{len(message.rows)} bytes of rows of kind {message.kind}")
    if count > 1 and message.kind != _MANY_ROWS_KIND:
        raise MalformedEntryError(f"{count} rows of kind {message.kind}")
    return Entry(change, message)


def _check_identity(message: state_pb2.StateChange) -> None:
    # Its rows are a message and no rows of the layout.
    try:
        identity = identity_pb2.Identity.FromString(message.rows)
    except DecodeError as error:
        raise MalformedEntryError("not an identity") from error
    if len(message.rows) > ROWS_BYTES_MAX or (message.rows and identity.uri != message.key):
        raise MalformedEntryError("an identity of another key, or too large")


def read_number(text: bytes | None) -> int | None:
    """Return a whole number written in ASCII, None for anything else."""
    if text is None or not text.isdigit() or len(text) > 19:  # noqa: PLR2004 - digits of int64
        return None
    number = int(text)
    return number if number <= _VERSION_MAX else None
