import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.lane.clients import idle_connections
from benchmarks.lane.requests_file import ID_WIDTH, MAGIC, new_requests
from benchmarks.lane.servers import BASELINES, Server, start_noop

CLIENTS = ("h2_client", "load_client")
PROGRAMS = [BASELINES / name for name in ("noop_server", *CLIENTS)]

pytestmark = pytest.mark.skipif(
    not all(path.exists() for path in PROGRAMS),
    reason="the C++ baselines are not built: make -f benchmarks/baselines/Makefile",
)


@pytest.fixture(scope="module")
def noop() -> Iterator[Server]:
    server = start_noop("no-op", "raw")
    yield server
    server.stop()


def write_requests(path: Path, verdict: int, lots: float) -> Path:
    """Write requests that expect what the fixed answer of the no-op server says, or not."""
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<Q", 50))
        for request in new_requests(50, seed=3):
            raw = request.SerializeToString()
            assert raw[2:][:ID_WIDTH] == b"0" * ID_WIDTH
            file.write(struct.pack("<IIId", len(raw), 2, verdict, lots) + raw)
    return path


def run(client: str, server: Server, *options: str) -> tuple[int, Any]:
    command = [str(BASELINES / client), "--address", server.address, "--warm-s", "0.05"]
    command += ["--duration-s", "0.3", "--check-every", "1", *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["unary", "batch", "open"])
@pytest.mark.parametrize("client", CLIENTS)
def test_client_when_answers_are_right_then_counts_each_call(
    noop: Server, tmp_path: Path, client: str, mode: str
) -> None:
    requests = write_requests(tmp_path / "requests", verdict=1, lots=0.25)
    options = ("--requests", str(requests), "--mode", mode, "--exact", "yes", "--rate", "500")
    code, result = run(client, noop, *options)
    assert code == 0
    assert result["failed"] == 0
    assert 0 < result["n"] <= result["total"] == result["checked"]


def test_stream_client_when_answers_are_right_then_counts_each_message(
    noop: Server, tmp_path: Path
) -> None:
    requests = write_requests(tmp_path / "requests", verdict=1, lots=0.25)
    options = ("--requests", str(requests), "--mode", "stream", "--exact", "yes")
    code, result = run("load_client", noop, *options)
    assert (code, result["failed"]) == (0, 0)
    assert 0 < result["n"] <= result["total"] == result["checked"]


@pytest.mark.parametrize(("verdict", "lots"), [(1, 0.26), (2, 0.25)])
@pytest.mark.parametrize("client", CLIENTS)
def test_client_when_an_answer_is_wrong_then_fails(
    noop: Server, tmp_path: Path, client: str, verdict: int, lots: float
) -> None:
    requests = write_requests(tmp_path / "requests", verdict=verdict, lots=lots)
    code, result = run(client, noop, "--requests", str(requests), "--exact", "yes")
    assert code == 1
    assert result["failed"] == result["total"] > 0
    assert result["n"] == 0


@pytest.mark.parametrize("client", CLIENTS)
def test_percentiles_when_compared_with_numpy_then_are_the_same(
    noop: Server, tmp_path: Path, client: str
) -> None:
    requests = write_requests(tmp_path / "requests", verdict=1, lots=0.25)
    dump = tmp_path / "latencies"
    _, result = run(client, noop, "--requests", str(requests), "--latencies", str(dump))
    latencies_us = np.fromfile(dump, np.uint32) / 1e3
    assert len(latencies_us) == result["n"]
    expected = np.percentile(latencies_us, [50, 99, 99.9, 100], method="inverted_cdf")
    found = [result[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")]
    assert found == pytest.approx(expected.tolist(), abs=0.001)


def test_idle_connections_when_the_server_ends_then_are_missed(noop: Server) -> None:
    with idle_connections(noop, 20):
        pass
    short = start_noop("short-lived", "raw")
    with pytest.raises(SystemExit, match="closed 20 of 20"), idle_connections(short, 20):
        short.stop()
