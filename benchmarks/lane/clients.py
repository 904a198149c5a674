"""Runs the C++ clients and h2load against one server, and reads what they measured.

No series counts unless every call was answered with grpc-status 0 and every answer that was parsed
was right: verdict and lots as the request file says, for servers that decide.
"""

from __future__ import annotations

import json
import re
import resource
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.lane import certificates
from benchmarks.lane.servers import BASELINES, Server, program

BATCH: Final = 256
LEAN: Final = "h2_client"
GRPC: Final = "load_client"
_ANSWER_BYTES_MIN: Final = 150
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME_HEADER: Final = struct.Struct(">BHBBI")  # length as 8 and 16 bits, type, flags, stream
_SETTINGS: Final = 4
_ACK: Final = 1
_SPARE_FILES: Final = 100


@dataclass(frozen=True)
class Series:
    """One series of calls.

    Attributes:
        n: calls whose latency counts, after the warm-up.
        total: all calls, the warm-up included; the server's CPU time is divided by these.
        failed: calls without a right answer.
        checked: answers that were parsed and compared.
        rps: answers per second of the timed part.
        client_cpu_s: CPU time of the client, seconds.
        server_cpu_us: CPU time of the server per call, microseconds.
    """

    n: int
    total: int
    failed: int
    checked: int
    rps: float
    p50_us: float
    p99_us: float
    p999_us: float
    max_us: float
    client_cpu_s: float
    server_cpu_us: float


@dataclass(frozen=True)
class Load:
    """What the clients send, and for how long.

    Attributes:
        requests: file of prepared requests.
        h2load_body: file of one framed dry run.
        warm_s: seconds before the timed part.
        duration_s: seconds of the timed part.
    """

    requests: Path
    h2load_body: Path
    warm_s: float
    duration_s: float

    def saturate(self, server: Server, channels: int = 8, streams: int = 8) -> Series:
        """Send as much as fits: the lean client, `channels` connections × `streams` calls."""
        shape = ["--channels", str(channels), "--streams", str(streams)]
        return self._run(LEAN, server, ["--mode", "unary", *shape])

    def batches(self, server: Server) -> Series:
        """Send batches, two at a time so that the server never waits for the client."""
        shape = ["--channels", "1", "--streams", "2", "--batch", str(BATCH)]
        return self._run(LEAN, server, ["--mode", "batch", *shape])

    def ask(self, server: Server, channels: int = 1, streams: int = 1) -> Series:
        """Make unary calls with the gRPC client, one at a time."""
        shape = ["--channels", str(channels), "--streams", str(streams)]
        return self._run(GRPC, server, ["--mode", "unary", *shape])

    def ping_pong(self, server: Server) -> Series:
        """Exchange messages over one stream with the gRPC client."""
        return self._run(GRPC, server, ["--mode", "stream"])

    def plan(self, server: Server, client: str, rate: int, duration_s: float) -> Series:
        """Make unary calls at a planned rate over 8 connections; some may fail.

        Args:
            server: who is asked.
            client: LEAN or GRPC. The latter needs most of two cores for 20,000 calls a second.
            rate: calls per second.
            duration_s: seconds of the timed part.
        """
        shape = ["--mode", "open", "--rate", str(rate), "--channels", "8"]
        return self._run(client, server, shape, duration_s=duration_s, may_fail=True)

    def h2load(self, server: Server) -> float:
        """Return requests per second of h2load, 8 × 8, the same dry run each time.

        It looks at HTTP statuses only; that each answer is as long as a decision shows that none
        was an error.
        """
        command = [program("h2load"), "-c", "8", "-m", "8", "-t", "1"]
        command += ["-D", str(max(1, round(self.duration_s)))]
        command += ["--warm-up-time", str(max(1, round(self.warm_s))), "-d", str(self.h2load_body)]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        scheme = "http" if server.tls is None else "https"
        command.append(f"{scheme}://{server.address}/riskgate.v1.DecisionService/Decide")
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
        speed = re.search(r"finished in .*?, ([\d.]+) req/s", done.stdout)
        data = re.search(r"\((\d+)\) data", done.stdout)
        if counts is None or speed is None or data is None:
            raise SystemExit(f"h2load on {server.name}: {done.stdout}{done.stderr}")
        succeeded, failed, errored = map(int, counts.groups())
        if failed or errored or int(data[1]) < succeeded * _ANSWER_BYTES_MIN or not succeeded:
            raise SystemExit(f"h2load on {server.name} had wrong answers: {done.stdout}")
        return float(speed[1])

    def _run(
        self,
        client: str,
        server: Server,
        shape: list[str],
        *,
        duration_s: float = 0.0,
        may_fail: bool = False,
    ) -> Series:
        duration_s = duration_s or self.duration_s
        command = [str(BASELINES / client), "--address", server.address, *shape]
        command += ["--requests", str(self.requests), "--exact", "yes" if server.is_exact else "no"]
        command += ["--warm-s", str(self.warm_s), "--duration-s", str(duration_s)]
        if server.tls is not None:
            command += ["--tls-ca", str(server.tls / certificates.AUTHORITY)]
            command += ["--tls-cert", str(server.tls / certificates.CLIENT)]
            command += ["--tls-key", str(server.tls / certificates.CLIENT_KEY)]
        before_s = server.cpu_s()
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        spent_s = server.cpu_s() - before_s
        if not done.stdout:
            raise SystemExit(f"{client} on {server.name}: {done.stderr}")
        result = json.loads(done.stdout)
        series = Series(**result, server_cpu_us=spent_s / max(result["total"], 1) * 1e6)
        if not may_fail and (series.failed or not series.checked or not series.n):
            raise SystemExit(f"{client} on {server.name} had wrong answers: {done.stderr}{series}")
        return series


@contextmanager
def idle_connections(server: Server, count: int) -> Iterator[None]:
    """Keep `count` HTTP/2 connections open that ask for nothing.

    Raises:
        SystemExit: the server closed one of them meanwhile.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + _SPARE_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + _SPARE_FILES), hard))
    host, _, port = server.address.rpartition(":")
    with ExitStack() as stack:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection((host, int(port)), 10.0))
            connection.sendall(_PREFACE + _settings_frame(0))
            # Its SETTINGS have come: the server has taken the connection and is done with it.
            _read_settings(connection)
            connection.sendall(_settings_frame(_ACK))
            connection.setblocking(False)
            connections.append(connection)
        yield
        closed = sum(_is_closed(connection) for connection in connections)
        if closed:
            raise SystemExit(f"{server.name} closed {closed} of {count} idle connections")


def _settings_frame(flags: int) -> bytes:
    return _FRAME_HEADER.pack(0, 0, _SETTINGS, flags, 0)


def _read_settings(connection: socket.socket) -> None:
    header = connection.recv(_FRAME_HEADER.size, socket.MSG_WAITALL)
    high, low, kind, _flags, _stream = _FRAME_HEADER.unpack(header)
    if kind != _SETTINGS:
        raise SystemExit(f"the first frame of the server is of type {kind}")
    connection.recv((high << 16) + low, socket.MSG_WAITALL)


def _is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True
