"""How much disk the journal may take, and the only place where segments are deleted.

A segment goes when all its entries are recorded in PostgreSQL and covered by a snapshot, the oldest
first, and only to get below the mark at which the operator is warned.
"""

import logging
from itertools import pairwise
from pathlib import Path
from typing import Final

from server.errors import JournalFullError
from server.journal.segments import list_numbers, list_segments, segment_path, sync_folder

_LOG: Final = logging.getLogger(__name__)
_WARN_PERCENT: Final = 70


class JournalBudget:
    """The disk budget of one journal.

    Args:
        folder: Of the journal.
        budget_bytes: What all segments together may take.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget_bytes = budget_bytes
        self._is_short = False

    @property
    def budget_bytes(self) -> int:
        """What all segments together may take."""
        return self._budget_bytes

    @property
    def is_short(self) -> bool:
        """Whether 70 % were in use when `measure` looked last."""
        return self._is_short

    def measure(self) -> int:
        """Return the bytes in use, those of prepared segments included; warn once from 70 % on."""
        used_bytes = 0
        for number in list_numbers(self._folder):
            try:
                used_bytes += segment_path(self._folder, number).stat().st_size
            except FileNotFoundError:  # deleted just now
                continue
        was_short, self._is_short = self._is_short, self._exceeds_mark(used_bytes)
        if self._is_short and not was_short:
            _LOG.warning(
                "the journal takes %d of %d bytes: is the recorder running, are snapshots written?",
                *(used_bytes, self._budget_bytes),
            )
        return used_bytes

    def check_room(self, segment_bytes: int) -> None:
        """Make sure that one more segment fits.

        Raises:
            JournalFullError: It does not; release or enlarge the budget.
        """
        used_bytes = self.measure()
        if used_bytes + segment_bytes > self._budget_bytes:
            raise JournalFullError(
                f"the journal has no space left: {used_bytes} of {self._budget_bytes} bytes of "
                "journal_budget_bytes are in use and may not go yet: entries that are neither "
                "recorded nor in a snapshot"
            )

    def release(self, recorded_number: int, snapshotted_number: int) -> list[Path]:
        """Delete what is no longer needed, as far as the budget asks for it.

        Args:
            recorded_number: Newest entry in PostgreSQL.
            snapshotted_number: Newest entry that the newest valid snapshot covers.

        Returns:
            The files that are gone, oldest first.

        Raises:
            JournalCorruptError: A header is damaged; nothing is deleted then.
        """
        kept_from = min(recorded_number, snapshotted_number) + 1
        used_bytes = self.measure()
        if not self._is_short:
            return []
        segments = list_segments(self._folder)
        gone: list[Path] = []
        # The newest is never whole: the engine writes it.
        for segment, behind in pairwise(segments):
            if behind.first_entry > kept_from or not self._exceeds_mark(used_bytes):
                break
            used_bytes -= segment.path.stat().st_size
            segment.path.unlink()
            gone.append(segment.path)
        if gone:
            sync_folder(self._folder)
            _LOG.info("journal segments up to %s are recorded and gone", gone[-1].name)
            self.measure()
        return gone

    def _exceeds_mark(self, used_bytes: int) -> bool:
        return used_bytes * 100 >= self._budget_bytes * _WARN_PERCENT
