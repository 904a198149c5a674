"""The same engine with another capacity, as when the settings have changed between two starts."""

import tempfile
from pathlib import Path

from server.engine import Engine
from server.hotpath.memory import Capacity
from server.snapshots import describe_state, load_snapshot, save_snapshot


def resize(engine: Engine, capacity: Capacity) -> Engine:
    """Return an engine with the same state and another capacity.

    Raises:
        SnapshotError: More rows are in use than there would be.
    """
    grown = Engine(capacity)
    with tempfile.TemporaryDirectory(prefix="riskgate-") as folder:
        meta = describe_state(engine.state, entry_number=0, made_at_ns=0, start={})
        load_snapshot(save_snapshot(Path(folder), engine.state, meta), grown.state)
    for name, part in engine.state.models._asdict().items():
        getattr(grown.state.models, name)[...] = part
    return grown
