"""A control process for tests, which may be killed and started again on its port."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack_harness import riskgate_command


class ControlProcess:
    """A control process on one port, killed and started again."""

    def __init__(self, data_dir: Path, database_url: str, redis_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self._command = riskgate_command("control", data_dir)
        self._environment = os.environ | {
            "RISKGATE_DATABASE_URL": database_url,
            "RISKGATE_REDIS_URL": redis_url,
            "RISKGATE_CONTROL_LISTEN": f"127.0.0.1:{self.port}",
            "RISKGATE_INSECURE_LOOPBACK": "true",
        }
        self._output = data_dir / "control.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output
            )

    def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(60)


@contextmanager
def control_process(data_dir: Path, database_url: str, redis_url: str) -> Iterator[ControlProcess]:
    made = ControlProcess(data_dir, database_url, redis_url)
    made.start()
    try:
        yield made
    finally:
        made.end(signal.SIGKILL)
