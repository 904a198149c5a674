"""Several engines on one machine: which of them an account belongs to, and what is whose on disk.

An account belongs to engine crc32c(account_id as UTF-8) mod N; callers work it out by the same rule
(riskgate/shards.py). Each engine has its own epoch, journal and snapshots. All of them take the
whole state: changes that concern accounts of others cost memory and change no answer.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import google_crc32c

SHARDS_MAX: Final = 64
# What each engine has of its own in the data directory, see `Shard.folder`.
JOURNAL_FOLDER: Final = "journal"
SNAPSHOT_FOLDER: Final = "snapshots"
CHECKPOINT_FOLDER: Final = "checkpoints"


@dataclass(frozen=True, slots=True)
class Shard:
    """One engine of several.

    Attributes:
        index: Which one, 0 to count - 1.
        count: How many there are, 1 to 64.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the shard that `I/N` names, as in `0/2` for the first of two.

        Raises:
            ValueError: It is not of that form, or out of range.
        """
        index, separator, count = text.partition("/")
        if separator and index.isdecimal() and count.isdecimal() and text.isascii():
            shard = cls(int(index), int(count))
            if shard.index < shard.count <= SHARDS_MAX:
                return shard
        raise ValueError(f"must be I/N with I from 0 to N - 1 and N at most {SHARDS_MAX}, as 0/2")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, account_id: str) -> bool:
        """Tell whether the account is decided here; nobody's (empty) is refused anywhere."""
        if self.count == 1 or not account_id:
            return True
        checksum: int = google_crc32c.value(account_id.encode())
        return checksum % self.count == self.index

    def folder(self, data_dir: Path, name: str) -> Path:
        """Return this engine's own part of the data directory: epoch, journal or snapshots."""
        suffix = "" if self.count == 1 else f"-{self.index}of{self.count}"
        return data_dir / f"{name}{suffix}"

    def name(self, command: str) -> str:
        """Return the name of this shard's process: the command, or of several `engine-0`."""
        return command if self.count == 1 else f"{command}-{self.index}"

    def finds_another_split(self, data_dir: Path, name: str) -> bool:
        """Tell whether engines in another number have left this part in the data directory."""
        own = {Shard(index, self.count).folder(data_dir, name) for index in range(self.count)}
        return any(
            path not in own
            for path in [data_dir / name, *data_dir.glob(f"{name}-*of*")]
            if path.exists()
        )


# The one engine of a stack that is not split.
WHOLE: Final = Shard(0, 1)


def all_shards(count: int) -> list[Shard]:
    """Return every shard of a stack."""
    return [Shard(index, count) for index in range(count)]
