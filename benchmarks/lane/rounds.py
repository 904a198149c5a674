"""The rounds: every series on every server in turn, again and again.

Whatever the machine does meanwhile meets all of them alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from benchmarks.lane.clients import GRPC, LEAN, Load, Series, idle_connections
from benchmarks.lane.servers import Server

NOOP: Final = "C++ no-op"
NOOP_MESSAGES: Final = "C++ no-op, messages"
NOOP_AIO: Final = "aio no-op"
AIO: Final = "aio engine"
LANE: Final = "lane"
LANE_TLS: Final = "lane TLS"
LANE_BUSY: Final = "lane busy-poll"

SATURATED: Final = "8 × 8"
UNARY: Final = "unary"
STREAM: Final = "stream"
BATCHES: Final = "batch of 256"
OPEN: Final = "open loop"
OPEN_GRPC: Final = "open loop, gRPC client"
WITHOUT_IDLE: Final = "no idle connections"
WITH_IDLE: Final = "idle connections"
H2LOAD: Final = "h2load"

# Which servers a series is run on; those that are not there are left out.
_SERIES: Final = {
    SATURATED: (NOOP, NOOP_MESSAGES, LANE, LANE_TLS, NOOP_AIO, AIO),
    UNARY: (NOOP, NOOP_MESSAGES, LANE, LANE_BUSY, NOOP_AIO, AIO),
    STREAM: (NOOP, LANE, LANE_BUSY, NOOP_AIO, AIO),
    BATCHES: (NOOP, LANE, AIO),
}


@dataclass
class Rounds:
    """Runs series and keeps what they measured.

    Attributes:
        servers: running servers by name.
        load: what is sent.
        say: receives a line about each series.
        series: results by series, then by server, one per round.
        h2load_rps: requests per second of h2load by server, one per round.
    """

    servers: dict[str, Server]
    load: Load
    say: Callable[[str], None]
    series: dict[str, dict[str, list[Series]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    h2load_rps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def run_closed(self, number: int) -> None:
        """Run one round of everything that waits for its answers; every other one backwards."""
        step = -1 if number % 2 else 1
        run = {
            SATURATED: self.load.saturate,
            UNARY: self.load.ask,
            STREAM: self.load.ping_pong,
            BATCHES: self.load.batches,
        }
        for name, servers in _SERIES.items():
            for server in servers[::step]:
                if server in self.servers:
                    self._keep(name, server, run[name](self.servers[server]))
        for server in (NOOP, LANE)[::step]:
            if server in self.servers:
                self.h2load_rps[server].append(self.load.h2load(self.servers[server]))

    def run_open(self, rate: int, duration_s: float) -> None:
        """Run one round at a planned rate."""
        for name, client in ((OPEN, LEAN), (OPEN_GRPC, GRPC)):
            for server in (NOOP, LANE):
                if server in self.servers:
                    series = self.load.plan(self.servers[server], client, rate, duration_s)
                    self._keep(name, server, series)

    def run_idle(self, count: int) -> None:
        """Run one round with and one without idle connections."""
        if LANE not in self.servers:
            return
        server = self.servers[LANE]
        self._keep(WITHOUT_IDLE, LANE, self.load.ask(server))
        with idle_connections(server, count):
            self._keep(WITH_IDLE, LANE, self.load.ask(server))

    def of(self, series: str, server: str) -> list[Series]:
        """Return the results of one series on one server, empty if there are none."""
        return self.series[series].get(server, [])

    def _keep(self, name: str, server: str, series: Series) -> None:
        self.series[name][server].append(series)
        self.say(
            f"{name}, {server}: {series.rps:,.0f}/s, p50 {series.p50_us:,.0f} µs, "
            f"p99 {series.p99_us:,.0f} µs, failed {series.failed}"
        )
