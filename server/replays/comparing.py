"""Replays a stretch of a journal and says what did not come out as it was."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from server.commands.entry_view import CALL_MESSAGES
from server.commands.message_view import view_message
from server.hotpath.journal.entries import KIND_NAMES
from server.journal.reader import read_call, read_entries
from server.replays.differing import FieldDifference, list_differences, list_state_differences
from server.replays.replayer import NUMBER_MAX, Difference, Replayer, warm_replay
from server.replays.source import ReplaySource

# Small enough for a bar that moves, large enough not to be felt.
_STEP_ENTRIES: Final = 20_000


class Finding(NamedTuple):
    """One entry that did not come out as it was journaled.

    Attributes:
        number: Of the entry.
        sequence: Of the engine behind it.
        kind: Name of its kind.
        by_model: Whether the model's output differs, which is a finding of its own.
        model_was: q50 and q90 in pips that were journaled, of each decision; if `by_model`.
        fields: What of the answer differs; none when only model or sequence do.
    """

    number: int
    sequence: int
    kind: str
    by_model: bool
    model_was: list[tuple[float, float]]
    fields: list[FieldDifference]


class Comparison(NamedTuple):
    """What a replay came to.

    Attributes:
        first_number: First entry that was replayed.
        last_number: Last one.
        decisions: Made again.
        difference_count: Entries that came out otherwise.
        findings: The first of them.
        snapshots: Number of each snapshot that was compared, and in words what differs.
        elapsed_s: Of the replay alone.
    """

    first_number: int
    last_number: int
    decisions: int
    difference_count: int
    findings: list[Finding]
    snapshots: dict[int, list[str]]
    elapsed_s: float

    @property
    def is_same(self) -> bool:
        """Whether everything came out as it was."""
        return not self.difference_count and not any(self.snapshots.values())

    @property
    def decisions_per_second(self) -> float:
        """Speed of the replay."""
        return self.decisions / self.elapsed_s if self.elapsed_s else 0.0


class Stretch(NamedTuple):
    """Entries to be replayed.

    Attributes:
        first: From this one on differences are wanted; None: the oldest that is possible.
        last: Where to stop, included; None: at the end of the journal.
    """

    first: int | None = None
    last: int | None = None


def find_stretch(source: ReplaySource, first: int | None, last: int | None) -> Stretch:
    """Return the entries between two sequences of the engine, which are ids of decisions.

    Raises:
        NotFoundError: The journal ends before one of them.
    """
    return Stretch(
        None if first is None else source.find_entry(first).number,
        None if last is None else source.find_entry(last).number,
    )


def compare(
    source: ReplaySource,
    stretch: Stretch,
    *,
    snapshots: bool = False,
    findings_max: int = 20,
    advance: Callable[[Replayer], None] = lambda _: None,
) -> Comparison:
    """Replay a stretch, from the nearest snapshot before it, and compare every answer.

    Args:
        source: Of the entries.
        stretch: Which entries.
        snapshots: Whether to compare the state with each snapshot on the way.
        findings_max: How many differing entries to look into.
        advance: Called now and then.

    Raises:
        JournalError: The journal is damaged, or another release wrote it.
        RiskgateError: A model of the journal cannot be loaded.
    """
    replayer = source.begin_before(stretch.first or 1)
    first_number, last = replayer.next_number, stretch.last or NUMBER_MAX
    marks = dict(source.list_snapshots(first_number, last)) if snapshots else {}
    by_number = {meta.entry_number: path for path, meta in marks.items()}
    compared: dict[int, list[str]] = {}
    warm_replay(replayer.engine)
    elapsed_s = 0.0
    for target in _targets(replayer, last, sorted(by_number)):
        started_s = time.perf_counter()
        replayer.advance(target)
        elapsed_s += time.perf_counter() - started_s
        advance(replayer)
        reached = replayer.next_number - 1
        if reached in by_number:
            differing = list_state_differences(by_number[reached], replayer.engine.state)
            compared[reached] = list(differing)
    findings = [_look_into(source, each) for each in replayer.differences[:findings_max]]
    result = Comparison(
        first_number,
        replayer.next_number - 1,
        replayer.decisions,
        replayer.difference_count,
        findings,
        compared,
        elapsed_s,
    )
    replayer.close()
    return result


def _targets(replayer: Replayer, last: int, stops: list[int]) -> Iterator[int]:
    """Yield where to replay to next, until the end is reached."""
    while (number := replayer.next_number) <= last:
        stop = next((each for each in stops if each >= number), last)
        yield min(number + _STEP_ENTRIES - 1, stop, last)
        if replayer.next_number == number:
            return


def _look_into(source: ReplaySource, difference: Difference) -> Finding:
    fields = []
    kind = KIND_NAMES.index(difference.kind)
    if difference.was != difference.now and kind in CALL_MESSAGES:
        fields = list(
            list_differences(_view(kind, difference.was), _view(kind, difference.now))
        ) or [FieldDifference("(bytes)", difference.was.hex(), difference.now.hex())]
    model_was = []
    if difference.by_model:
        for entry in read_entries(source.journal, difference.number, difference.number):
            readings: Any = read_call(entry).readings
            model_was = [(float(row["q50_pips"]), float(row["q90_pips"])) for row in readings]
    return Finding(
        difference.number,
        difference.sequence,
        difference.kind,
        difference.by_model,
        model_was,
        fields,
    )


def _view(kind: int, answer: bytes) -> Any:
    if not answer:
        return {"refused": True}
    try:
        return view_message(CALL_MESSAGES[kind][1].FromString(answer))
    except DecodeError:
        return {"bytes": answer.hex()}
