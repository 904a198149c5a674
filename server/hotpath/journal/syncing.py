"""Entries on their way to the disk: one sync for all calls that were ready in a turn."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import address_of
from server.hotpath.jit import i64, routine
from server.hotpath.journal.journal_record import JOURNAL, MODE_DISK
from server.hotpath.libc import errno_nb, fdatasync, monotonic_ns_nb

_TIMESPEC_AT: Final[int] = JOURNAL.fields["timespec"][1]  # type: ignore[index]


@routine
def sync_nb(journal: Any) -> bool:
    """Bring everything written to the disk if that was promised; tell whether it is there.

    A sync that fails is never tried again: what it lost is not in the file, whatever the next one
    says.
    """
    if journal.failed != 0:
        return False
    if journal.mode != MODE_DISK or journal.synced_number == journal.entry_number:
        return True
    timespec = address_of(journal) + _TIMESPEC_AT
    began_ns = monotonic_ns_nb(timespec)
    if fdatasync(journal.segment_fd) != 0:
        journal.failed = max(errno_nb(), i64(1))
        return False
    journal.sync_ns += monotonic_ns_nb(timespec) - began_ns
    journal.syncs += 1
    journal.synced_number = journal.entry_number
    return True
