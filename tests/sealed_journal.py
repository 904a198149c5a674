"""A journal that is written and sealed, with its checkpoints in a file outside."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.journal.checkpoint import Checkpoint, open_checkpoint
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.finding import Finding
from server.journal.seals import Sealer
from server.journal.verification import Verified, verify_journal
from tests.journal_builder import JournalBuilder
from tests.journal_tampering import write_random

SEGMENT_BYTES = 1 << 14
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass
class Kept:
    """A journal with its checkpoints outside."""

    root: Path

    def __post_init__(self) -> None:
        self.journal = self.root / "journal"
        self.files = CheckpointFiles(self.root / "checkpoints")
        self.statements = self.root / "checkpoints" / "statements.jsonl"

    def builder(self, **options: Any) -> JournalBuilder:
        return JournalBuilder(self.journal, segment_bytes=SEGMENT_BYTES, **options)

    def sealer(self) -> Sealer:
        return Sealer(self.journal, KEY, self.files, None)

    def seal(self) -> int:
        sealer = self.sealer()
        sealer.seal()
        return sealer.sealed_number

    def verify(self) -> Verified:
        return verify_journal(self.journal, KEY.public_key(), self.files, None)

    def find(self) -> Finding:
        (finding,) = self.verify().findings
        return finding

    def checkpoints(self) -> list[Checkpoint]:
        return [open_checkpoint(raw, KEY.public_key()) for raw in self.files.read()]


def write_sealed(kept: Kept, rng: random.Random) -> int:
    """Write one to three epochs, sealing now and then; return the newest sealed entry."""
    number = 1
    for epoch in range(1, rng.randint(2, 4)):
        with kept.builder(epoch=epoch, number=number) as builder:
            for _ in range(rng.randint(1, 4)):
                write_random(builder, rng, rng.randint(1, 60))
                if rng.random() < 0.7:
                    kept.seal()
            number = builder.number
    return kept.seal()


def write_plain(kept: Kept, count: int = 200) -> int:
    with kept.builder() as builder:
        write_random(builder, random.Random(7), count)
    return kept.seal()
