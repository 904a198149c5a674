"""The recorder's side of the kill switch: what only an engine heard reaches the record.

The report is written in the transaction that moves the recorder's offset, so each comes exactly
once. Control merges it (`server/kill_merging.py`); the recorder needs no lock of control for it.
"""

from collections.abc import Iterable
from typing import Final

from riskgate.v1 import state_pb2
from server.record.archive import Database

_ADD: Final = "INSERT INTO riskgate.kill_report (change) VALUES (%s)"


def report_engine_kills(database: Database, changes: Iterable[state_pb2.StateChange]) -> None:
    """Hand kills of an engine's own to control, in the caller's transaction.

    Args:
        database: Open transaction of the recorder.
        changes: Those of the journal for which `is_engine_kill` is true, in its order.
    """
    for change in changes:
        database.execute(_ADD, [change.SerializeToString()])
