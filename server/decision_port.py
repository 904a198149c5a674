"""What the engine process needs of a decision port, compiled or not."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.core import Metric

from server.security.grants import Grants
from server.telemetry.decision_counts import DecisionCounts


class DecisionPort(Protocol):
    """One way of serving the decision port over one engine.

    Attributes:
        grants: Who may do what on it.
    """

    grants: Grants

    def wake(self) -> None:
        """Let the engine's owner look at the ring of changes now; any thread."""

    def read_counts(self) -> DecisionCounts:
        """Return what was counted so far; any thread."""

    def read_metrics(self) -> Iterable[Metric]:
        """Return what only this kind of port counts; any thread."""

    async def start(self) -> None:
        """Answer from now on: NOT_SERVING and UNAVAILABLE, until told otherwise."""

    async def say_serving(self) -> None:
        """The state is current: decide."""

    async def say_behind(self) -> None:
        """Say NOT_SERVING, since it lacks what is active; it decides all the same."""

    async def say_fenced(self) -> None:
        """Another engine has taken over: say NOT_SERVING and answer with denials, if at all."""

    async def watch(self) -> None:
        """Keep the port alive; returns or raises when it has failed."""

    async def stop(self) -> None:
        """Say NOT_SERVING, finish the calls that run, end."""
