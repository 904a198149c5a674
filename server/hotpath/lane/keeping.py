"""The lane's side of the journal: whose call it was, and no answer before its entry is safe."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of, copy_bytes, load_byte
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.journal.entries import KIND_SYNC
from server.hotpath.journal.journal_record import journal_at
from server.hotpath.journal.segment_room import is_fenced_nb
from server.hotpath.journal.syncing import sync_nb
from server.hotpath.lane.connection import close_connection_nb
from server.hotpath.lane.lane_record import LANE
from server.hotpath.lane.structs import CONNECTION, connection_at
from server.hotpath.layout import ID_BYTES_MAX
from server.hotpath.wire.journaling import end_call_nb

_ERRAND_IDENTITY_AT: Final[int] = LANE.fields["errand_identity"][1]  # type: ignore[index]
_IDENTITY_AT: Final[int] = CONNECTION.fields["identity"][1]  # type: ignore[index]


@kernel
def _identity_bytes_nb(identity: int) -> int:
    length = i64(0)
    while length < ID_BYTES_MAX and load_byte(identity + length) != 0:
        length += 1
    return length


@kernel
def note_errand_nb(lane: Any, call: Any) -> None:
    """Note whose call Python will answer."""
    source = address_of(connection_at(call.connection)) + _IDENTITY_AT
    copy_bytes(address_of(lane) + _ERRAND_IDENTITY_AT, source, i64(ID_BYTES_MAX))


@routine
def keep_call_nb(
    lane: Any,
    state: Any,
    wire: Any,
    call: Any,
    kind: int,
    request: int,
    request_bytes: int,
    answer: int,
    answer_bytes: int,
) -> None:
    """Journal a call that was judged; an answer of no length is one that was refused."""
    identity = address_of(connection_at(call.connection)) + _IDENTITY_AT
    if kind == KIND_SYNC:
        identity = address_of(lane) + _ERRAND_IDENTITY_AT
    end_call_nb(
        state,
        wire,
        journal_at(lane.journal),
        kind,
        call.received_ns,
        request,
        request_bytes,
        answer,
        answer_bytes,
        identity,
        _identity_bytes_nb(identity),
    )


@routine
def drop_unsafe_answers_nb(lane: Any) -> None:
    """Bring this turn's entries to where they were promised to be, or let no answer leave.

    Without that, and when another engine has taken over meanwhile, the connections that have
    something to send are closed: their callers know that nothing was decided for them.
    """
    journal = journal_at(lane.journal)
    if journal.entry_number == lane.kept_number:
        return
    lane.kept_number = journal.entry_number
    if sync_nb(journal) and not is_fenced_nb(journal):
        return
    address = lane.touched_first
    lane.touched_first = 0
    while address != 0:
        connection = connection_at(address)
        following = connection.next_touched
        connection.touched = 0
        close_connection_nb(lane, address)
        address = following
