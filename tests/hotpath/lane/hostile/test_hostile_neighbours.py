"""How long a well-behaved client waits while others attack; measured and printed, not judged.

The client is h2load, one call after the other, in a process of its own.
"""

import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged
from tests.hotpath.lane.hostile.test_hostile_floods import BORNE, CUT
from tests.hotpath.lane.hostile.test_hostile_hoarders import hoard
from tests.hotpath.lane.hostile.test_hostile_mutations import attack_with_sessions
from tests.hotpath.lane.raw_http2 import DECISION_SERVICE, greeting, message, open_call

CALLS = 20_000

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(
        shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed"
    ),
]


def _sessions(besieged: Besieged) -> None:
    attack_with_sessions(besieged, 200)


def _unfinished(besieged: Besieged) -> None:
    for attacker in hoard(besieged, "Decide", b""):
        attacker.close()


def _flood(kind: str) -> Callable[[Besieged], None]:
    raw = {**CUT, **BORNE}[kind]

    def attack(besieged: Besieged) -> None:
        with besieged.dial() as client:
            client.send(greeting(), open_call(1), raw)

    return attack


def _silent(besieged: Besieged) -> None:
    for client in [besieged.dial() for _ in range(200)]:
        client.close()


ATTACKS: dict[str, Callable[[Besieged], None]] = {
    "damaged sessions": _sessions,
    "unfinished calls": _unfinished,
    "connections": _silent,
    **{kind: _flood(kind) for kind in ("rapid reset", "pings", "windows", "broken headers")},
}


@contextmanager
def _measured(besieged: Besieged, log: Path) -> Iterator[subprocess.Popen[str]]:
    body = log.with_suffix(".request")
    body.write_bytes(message(RAW_REQUEST))
    log.unlink(missing_ok=True)
    command = [
        *("h2load", "-n", str(CALLS), "-c", "1", "-m", "1", "-d", str(body)),
        *("--log-file", str(log), "-H", "content-type: application/grpc", "-H", "te: trailers"),
        "http://{}:{}".format(*besieged.address) + f"{DECISION_SERVICE}/Decide",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        yield client
        output, _ = client.communicate()
    assert f"{CALLS} succeeded, 0 failed, 0 errored, 0 timeout" in output


def _tail_us(log: Path) -> int:
    """Return the 99th percentile; a line holds start, status and microseconds."""
    took_us = [int(line.split()[2]) for line in log.read_text(encoding="ascii").splitlines()]
    return int(statistics.quantiles(took_us, n=100)[98])


@pytest.mark.parametrize("kind", ATTACKS)
def test_a_neighbour_when_others_attack_then_all_its_calls_are_answered(
    besieged: Besieged, tmp_path: Path, kind: str
) -> None:
    log = tmp_path / "calls"
    with _measured(besieged, log):
        pass
    alone_us = _tail_us(log)
    attacks = 0
    with _measured(besieged, log) as client:
        while client.poll() is None:
            ATTACKS[kind](besieged)
            attacks += 1
    meanwhile_us = _tail_us(log)
    print(  # noqa: T201
        f"{kind}: p99 {alone_us} µs alone, {meanwhile_us} µs during {attacks} attacks, "
        f"ratio {meanwhile_us / alone_us:.2f}"
    )
