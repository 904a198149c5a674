"""A real compiled lane around a small real engine, with the interface of the grpcio port's harness.

It is served by `CompiledPort`, as in the engine process. Whatever a test does, nothing may be left
when it ends: no call, no buffer, no connection, no thread.
"""

import asyncio
import ctypes
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from server.compiled_port import CompiledPort
from server.embedded.process import wait_until
from server.engine import Engine
from server.hotpath.lane.lane_record import POOL, POOLS
from server.hotpath.lane.structs import CONNECTION
from server.intake import Intake
from server.services.decision import SERVICE_NAME
from server.settings import load_settings
from server.telemetry.decision_counts import DecisionCounts
from tests.decision_harness import PortCalls, new_engine, open_port
from tests.grant_records import identity_of

DECIDE: Final = f"/{SERVICE_NAME}/Decide"
BATCH: Final = f"/{SERVICE_NAME}/DecideBatch"
STREAM: Final = f"/{SERVICE_NAME}/DecideStream"
SYNC: Final = f"/{SERVICE_NAME}/SyncAccount"
# No two channels of a test share a connection by accident.
OWN_CONNECTION: Final = ("grpc.use_local_subchannel_pool", 1)
_WAIT_S: Final = 20.0

Opener = Callable[..., AbstractContextManager[PortCalls]]


class LanePort(PortCalls):
    """The compiled lane over one engine.

    Args:
        engine: Owned by the lane from here on.
        ready: Whether it decides from the start.
        settings: Settings that differ from the defaults; `loaded`: all of them.
    """

    def __init__(self, engine: Engine, *, ready: bool = True, **settings: Any) -> None:
        self.engine = engine
        settings = {
            "decision_listen": "127.0.0.1:0",
            "data_dir": Path.cwd(),
            "insecure_loopback": "tls_certificate" not in settings,
            **settings,
        }
        loaded = settings.pop("loaded", None) or load_settings(lane="compiled", **settings)
        self.compiled = CompiledPort(loaded, engine)
        self.lane = self.compiled.lane
        self.grants = self.compiled.grants
        self.intake = Intake(engine, self.compiled.wake)
        asyncio.run(self.compiled.start())
        if ready:
            asyncio.run(self.compiled.say_serving())
        name = self.compiled._listener.getsockname()
        self.address = f"unix:{name}" if isinstance(name, str) else f"127.0.0.1:{name[1]}"
        # Any: the stubs demand serializers, and these calls are about raw bytes.
        self.channel: Any = self.dial()

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Host and port, for sockets."""
        host, _, number = self.address.rpartition(":")
        return host, int(number)

    def dial(self, *options: tuple[str, Any]) -> Any:
        """Return a new channel with a connection of its own."""
        return grpc.insecure_channel(self.address, [OWN_CONNECTION, *options])

    @property
    def is_ready(self) -> bool:
        """Whether the lane decides; may be set."""
        return bool(self.lane.record["is_ready"][0])

    @is_ready.setter
    def is_ready(self, ready: bool) -> None:
        self.lane.say(ready=ready, serving=ready)

    @property
    def counts(self) -> DecisionCounts:
        """A copy of what was counted."""
        return self.compiled.read_counts()

    @property
    def sequence(self) -> int:
        """Events of the engine so far."""
        return int(self.engine.state.engine[0]["sequence"])

    def read(self, name: str) -> int:
        """Return a number of the lane's record."""
        return int(self.lane.record[name][0])

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fail when it never is."""
        assert wait_until(condition, timeout_s=_WAIT_S), "it did not happen"

    @property
    def pools(self) -> Any:
        """The records of the pools of buffers, as they are now."""
        return np.frombuffer(ctypes.string_at(self.read("pools"), POOLS * POOL.itemsize), POOL)

    @property
    def callers(self) -> list[str]:
        """Identities of all connections that ever were."""
        return [identity_of(int(row["grant"])) for row in self.connections]

    @property
    def connections(self) -> Any:
        """The records of all connections that ever were, as they are now."""
        count = self.read("connections_fresh")
        memory = ctypes.string_at(self.read("connections"), count * CONNECTION.itemsize)
        return np.frombuffer(memory, CONNECTION)

    def stop(self) -> None:
        """Close the port; then nothing may be left."""
        self.channel.close()
        self.intake.close()
        asyncio.run(self.compiled.stop())
        assert self.lane.failure is None
        assert self.what_is_left() == {}

    def what_is_left(self) -> dict[str, int]:
        """Return what is in use, by name; empty when nothing is."""
        found = {name: self.read(name) for name in ("connections_now", "calls_now")}
        for number in range(POOLS):
            found[f"pool {number}"] = int(self.pools[number]["used"])
        return {name: count for name, count in found.items() if count}


@contextmanager
def open_lane(
    engine: Engine | None = None, *, ready: bool = True, **settings: Any
) -> Iterator[LanePort]:
    """Serve an engine by the compiled lane for a while."""
    port = LanePort(engine or new_engine(), ready=ready, **settings)
    try:
        yield port
    finally:
        port.stop()


# What serves the decision port, by the name in the settings.
OPENERS: Final[dict[str, Opener]] = {"compiled": open_lane, "grpcio": open_port}
