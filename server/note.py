"""What comes with every change that people make: who asked for it, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Who asked for a change, and why."""

    actor: str = ""
    reason: str = ""
