"""Which entries change what rows need besides their entry: instruments, and algorithms of models.

Both are read from the record, where a change is committed before it reaches an engine.
"""

from typing import Final

from riskgate.v1 import state_pb2
from server.hotpath.journal.entries import KIND_CHANGE
from server.journal.reader import Entry, read_change

_KINDS: Final = frozenset({state_pb2.CHANGE_KIND_INSTRUMENT, state_pb2.CHANGE_KIND_MODEL})


def is_reference_change(entry: Entry) -> bool:
    """Tell whether an entry changes an instrument or a model."""
    return entry.kind == KIND_CHANGE and read_change(entry).kind in _KINDS
