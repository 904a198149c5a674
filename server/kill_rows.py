"""The kill switch as rows and changes: one form for control, engines and recorder.

A kill is the same whoever writes it down: a target and four times, of which each only grows. A
change of version 0 was made by an engine; `StateChange.kill` then says for the record who and why.
"""

import time
from typing import Final, NamedTuple, cast

import numpy as np

from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import state_pb2, types_pb2
from server.hotpath import layout

SCOPE_WORDS: Final[dict[int, str]] = {
    pb.KILL_SCOPE_GLOBAL: "global",
    pb.KILL_SCOPE_ACCOUNT: "account",
    pb.KILL_SCOPE_CONNECTION: "connection",
    pb.KILL_SCOPE_PROVIDER: "provider",
    pb.KILL_SCOPE_SYMBOL: "symbol",
    pb.KILL_SCOPE_STRATEGY: "strategy",
}
_PROVIDER_WORDS: Final[dict[int, str]] = {
    types_pb2.PROVIDER_TYPE_UNSPECIFIED: "",
    types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE: "channel_source",
    types_pb2.PROVIDER_TYPE_USER: "user",
}
CONTROL: Final = "control"


class Target(NamedTuple):
    """What is killed.

    Attributes:
        scope: riskgate.v1.KillScope.
        provider_type: riskgate.v1.ProviderType of the scope provider; else 0.
        name: Up to 64 bytes; empty for the scope global.
    """

    scope: int
    provider_type: int
    name: str

    @property
    def key(self) -> str:
        """Name of this target inside the shared state, unique, at most 160 bytes."""
        kind, provider = SCOPE_WORDS[self.scope], self.provider_type
        if provider:
            return f"{kind}:{_PROVIDER_WORDS[provider]}:{self.name}"
        return f"{kind}:{self.name}"

    def to_message(self) -> pb.KillTarget:
        """Return it as callers see it."""
        return pb.KillTarget(
            scope=cast("pb.KillScope", self.scope),
            provider_type=cast("types_pb2.ProviderType", self.provider_type),
            name=self.name,
        )


class Times(NamedTuple):
    """When a target was killed and re-armed last, Unix nanoseconds; 0: never."""

    new_risk_killed: int = 0
    new_risk_rearmed: int = 0
    all_killed: int = 0
    all_rearmed: int = 0

    @classmethod
    def of_kill(cls, mode: int, at_ns: int) -> "Times":
        """Return the times of one kill."""
        return cls(all_killed=at_ns) if mode == pb.KILL_MODE_ALL else cls(new_risk_killed=at_ns)

    @classmethod
    def of_rearming(cls, mode: int, at_ns: int) -> "Times":
        """Return the times of one re-arming."""
        return cls(all_rearmed=at_ns) if mode == pb.KILL_MODE_ALL else cls(new_risk_rearmed=at_ns)

    def merged(self, other: "Times") -> "Times":
        """Return the newest of each."""
        return Times(*map(max, self, other))

    def killed_at(self, mode: int) -> int:
        """Return the newest kill of a mode."""
        return self.all_killed if mode == pb.KILL_MODE_ALL else self.new_risk_killed

    def rearmed_at(self, mode: int) -> int:
        """Return the newest re-arming of a mode."""
        return self.all_rearmed if mode == pb.KILL_MODE_ALL else self.new_risk_rearmed

    def stops(self, mode: int) -> bool:
        """Tell whether a kill of the mode holds."""
        return self.killed_at(mode) > self.rearmed_at(mode)


def kill_rows(target: Target, times: Times) -> bytes:
    """Encode what is known of one target.

    Raises:
        ValueError: The name does not fit its column.
    """
    row = np.zeros(1, layout.CHANGE_KILL)
    row["scope"] = target.scope
    row["provider_type"] = target.provider_type
    row["name"][0] = layout.words(target.name)
    row["new_risk_killed_at_ns"] = times.new_risk_killed
    row["new_risk_rearmed_at_ns"] = times.new_risk_rearmed
    row["all_killed_at_ns"] = times.all_killed
    row["all_rearmed_at_ns"] = times.all_rearmed
    return row.tobytes()


def kill_name(target: Target) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Return the name of a target as it stands in rows."""
    return layout.words(target.name)


def read_kill_times(row: "np.void") -> Times:
    """Read the times of a row of CHANGE_KILL, or of the engine's table of kills."""
    return Times(
        int(row["new_risk_killed_at_ns"]),
        int(row["new_risk_rearmed_at_ns"]),
        int(row["all_killed_at_ns"]),
        int(row["all_rearmed_at_ns"]),
    )


def engine_kill(
    target: Target, mode: int, at_ns: int, reason: state_pb2.KillReason
) -> state_pb2.StateChange:
    """Return a kill as an engine journals it: without a version, with who said it and why."""
    return state_pb2.StateChange(
        kind=state_pb2.CHANGE_KIND_KILL,
        key=target.key,
        rows=kill_rows(target, Times.of_kill(mode, at_ns)),
        layout_version=layout.LAYOUT_VERSION,
        made_at_ns=time.time_ns(),
        kill=reason,
    )


def is_engine_kill(change: state_pb2.StateChange) -> bool:
    """Tell whether a change of a journal is a kill that its engine heard by itself."""
    return change.kind == state_pb2.CHANGE_KIND_KILL and change.version == 0


def read_engine_kill(change: state_pb2.StateChange) -> tuple[Target, Times]:
    """Return the kill in such a change.

    Raises:
        ValueError: It does not hold one row of this release.
    """
    if change.layout_version != layout.LAYOUT_VERSION:
        raise ValueError(f"rows of layout {change.layout_version}")
    (row,) = np.frombuffer(change.rows, layout.CHANGE_KILL)
    name = layout.text(np.asarray(row["name"]))
    target = Target(int(row["scope"]), int(row["provider_type"]), name)
    return target, read_kill_times(row)
