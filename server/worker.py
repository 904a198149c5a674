"""`riskgate engine` and `riskgate control` as child processes of the supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from server.embedded.process import start_process, wait_until


class Worker:
    """One of our own commands in a process of its own.

    Args:
        command: `engine` or `control`.
        data_dir: Data directory that it is told.
        name: Of its log; None: the command.
        options: More words of its command line.
        environment: Settings that differ from what it would read by itself, as variables.
        grace_s: Time between SIGTERM and SIGKILL, seconds.
        descriptors: Open files that every process started here inherits under the same numbers.
    """

    def __init__(
        self,
        command: str,
        data_dir: Path,
        *,
        environment: Mapping[str, str],
        grace_s: float,
        descriptors: Sequence[int] = (),
        name: str | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self.log_path = data_dir / "logs" / f"{name or command}.log"
        self._arguments = [*_program(), command, "--data-dir", str(data_dir), *options]
        self._environment = environment
        self._grace_s = grace_s
        self._descriptors = descriptors
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process number of the child; None before its first start."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; it serves some time later, which the health service tells.

        Raises:
            OSError: The interpreter cannot be executed.
        """
        self._process = start_process(
            self._arguments,
            log_path=self.log_path,
            death_signal=signal.SIGTERM,
            environment={**os.environ, **self._environment},
            descriptors=self._descriptors,
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM without waiting."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """Stop it within its grace, else kill it."""
        self.ask_to_stop()
        if self._process is not None:
            process = self._process
            if not wait_until(lambda: process.poll() is not None, timeout_s=self._grace_s):
                process.kill()
                process.wait()


def end_orphan(pid: int, command: str, data_dir: Path, *, grace_s: float) -> None:
    """Wait for a child of a killed supervisor, which got its signal then; kill it when it hangs."""

    def is_ours() -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(data_dir) in words and command.encode() in words

    if not wait_until(lambda: not is_ours(), timeout_s=grace_s):
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_ours(), timeout_s=1.0)


def _program() -> list[str]:
    # The installed script gives the command line that operators look for: `riskgate engine …`.
    script = Path(sys.executable).with_name("riskgate")
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "server"]
