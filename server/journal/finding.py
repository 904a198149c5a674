"""What a verification has found: the kind of tampering, and where the first of it stands."""

from typing import Final, NamedTuple

ALTERED: Final = "altered"  # one entry, or the header of a segment
REMOVED: Final = "removed"  # entries from the middle
INSERTED: Final = "inserted"
REORDERED: Final = "reordered"
CUT: Final = "cut"  # the end is gone
REWRITTEN: Final = "rewritten"  # nothing from here on is what was sealed
DAMAGED: Final = "damaged"  # checksums or numbers are wrong already
CHECKPOINT: Final = "checkpoint"  # the checkpoints themselves


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: One of the above. The place is certain, the kind is what explains it best.
        problem: For the operator.
        entry_number: First entry concerned, counted as when it was sealed; 0: none in particular.
        segment: Where that entry belongs; 0: none in particular.
        offset: Of that entry in the segment, bytes.
    """

    kind: str
    problem: str
    entry_number: int = 0
    segment: int = 0
    offset: int = 0

    def describe(self) -> str:
        """Return one line for the operator."""
        if not self.segment:
            return f"{self.kind}: {self.problem}"
        entry = f"entry {self.entry_number}, " if self.entry_number else ""
        return f"{self.kind}: {entry}segment {self.segment}, offset {self.offset}: {self.problem}"
