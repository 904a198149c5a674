"""One `riskgate serve` for tests: real processes under a data directory of their own."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from server.embedded.process import wait_until
from server.stack_state import StackState

FREE_PORTS: Final = [f"--{name}-listen=127.0.0.1:0" for name in ("decision", "control", "metrics")]
_READY_TIMEOUT_S: Final = 150
_COMMAND_TIMEOUT_S: Final = 60


class Stack:
    """One `riskgate serve`.

    Args:
        data_dir: Its own.
        options: More words of its command line.
    """

    def __init__(self, data_dir: Path, *options: str) -> None:
        self.data_dir = data_dir
        self.options = options
        self.output = data_dir.with_name("serve.log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*riskgate_command("serve", self.data_dir), *FREE_PORTS, *self.options],
                stdout=output,
                stderr=output,
            )
        process = self.process
        wait_until(
            lambda: process.poll() is not None or b"READY " in self.output.read_bytes(),
            timeout_s=_READY_TIMEOUT_S,
        )
        assert process.poll() is None, self.output.read_text(encoding="utf-8")
        assert b"READY " in self.output.read_bytes(), self.output.read_text(encoding="utf-8")

    @property
    def state(self) -> StackState:
        state = StackState.read(self.data_dir)
        assert state is not None
        return state

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def command(self, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command with --json against the stack."""
        return subprocess.run(
            [*riskgate_command(name, self.data_dir), *arguments, "--json"],
            check=False,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIMEOUT_S,
        )

    def answer(self, name: str, *arguments: str) -> Any:
        """Return what a command that succeeds prints."""
        done = self.command(name, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def examine(self) -> tuple[int, dict[str, dict[str, Any]]]:
        done = self.command("doctor")
        answer = json.loads(done.stdout)
        assert answer["ok"] == (done.returncode == 0), done.stdout
        return done.returncode, {check["name"]: check for check in answer["checks"]}

    def is_healthy(self) -> bool:
        return self.examine()[0] == 0


@contextmanager
def running_stack(*options: str) -> Iterator[Stack]:
    """Start a stack in a new data directory; at the end stop it and remove the directory."""
    # Not below pytest's own folder: that is closed to the account the services run as.
    folder = Path(tempfile.mkdtemp(prefix="riskgate-test-"))
    folder.chmod(0o755)
    stack = Stack(folder / "data", *options)
    try:
        stack.start()
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.end(signal.SIGTERM)
        shutil.rmtree(folder)


def riskgate_command(command: str, data_dir: Path) -> list[str]:
    """Return the words of a command; that of a group (`models list`) comes before the options."""
    script = Path(sys.executable).with_name("riskgate")
    return [str(script), *command.split(), "--data-dir", str(data_dir)]


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
