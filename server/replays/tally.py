"""What a simulation adds up: flips, lots, binding limits, and what it would have gained or lost."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

FLIPS_MAX: Final = 1_000
REFUSED: Final = "REFUSED"


class Verdict(NamedTuple):
    """What became of one request.

    Attributes:
        verdict: ALLOW, REDUCE, DENY, or REFUSED for a request that got no decision.
        lots: 0 unless it may go.
        binding: Name of the limit that binds; empty: none.
    """

    verdict: str
    lots: float
    binding: str

    @property
    def goes(self) -> bool:
        """Whether the order may go."""
        return self.lots > 0.0


class Pair(NamedTuple):
    """One decision, as it was and as it is simulated."""

    decision_id: int
    account: str
    symbol: str
    provider: str
    is_counted: bool
    was: Verdict
    now: Verdict


@dataclass(slots=True)
class Lots:
    """Sums of orders of one account, symbol or provider; of new risk that was no dry run."""

    decisions: int = 0
    was: float = 0.0
    now: float = 0.0

    @property
    def change_mean(self) -> float:
        """Mean change of one decision, lots."""
        return (self.now - self.was) / self.decisions if self.decisions else 0.0


@dataclass(slots=True)
class Gain:
    """Realised profit less commission in one currency.

    Attributes:
        was: Of reports of orders that the simulation has judged.
        now: The same with the simulated lots.
        reports: How many those are.
        other: Of reports that belong to no decision of the stretch; neither scaled nor counted.
        other_reports: How many those are.
    """

    was: float = 0.0
    now: float = 0.0
    reports: int = 0
    other: float = 0.0
    other_reports: int = 0


@dataclass(slots=True)
class Tally:
    """Everything that is counted.

    Attributes:
        decisions: That the journal has in the stretch.
        same: With the same verdict and lots.
        resized: With the same verdict and other lots.
        flips: Verdict before and now → decisions.
        first_flips: The first thousand.
        bindings: Binding limit before and now → decisions, where it is another.
        lots: "account", "symbol", "provider" → name → sums; "all" → "" → sums.
        gains: Currency → sums.
        without_outcome: Orders that go only in the simulation: nobody knows what they would bring.
    """

    decisions: int = 0
    same: int = 0
    resized: int = 0
    without_outcome: int = 0
    flips: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_flips: list[Pair] = field(default_factory=list)
    bindings: Counter[tuple[str, str]] = field(default_factory=Counter)
    lots: dict[str, dict[str, Lots]] = field(default_factory=lambda: defaultdict(dict))
    gains: dict[str, Gain] = field(default_factory=lambda: defaultdict(Gain))

    def add(self, pair: Pair) -> None:
        """Count one decision."""
        was, now = pair.was, pair.now
        self.decisions += 1
        if was.verdict != now.verdict:
            self.flips[was.verdict, now.verdict] += 1
            if len(self.first_flips) < FLIPS_MAX:
                self.first_flips.append(pair)
        elif was.lots == now.lots:
            self.same += 1
        else:
            self.resized += 1
        if was.binding != now.binding:
            self.bindings[was.binding, now.binding] += 1
        if not pair.is_counted:
            return
        if now.goes and not was.goes:
            self.without_outcome += 1
        for group, name in (
            ("all", ""),
            ("account", pair.account),
            ("symbol", pair.symbol),
            ("provider", pair.provider),
        ):
            sums = self.lots[group].setdefault(name, Lots())
            sums.decisions += 1
            sums.was += was.lots
            sums.now += now.lots
