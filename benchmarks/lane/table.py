"""The lines of the table: what the compiled lane is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.lane.clients import BATCH
from benchmarks.lane.figures import AT_LEAST, AT_MOST, Line, median, median_ratio, ratio_line
from benchmarks.lane.rounds import (
    AIO,
    BATCHES,
    H2LOAD,
    LANE,
    LANE_BUSY,
    LANE_TLS,
    NOOP,
    NOOP_MESSAGES,
    OPEN,
    OPEN_GRPC,
    SATURATED,
    STREAM,
    UNARY,
    WITH_IDLE,
    WITHOUT_IDLE,
    Rounds,
)

DECISIONS_MIN: Final = 0.4
START_S_MAX: Final = 2.0


def judge(rounds: Rounds, start_s: Sequence[float]) -> list[Line]:
    """Return all lines.

    Args:
        rounds: what was measured.
        start_s: start of the lane's process until it served, seconds, one per start.
    """
    of = rounds.of
    saturated, unary = of(SATURATED, LANE), of(UNARY, LANE)
    noop, noop_unary = of(SATURATED, NOOP), of(UNARY, NOOP)
    return [
        ratio_line("8×8 requests/s ÷ C++ no-op", saturated, noop, "rps", (AT_LEAST, 3.0)),
        ratio_line(
            "the same ÷ C++ no-op with messages",
            saturated,
            of(SATURATED, NOOP_MESSAGES),
            "rps",
            ("", 0.0),
        ),
        _h2load_line(rounds),
        ratio_line(
            "8×8 requests/s ÷ aio engine", saturated, of(SATURATED, AIO), "rps", (AT_LEAST, 30.0)
        ),
        ratio_line("unary p50 ÷ C++ no-op", unary, noop_unary, "p50_us", (AT_MOST, 0.85)),
        ratio_line("unary p99 ÷ C++ no-op", unary, noop_unary, "p99_us", (AT_MOST, 0.9)),
        ratio_line(
            "busy-poll 200 µs, unary p50 ÷ C++ no-op",
            of(UNARY, LANE_BUSY),
            noop_unary,
            "p50_us",
            (AT_MOST, 0.4),
        ),
        ratio_line(
            "8×8 server CPU/request ÷ C++ no-op", saturated, noop, "server_cpu_us", (AT_MOST, 0.3)
        ),
        _batch_line(rounds),
        ratio_line(
            "stream p50 ÷ C++ stream", of(STREAM, LANE), of(STREAM, NOOP), "p50_us", (AT_MOST, 0.9)
        ),
        ratio_line(
            "8×8 requests/s, TLS 1.3 ÷ plaintext",
            of(SATURATED, LANE_TLS),
            saturated,
            "rps",
            (AT_LEAST, 0.7),
        ),
        ratio_line(
            "open loop p99.9 ÷ C++ no-op", of(OPEN, LANE), of(OPEN, NOOP), "p999_us", (AT_MOST, 1.0)
        ),
        ratio_line(
            "the same, gRPC client",
            of(OPEN_GRPC, LANE),
            of(OPEN_GRPC, NOOP),
            "p999_us",
            (AT_MOST, 1.0),
        ),
        ratio_line(
            "unary p99, idle connections ÷ none",
            of(WITH_IDLE, LANE),
            of(WITHOUT_IDLE, LANE),
            "p99_us",
            (AT_MOST, 1.2),
        ),
        _start_line(start_s),
    ]


def _h2load_line(rounds: Rounds) -> Line:
    name = f"{H2LOAD} 8×8, one dry run ÷ C++ no-op"
    lane, noop = rounds.h2load_rps.get(LANE, []), rounds.h2load_rps.get(NOOP, [])
    return Line(name, median_ratio(lane, noop) if lane and noop else None)


def _batch_line(rounds: Rounds) -> Line:
    name, batches = "DecideBatch of 256", rounds.of(BATCHES, LANE)
    value = median([one.rps for one in batches]) * BATCH / 1e6 if batches else None
    n = sum(one.n for one in batches) * BATCH
    return Line(name, value, "M/s", AT_LEAST, DECISIONS_MIN, n)


def _start_line(start_s: Sequence[float]) -> Line:
    value = median(start_s) if start_s else None
    return Line("start to SERVING", value, "s", AT_MOST, START_S_MAX, len(start_s))
