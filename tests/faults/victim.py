"""An engine process that is killed, starved and started again on the same data directory."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from server.embedded.process import wait_until
from server.services.decision import SERVICE_NAME
from tests.feed_harness import give_feed_key

_START_TIMEOUT_S: Final = 150
_END_TIMEOUT_S: Final = 60
# Small tables, and the smallest segments that take every batch.
SEGMENT_BYTES: Final = 1 << 24
SETTINGS: Final = {
    "journal_segment_bytes": SEGMENT_BYTES,
    "journal_budget_bytes": 1 << 34,
    "capacity_accounts": 64,
    "capacity_providers": 64,
    "capacity_symbol_limits": 64,
    "capacity_breakers": 64,
    "capacity_positions": 1_024,
    "capacity_reservations": 1 << 18,
    "capacity_idempotency": 1 << 19,
}


def quiet_address() -> str:
    """Return a free address for later, below the range of outgoing connections."""
    while True:
        number = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", number))
            return f"127.0.0.1:{number}"


class Victim:
    """One engine of a data directory, through all its lives.

    Args:
        data_dir: Of the engine; must exist.
        redis_url: Where its state comes from.
        settings: Settings that differ from SETTINGS.
    """

    def __init__(self, data_dir: Path, redis_url: str, **settings: Any) -> None:
        self.data_dir = data_dir
        self.address = quiet_address()
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self.starts = 0
        self._settings = {
            **SETTINGS,
            **settings,
            "data_dir": data_dir,
            "redis_url": redis_url,
            "decision_listen": self.address,
            "metrics_listen": quiet_address(),
            "lane": "compiled",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def words(self) -> Sequence[str]:
        """What is run."""
        return ("engine",)

    @property
    def journal(self) -> Path:
        """Folder of its segments."""
        return self.data_dir / "journal"

    @property
    def environment(self) -> dict[str, str]:
        """What tells every process of this data directory its settings."""
        said = {f"RISKGATE_{name.upper()}": str(it) for name, it in self._settings.items()}
        return {**os.environ, **said}

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The engine, or what traces it."""
        assert self._process is not None
        return self._process

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended, however."""
        return self.process.poll() is not None

    def start(self, prefix: Sequence[str] = (), **variables: str) -> None:
        """Start it and do not wait.

        Args:
            prefix: Words before the command, for instance those of a tracer.
            variables: Additional environment.
        """
        self.starts += 1
        command = [*prefix, str(Path(sys.executable).with_name("riskgate")), *self.words]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env={**self.environment, **variables},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_serving(self) -> None:
        """Wait until it decides; fail when it has ended or never does."""
        with grpc.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)]) as link:
            stub = health_pb2_grpc.HealthStub(link)
            assert wait_until(
                lambda: self.is_dead or _is_serving(stub), timeout_s=_START_TIMEOUT_S
            ), self.read_log()
        assert not self.is_dead, self.read_log()

    def serve(self, **variables: str) -> None:
        """Start it and wait until it decides."""
        self.start(**variables)
        self.wait_until_serving()

    def kill(self) -> None:
        """SIGKILL; with a tracer both."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_END_TIMEOUT_S)

    def stop(self) -> int:
        """SIGTERM; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_END_TIMEOUT_S)

    def wait_until_dead(self) -> int:
        """Wait for its end; return the exit status, negative for a signal."""
        return self.process.wait(_START_TIMEOUT_S)

    def read_log(self) -> str:
        """Return the end of what all its lives have said."""
        return self.log.read_text(encoding="utf-8")[-6_000:]


def _is_serving(stub: health_pb2_grpc.HealthStub) -> bool:
    request = health_pb2.HealthCheckRequest(service=SERVICE_NAME)
    try:
        answer = stub.Check(request, timeout=2)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@contextlib.contextmanager
def victim_in(data_dir: Path, redis_url: str, **settings: Any) -> Iterator[Victim]:
    """Make a victim that has not started yet; at the end nothing of it runs."""
    data_dir.mkdir(exist_ok=True)
    give_feed_key(data_dir)
    victim = Victim(data_dir, redis_url, **settings)
    try:
        yield victim
    finally:
        if victim.starts:
            victim.kill()
