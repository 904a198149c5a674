"""The slow, obvious twin of the engine, in plain Python ints.

Written from `docs/decision.md`; kernels and twin must agree bit for bit. Dtypes and constants are
shared. It is not wholly independent: where the page was silent (its section 11) the twin follows
what the kernels do, and some rules were settled in both at once, so agreement there proves less.
"""

from typing import Any

import numpy as np

from server.hotpath.memory import Capacity
from tests.reference.books import Account, Books
from tests.reference.breakers import Breakers
from tests.reference.changes import Changes
from tests.reference.decisions import Decisions
from tests.reference.reports import Reports
from tests.reference.rows import read_change
from tests.reference.sizing import Model
from tests.reference.sync import Sync

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
        breakers = Breakers(self.books)
        self.books.refresh = breakers.refresh
        self.books.end_what_is_due = breakers.end_what_is_due
        self._changes = Changes(self.books)
        self._decisions = Decisions(self.books, self.models, breakers)
        self._reports = Reports(self.books, breakers)
        self._sync = Sync(self.books, self._reports)

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

    def take_back(self, decision_id: int) -> None:
        """Undo the hold of a decision, as a batch does that is denied as a whole."""
        self._decisions.take_back(decision_id)

    def sync(
        self,
        account_id: str,
        equity_micros: int | None,
        as_of_ns: int,
        positions: list[Any],
        orders: list[Any],
        reading_ns: int,
    ) -> None:
        """Replace an account's equity, positions and orders; see server/broker_view.py."""
        self.books.take_reading(reading_ns)
        account = self.account(account_id)
        self._sync.sync(account, equity_micros, as_of_ns, positions, orders)

    def account(self, account_id: str) -> Account:
        """Return all that is known about an account."""
        return self.books.accounts[account_id.encode().ljust(64, b"\0")]
