"""Keeps the replaced values in force while the changes of a journal are applied to an engine."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from server.engine import Engine
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    CLOCK,
    IDENTITY,
    MODEL,
    PROVIDER,
    RISK_CONFIGURATION,
)
from server.hotpath.layout import CHANGE_CLOCK, CHANGE_ROWS, ID_WORDS
from server.hotpath.model_tables import MODEL_SLOTS
from server.hotpath.table import Table, find_nb
from server.journal.reader import Change
from server.replays.replayer import Loadable, load_slot
from server.replays.what_if import Identity, Replacement, Rows, identity_of

# Columns that are measured: kind → columns, table, words of its key.
_MEASURED: Final[dict[int, tuple[tuple[str, ...], str, int]]] = {
    ACCOUNT: (("equity_micros", "equity_at_ns"), "accounts", ID_WORDS),
    PROVIDER: (("calculated_at_ns",), "providers", ID_WORDS + 1),
}
_NO_ROWS: Final = np.zeros(1, CHANGE_CLOCK)


class Substitution:
    """Applies the changes of a journal, with some rows in the place of others.

    Args:
        replacements: What counts instead.
        find_model: Returns the verified model of a digest.
    """

    def __init__(
        self, replacements: Sequence[Replacement], find_model: Callable[[bytes], Loadable]
    ) -> None:
        self._by_identity = {each.identity: each for each in replacements}
        self._waiting = dict(self._by_identity)
        self._breaker_ids: dict[bytes, Identity] = {}
        self._find_model = find_model

    @property
    def unused(self) -> list[str]:
        """Names of what never came into force."""
        return [each.name for each in self._waiting.values()]

    def apply_waiting(self, engine: Engine) -> None:
        """Put in force what can be by now: limits of an account need the account."""
        # No event of the journal: it takes no number.
        sequence = int(engine.state.engine[0]["sequence"])
        for identity, replacement in list(self._waiting.items()):
            if self._is_possible(engine, replacement):
                rows = self._with_measured(engine, replacement, None)
                self._apply(engine, replacement, rows, engine.state_version, engine.now_ns)
                del self._waiting[identity]
        engine.state.engine[0]["sequence"] = sequence

    def apply(self, engine: Engine, change: Change, reading_ns: int) -> None:
        """Apply a change of the journal, or what replaces it."""
        if change.kind == IDENTITY:
            # Who may call is no part of a decision; its version and its moment are.
            engine.apply_rows(CLOCK, change.version, _NO_ROWS, reading_ns=reading_ns)
            return
        rows = np.frombuffer(change.rows, CHANGE_ROWS[change.kind]).copy()
        replacement = self._by_identity.get(self._identify(change, rows))
        if replacement is not None:
            is_first = self._waiting.pop(replacement.identity, None) is not None
            if replacement.kind != MODEL or is_first:
                journaled = None if change.deleted else rows
                rows = self._with_measured(engine, replacement, journaled)
            else:
                rows["serial"] = 0  # not newer: nothing but the version counts
            self._apply(engine, replacement, rows, change.version, reading_ns)
        else:
            if change.kind == MODEL:
                self._load_journaled(engine, rows)
            engine.apply_rows(
                change.kind, change.version, rows, deleted=change.deleted, reading_ns=reading_ns
            )
        self.apply_waiting(engine)

    def _apply(
        self, engine: Engine, replacement: Replacement, rows: Rows, version: int, reading_ns: int
    ) -> None:
        row = engine.state.engine[0]
        if replacement.load is not None and rows["serial"][0]:
            slot = (int(row["model_slot"]) + 1) % MODEL_SLOTS
            replacement.load(engine.state.models, slot)
            rows["slot"], rows["serial"] = slot, int(row["model_serial"]) + 1
        engine.apply_rows(replacement.kind, version, rows, reading_ns=reading_ns)

    def _identify(self, change: Change, rows: Rows) -> Identity:
        if change.kind != BREAKER:
            return identity_of(change.kind, rows)
        key = rows["breaker_id"].tobytes()
        if not change.deleted:
            self._breaker_ids[key] = identity_of(BREAKER, rows)
        return self._breaker_ids.get(key, (BREAKER, ()))

    def _is_possible(self, engine: Engine, replacement: Replacement) -> bool:
        if engine.now_ns == 0:
            return False  # nothing has happened yet: what is put now would seem very old
        if replacement.kind not in (ACCOUNT, RISK_CONFIGURATION, BREAKER):
            return True
        key = replacement.rows["account_id"][0]
        row = _find(engine.state.accounts, key, ID_WORDS)
        return bool(row and engine.state.accounts.rows[row]["alive"])

    def _with_measured(
        self, engine: Engine, replacement: Replacement, journaled: Rows | None
    ) -> Rows:
        """Return the rows with what was measured taken from the journal or, failing that, kept."""
        rows = replacement.rows.copy()
        if replacement.kind == BREAKER:
            self._reuse_breaker(engine, replacement, rows)
        if replacement.kind not in _MEASURED:
            return rows
        columns, name, width = _MEASURED[replacement.kind]
        table: Table = getattr(engine.state, name)
        stored = _find(table, rows.view(np.int64)[:width], width)
        for column in columns:
            if journaled is not None:
                rows[column] = journaled[column]
            elif stored:
                rows[column] = table.rows[stored][column]
            else:
                rows[column] = engine.now_ns
        return rows

    def _reuse_breaker(self, engine: Engine, replacement: Replacement, rows: Rows) -> None:
        """Let the replaced breaker be the one that the engine knows by that name, if it does."""
        known = engine.state.breakers.rows[1:]
        same = (known["account_id"] == rows["account_id"]).all(axis=1)
        same &= (known["name"] == rows["name"]).all(axis=1)
        places = np.flatnonzero(same)
        if len(places):
            rows["breaker_id"] = known["breaker_id"][places[-1]]
        self._breaker_ids[rows["breaker_id"].tobytes()] = replacement.identity

    def _load_journaled(self, engine: Engine, rows: Any) -> None:
        row, digest = rows[0], rows[0]["digest"].tobytes()
        if row["serial"] > engine.state.engine[0]["model_serial"] and any(digest):
            load_slot(engine, int(row["slot"]), digest, self._find_model)


def _find(table: Table, key: Any, width: int) -> int:
    return int(find_nb(table.record[0], np.ascontiguousarray(key), width))
