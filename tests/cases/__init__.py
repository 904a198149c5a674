"""A seeded random world of events for engine and twin: few things, so that their limits meet.

`World(seed).initial_changes()` and then `next_event()` without end. Values lie on boundaries much
more often than chance would put them there. Nothing here knows the rules; the one thing fed back
is the sequence number (`World.sequence`), so that reports can name decisions.
"""

from tests.cases.markets import MODELS
from tests.cases.world import Change, Decide, Event, Report, Sync, TakeBack, WholeEvent, World

__all__ = [
    "MODELS",
    "Change",
    "Decide",
    "Event",
    "Report",
    "Sync",
    "TakeBack",
    "WholeEvent",
    "World",
]
