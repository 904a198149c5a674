"""The journal of calls that Python answers, by the same compiled steps as in the lane."""

import ctypes
from typing import Any

import numpy as np

from server.engine import Engine
from server.errors import BrokenInvariantError
from server.hotpath.journal.journal_record import MODE_OFF
from server.hotpath.journal.segment_room import is_fenced_nb
from server.hotpath.journal.syncing import sync_nb
from server.hotpath.wire.grant_record import IDENTITY_AT
from server.hotpath.wire.grants import (
    begin_grant_nb,
    charge_items_nb,
    copy_caller_nb,
    identity_bytes_nb,
    is_limited_nb,
    may_see_nb,
    may_use_nb,
)
from server.hotpath.wire.journaling import begin_call_nb, end_call_nb
from server.hotpath.wire.memory import new_wire
from server.hotpath.wire.readings import note_decision_nb


class CallJournal:
    """Keeps the calls of one port; only the owner of the engine uses it.

    Between `begin` and `end` the call is judged without a pause.

    Args:
        engine: Whose journal it is.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wire = new_wire(engine.state.answers, request_bytes_max=1 << 30)
        self._record = self._wire.record[0]
        self._is_begun = False

    def begin(self, kind: int, request: bytes, grant: int = 0, method: int = 0) -> None:
        """Make room for a call of KIND_*.

        Args:
            kind: KIND_*.
            request: Its bytes.
            grant: Address of the GRANT of its caller; 0: a replay, in which nothing is denied.
            method: METHOD_* of the lane.
        """
        self._is_begun = True
        begin_call_nb(self._record, self._engine.journal[0], kind, _place_of(request), len(request))
        begin_grant_nb(self._record, grant, method)

    @property
    def is_limited(self) -> bool:
        """Whether the caller may use only some accounts or providers."""
        return bool(is_limited_nb(self._record))

    def write_caller(self, identity: int) -> None:
        """Write who calls to an address with room for an id, as decisions need it."""
        copy_caller_nb(self._record, identity)

    def may_use(self, account: int, provider: int = 0) -> bool:
        """Tell whether the caller may use an account and a provider; a denial is counted.

        Args:
            account: Address of the zero padded id.
            provider: The same; 0: none is named.
        """
        return bool(may_use_nb(self._record, account, provider))

    def may_use_alone(self, grant: int, account: int, method: int = 0) -> bool:
        """Do the same outside of a call that is journaled."""
        begin_grant_nb(self._record, grant, method)
        return self.may_use(account)

    def may_see(self, grant: int, account: int) -> bool:
        """Do the same and count nothing."""
        begin_grant_nb(self._record, grant, 0)
        return bool(may_see_nb(self._record, account))

    def caller_of(self, grant: int) -> str:
        """Return the identity of a caller; empty: nothing is known."""
        begin_grant_nb(self._record, grant, 0)
        length = int(self._record["caller_bytes"])
        return ctypes.string_at(int(self._record["caller"]), length).decode() if length else ""

    def settle(self) -> bool:
        """Bring all entries to where they were promised to be; tell whether answers may leave."""
        journal = self._engine.journal[0]
        return bool(sync_nb(journal)) and not is_fenced_nb(journal)

    def charge(self, items: int) -> None:
        """Let a batch pay for its items."""
        self._record["items"] = items
        charge_items_nb(self._record)

    def find_bar(self, *, is_exit: bool) -> int | None:
        """Return the reason (R_*) for which nothing may be decided in this call; None: it may."""
        barred = int(self._record["barred"])
        if not barred or (is_exit and self._record["exits_only"]):
            return None
        return barred - 1

    def note_decision(self, received_ns: int, decided_ns: int) -> None:
        """Note the decision that the engine has just made."""
        if not self._is_begun:
            if self._engine.journal[0]["mode"] != MODE_OFF:
                raise BrokenInvariantError("a decision was made before its call had begun")
            return
        state = self._engine.state
        note_decision_nb(state.memory[0], self._record, state.decision[0], received_ns, decided_ns)

    def note_applied(self) -> None:
        """Note that a report or a broker's view was applied."""
        self._record["applied"] = 1

    def end(self, kind: int, received_ns: int, request: bytes, answer: bytes) -> bool:
        """Keep the call; tell whether its answer may leave."""
        self._is_begun = False
        engine, journal = self._engine, self._engine.journal[0]
        newest = int(journal["entry_number"])
        end_call_nb(
            engine.state.memory[0],
            self._record,
            journal,
            kind,
            received_ns,
            *(_place_of(request), len(request)),
            *(_place_of(answer), len(answer)),
            *self._identity(),
        )
        if journal["entry_number"] == newest:
            return True  # it has changed nothing
        return self.settle()

    def _identity(self) -> tuple[int, int]:
        """Return address and length of the identity that the call is journaled under."""
        holder = int(self._record["holder"])
        return holder + IDENTITY_AT, identity_bytes_nb(holder)


def _place_of(data: bytes) -> Any:
    # The caller keeps the bytes alive.
    return np.frombuffer(data or b"\0", np.uint8).ctypes.data
