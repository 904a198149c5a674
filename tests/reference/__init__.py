"""The slow, obvious twin of the engine, in plain Python ints.

Written from `docs/decision.md`; kernels and twin must agree bit for bit. Dtypes and constants are
shared. It is not wholly independent: where the page was silent (its section 11) the twin follows
what the kernels do, and some rules were settled in both at once, so agreement there proves less.
"""

from typing import Any

import numpy as np

from server.hotpath.memory import Capacity
from tests.reference.books import Account, Books
from tests.reference.changes import Changes
from tests.reference.decisions import Decisions
from tests.reference.reports import Reports
from tests.reference.rows import read_change
from tests.reference.sizing import Model

__all__ = ["Model", "Reference"]

Array = np.ndarray[Any, np.dtype[Any]]


class Reference:
    """One engine, slowly.

    Attributes:
        books: All that it remembers.
        models: By slot, what a MODEL change can make active.
    """

    def __init__(
        self,
        capacity: Capacity,
        *,
        epoch: int = 1,
        started_at_ns: int = 0,
        restarted: bool = False,
        idempotency_min_age_ns: int = 600_000_000_000,
    ) -> None:
        self.books = Books(
            capacity,
            epoch=epoch,
            started_at_ns=started_at_ns,
            restarted=restarted,
            idempotency_min_age_ns=idempotency_min_age_ns,
        )
        self.models: dict[int, Model] = {}
        self._changes = Changes(self.books)
        self._decisions = Decisions(self.books, self.models)
        self._reports = Reports(self.books)

    def apply(
        self, kind: int, version: int, rows: Array, *, deleted: bool, reading_ns: int
    ) -> None:
        """Take in one change; `rows` have the dtype that `CHANGE_ROWS` names for its kind."""
        self.books.take_reading(reading_ns)
        read = read_change[kind]
        self._changes.apply(kind, version, [read(row) for row in rows], deleted=deleted)

    def decide(self, request: Any, reading_ns: int) -> tuple[int, dict[str, Any]]:
        """Judge one REQUEST row and return (result, answer by column of DECISION)."""
        self.books.take_reading(reading_ns)
        return self._decisions.decide(request)

    def report(self, report: Any, reading_ns: int) -> dict[str, Any]:
        """Take in one REPORT row and return the columns of REPORT_RESULT."""
        self.books.take_reading(reading_ns)
        return self._reports.report(report)

    def account(self, account_id: str) -> Account:
        """Return all that is known about an account."""
        return self.books.accounts[account_id.encode().ljust(64, b"\0")]
