"""`make bench-lane`: measure the lane beside its baselines and print the table.

Everything is measured on this machine in one run, series by series in turn; only ratios mean
something elsewhere. Client and server share the cores. What misleads: an idle core must wake, so
latencies have two humps; and order ids are remembered for a second only, not for ten minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.lane import certificates, rounds, servers
from benchmarks.lane.clients import Load
from benchmarks.lane.figures import Line, format_lines, format_series
from benchmarks.lane.requests_file import write_h2load_body, write_requests
from benchmarks.lane.rounds import Rounds
from benchmarks.lane.table import judge

OUTPUT: Final = servers.ROOT / ".cache" / "bench-lane.json"
FOLDER: Final = servers.ROOT / ".cache" / "bench-lane"
_SEED: Final = 20_261_121
_BUSY_POLL_US: Final = 200
_NO_LANE: Final = "none"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    warm_s: float
    duration_s: float
    open_rounds: int
    open_rate: int
    open_s: float
    idle_rounds: int
    idle_connections: int
    starts: int
    requests: int


FULL: Final = Plan(5, 0.7, 2.5, 1, 20_000, 60.0, 5, 1_000, 5, 200_000)
QUICK: Final = Plan(1, 0.2, 0.6, 1, 20_000, 2.0, 1, 1_000, 1, 20_000)


def main() -> None:
    """Run everything; exit with a message when an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of ten")
    parser.add_argument(
        "--lane",
        choices=("compiled", "grpcio", _NO_LANE),
        help="what stands in the lane's place, by default compiled where it can be loaded; "
        "grpcio only tries out the harness",
    )
    parser.add_argument("--rounds", type=int, help="rounds of everything that waits for answers")
    parser.add_argument("--open-rate", type=int, help="calls per second of the open loop")
    arguments = parser.parse_args()
    lane = arguments.lane or ("compiled" if servers.is_lane_available() else _NO_LANE)
    plan = QUICK if arguments.quick else FULL
    plan = replace(
        plan,
        rounds=arguments.rounds or plan.rounds,
        open_rate=arguments.open_rate or plan.open_rate,
    )
    build_clients()
    if lane == "grpcio":
        print(f"the lane's place is taken by: {lane}")
    load = prepare_load(plan.requests, plan.warm_s, plan.duration_s)
    with ExitStack() as stack:
        running = _start_servers(stack, lane)
        done = Rounds(running, load, lambda text: print(f"  {text}", flush=True))
        for number in range(max(plan.rounds, plan.open_rounds, plan.idle_rounds)):
            print(f"round {number + 1}", flush=True)
            if number < plan.rounds:
                done.run_closed(number)
            if number < plan.idle_rounds:
                done.run_idle(plan.idle_connections)
            if number < plan.open_rounds:
                done.run_open(plan.open_rate, plan.open_s)
    lines = judge(done, _time_starts(lane, plan.starts))
    print("\n" + format_series(done.series))
    print("\n" + format_lines(lines))
    _write(lane, plan, done, lines)


def build_clients() -> None:
    """Compile the clients and servers in C++ if they are older than their sources."""
    makefile = servers.ROOT / "benchmarks" / "baselines" / "Makefile"
    command = [servers.program("make"), "--silent", "-f", str(makefile)]
    subprocess.run(command, check=True, cwd=servers.ROOT)


def prepare_load(count: int, warm_s: float, duration_s: float) -> Load:
    """Write the files that the clients send."""
    requests, body = FOLDER / "requests.bin", FOLDER / "h2load-body.bin"
    print(f"preparing {count:,} requests", flush=True)
    write_requests(requests, count, _SEED)
    write_h2load_body(body, _SEED)
    certificates.write_certificates(FOLDER / "tls")
    return Load(requests, body, warm_s, duration_s)


def _start_servers(stack: ExitStack, lane: str) -> dict[str, servers.Server]:
    running = {}

    def keep(server: servers.Server) -> None:
        stack.callback(server.stop)
        running[server.name] = server

    keep(servers.start_noop(rounds.NOOP, "raw"))
    keep(servers.start_noop(rounds.NOOP_MESSAGES, "messages"))
    keep(servers.start_noop_aio())
    keep(servers.start_engine(rounds.AIO, "grpcio"))
    if lane != _NO_LANE:
        keep(servers.start_engine(rounds.LANE, lane))
    if lane == "compiled":
        keep(servers.start_engine(rounds.LANE_TLS, lane, tls=FOLDER / "tls"))
        keep(servers.start_engine(rounds.LANE_BUSY, lane, busy_poll_us=_BUSY_POLL_US))
    return running


def _time_starts(lane: str, count: int) -> list[float]:
    """Start the lane's process again and again, with nothing else running."""
    if lane == _NO_LANE:
        return []
    times_s = []
    for _ in range(count):
        server = servers.start_engine(rounds.LANE, lane)
        times_s.append(server.start_s)
        server.stop()
    return times_s


def _write(lane: str, plan: Plan, done: Rounds, lines: list[Line]) -> None:
    content = {
        "lane": lane,
        "plan": asdict(plan),
        "machine": {"cores": os.cpu_count(), "system": platform.release()},
        "series": {
            name: {server: [asdict(one) for one in kept] for server, kept in by_server.items()}
            for name, by_server in done.series.items()
        },
        "h2load_rps": done.h2load_rps,
        "lines": [asdict(line) | {"verdict": line.verdict} for line in lines],
    }
    OUTPUT.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nwritten: {Path(os.path.relpath(OUTPUT))}")


if __name__ == "__main__":
    main()
