"""Where changes go that were read from the shared state and found good."""

from typing import Protocol

from server.loaders.activation_change import Activation


class StateReceiver(Protocol):
    """Where checked changes go."""

    def put(self, change: bytes, *, is_partial: bool = False) -> bool:
        """Take a change; False when the engine is stopping.

        One that is part of a load does not change the version of the state.
        """

    def complete(self, version: int) -> bool:
        """Give the state its version after a load; False when the engine is stopping."""

    def add_timezone(self, timezone: str) -> None:
        """Make the windows of a time zone known; called before what first needs them."""

    def put_identity(self, uri: str, rows: bytes) -> None:
        """Let an identity's entry count, a serialised Identity; empty: it has none any more."""

    def activate(self, activation: Activation) -> None:
        """Judge the proof of a model or policy, load it, then take its change."""
