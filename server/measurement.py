"""One measured value on its way to the engines."""

from dataclasses import dataclass

from riskgate.v1 import state_pb2
from server import feed
from server.changes import state_change


@dataclass(frozen=True, slots=True)
class Measurement:
    """The newest of its key wins."""

    kind: state_pb2.ChangeKind
    key: str
    rows: bytes
    at_ns: int

    @property
    def field(self) -> str:
        """Field of the state hash."""
        return feed.state_field(self.kind, self.key)

    @property
    def stamp(self) -> str:
        """Time as text that sorts like the time."""
        return f"{self.at_ns:020d}"

    def change(self) -> bytes:
        """Return the serialised StateChange."""
        return state_change(self.kind, self.key, self.rows).SerializeToString()
