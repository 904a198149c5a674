"""`run/recorder.json`: how far the recorder is, for the doctor and for whoever waits.

Of several shards each has its own, as in `run/recorder-0.json`.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

PROGRESS_FOLDER: Final = "run"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one recorder is.

    Attributes:
        pid: Its process number.
        entry_number: Newest entry that is recorded.
        epoch: Of that entry.
        lag_ms: From that entry's clock reading to its commit.
        problem: Why it does not record, as when PostgreSQL is away; empty if all is well.
        written_at_ms: Unix milliseconds.
    """

    pid: int
    entry_number: int
    epoch: int
    lag_ms: int
    problem: str
    written_at_ms: int

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Return what a recorder last wrote; None if there is nothing readable."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Replace the file as a whole; a reader never sees half of it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(aside, flags, 0o600), "w", encoding="ascii") as file:
            json.dump(asdict(self), file)
        aside.replace(path)
