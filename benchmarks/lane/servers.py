"""The servers that are compared: each a process of its own on a free loopback port.

All of them live side by side for the whole run; those that are not measured have nothing to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.lane import certificates

ROOT: Final = Path(__file__).parents[2]
BASELINES: Final = ROOT / ".cache" / "baselines"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_START_S_MAX: Final = 180.0  # cold kernels compile
_STOP_S_MAX: Final = 15.0
_PAUSE_S: Final = 0.005
_USER_TIME, _SYSTEM_TIME = 11, 12  # in /proc/PID/stat, counted behind the name


@dataclass
class Server:
    """One running server.

    Attributes:
        name: how the tables call it.
        address: HOST:PORT.
        is_exact: whether its answers are decisions that can be checked.
        tls: folder of its certificates; None: plaintext.
        start_s: from the start of the process until it served, seconds.
    """

    name: str
    address: str
    process: subprocess.Popen[bytes]
    is_exact: bool
    tls: Path | None
    start_s: float

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads so far, seconds."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        fields = text.rpartition(")")[2].split()
        return (int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])) / _TICKS_PER_S

    def stop(self) -> None:
        """End the process.

        Raises:
            SystemExit: it had already ended, so what was measured cannot be trusted.
        """
        died = self.process.poll()
        if died is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_S_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        else:
            raise SystemExit(f"{self.name} ended by itself with {died}")


def program(name: str) -> str:
    """Return the path of a program.

    Raises:
        SystemExit: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is missing; see benchmarks/baselines/packages.txt")
    return path


def is_lane_available() -> bool:
    """Tell whether the compiled lane can be loaded here; asked of a process of its own."""
    command = [sys.executable, "-c", "import server.compiled_port"]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True).returncode == 0


def start_noop(name: str, codec: str) -> Server:
    """Start the C++ server without work; `codec` is `raw` or `messages`."""
    address = _free_address()
    command = [str(BASELINES / "noop_server"), "--address", address, "--codec", codec]
    return _start(name, address, command, is_exact=False, tls=None)


def start_noop_aio() -> Server:
    """Start the grpc.aio server without work."""
    address = _free_address()
    command = [sys.executable, "-m", "benchmarks.baselines.noop_aio", address]
    return _start("aio no-op", address, command, is_exact=False, tls=None)


def start_engine(
    name: str,
    lane: str,
    *,
    tls: Path | None = None,
    busy_poll_us: int = 0,
    durability: str = "memory",
    journal: Path | None = None,
    controls: bool = False,
) -> Server:
    """Start the engine behind a lane, `grpcio` or `compiled`."""
    address = _free_address()
    command = [sys.executable, "-m", "benchmarks.lane.serve_engine"]
    command += ["--address", address, "--lane", lane, "--busy-poll-us", str(busy_poll_us)]
    if tls is not None:
        command += ["--tls", str(tls)]
    if journal is not None:
        command += ["--durability", durability, "--journal", str(journal)]
    if controls:
        command.append("--controls")
    return _start(name, address, command, is_exact=True, tls=tls)


def _free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def _start(
    name: str, address: str, command: Sequence[str], *, is_exact: bool, tls: Path | None
) -> Server:
    began_s = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    server = Server(name, address, process, is_exact, tls, 0.0)
    while not (_serves(server) if is_exact else _listens(address)):
        if process.poll() is not None:
            raise SystemExit(f"{name} did not start: exit code {process.returncode}")
        if time.monotonic() - began_s > _START_S_MAX:
            process.kill()
            raise SystemExit(f"{name} did not serve within {_START_S_MAX:.0f} s")
        time.sleep(_PAUSE_S)
    server.start_s = time.monotonic() - began_s
    return server


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def _serves(server: Server) -> bool:
    # A channel that was refused once backs off for a second: it is made when somebody listens.
    if not _listens(server.address):
        return False
    with _channel(server) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=1.0)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _channel(server: Server) -> grpc.Channel:
    if server.tls is None:
        return grpc.insecure_channel(server.address)
    folder = server.tls
    credentials = grpc.ssl_channel_credentials(
        (folder / certificates.AUTHORITY).read_bytes(),
        (folder / certificates.CLIENT_KEY).read_bytes(),
        (folder / certificates.CLIENT).read_bytes(),
    )
    return grpc.secure_channel(server.address, credentials)
