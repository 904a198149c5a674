"""What the writing services share: the parts they work with, and the outcome of a write."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from riskgate.v1 import admin_pb2
from server.publisher import Publisher
from server.record.admin_change import AdminChange, Note, admin_change
from server.record.pool import Database, Pool, connection

CREATED: Final = admin_pb2.CHANGE_OUTCOME_CREATED
UPDATED: Final = admin_pb2.CHANGE_OUTCOME_UPDATED
UNCHANGED: Final = admin_pb2.CHANGE_OUTCOME_UNCHANGED


@dataclass(frozen=True, slots=True)
class Parts:
    """Where services read and write, and whom they wake after a commit.

    Attributes:
        redis_url: Where engines say what they run; empty: nowhere.
    """

    pool: Pool
    publisher: Publisher
    redis_url: str = ""

    def change(self, note: Note) -> AbstractAsyncContextManager[AdminChange]:
        """Open an admin change; see `admin_change`."""
        return admin_change(self.pool, note)

    def reading(self) -> AbstractAsyncContextManager[Database]:
        """Borrow a connection to read; see `connection`."""
        return connection(self.pool)


def outcome_word(outcome: admin_pb2.ChangeOutcome) -> str:
    """Return the action of an audit row."""
    return "create" if outcome == CREATED else "update"
