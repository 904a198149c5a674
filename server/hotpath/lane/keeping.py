"""The lane's side of the journal: whose call it was, and no answer before its entry is safe."""

from __future__ import annotations

from typing import Any

from server.hotpath.jit import routine
from server.hotpath.journal.journal_record import journal_at
from server.hotpath.journal.segment_room import is_fenced_nb
from server.hotpath.journal.syncing import sync_nb
from server.hotpath.lane.connection import close_connection_nb
from server.hotpath.lane.structs import connection_at
from server.hotpath.wire.grant_record import IDENTITY_AT
from server.hotpath.wire.grants import identity_bytes_nb
from server.hotpath.wire.journaling import end_call_nb


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
    # The wire knows whose call it is; the connection of an errand may be gone by now.
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
        wire.holder + IDENTITY_AT,
        identity_bytes_nb(wire.holder),
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
