"""What the record wants one purpose to run, and what keeps this engine from it."""

import logging
import time
from collections import Counter

from server.errors import RiskgateError
from server.loaders.activation_change import Activation

log = logging.getLogger(__name__)


class Wanted:
    """The activation of one purpose that the feed has brought last; any thread.

    Args:
        purpose: "slippage" or "risk_policy".

    Attributes:
        activation: None as long as there was none.
        problem: Why it was refused; None: it was not, or not yet.
        since_s: When it came, on the monotonic clock.
        accepted: Activations whose proof was good.
        refusals: Those that were refused, by the name of the error.
    """

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        self.activation: Activation | None = None
        self.problem: RiskgateError | None = None
        self.since_s = time.monotonic()
        self.accepted = 0
        self.refusals: Counter[str] = Counter()

    def note(self, activation: Activation) -> None:
        """Take in what the feed says now."""
        newest = self.activation
        if newest is None or (newest.serial, newest.rows) != (activation.serial, activation.rows):
            self.since_s = time.monotonic()
            self.problem = None
        self.activation = activation

    def accept(self, activation: Activation) -> None:
        """Count one whose proof was good."""
        self.accepted += 1
        if self.activation is activation:
            self.problem = None

    def refuse(self, activation: Activation, error: RiskgateError) -> None:
        """Count and log one that was refused, once for each reason."""
        if self.activation is activation:
            if type(self.problem) is type(error):
                return
            self.problem = error
        self.refusals[type(error).__name__] += 1
        log.warning(
            "%s %s with serial %d was refused: %s: %s",
            *(self.purpose, activation.digest.hex(), activation.serial),
            *(type(error).__name__, error),
        )
