"""The stack of one demo run: `riskgate serve` as a child process, and commands against it.

It listens on free ports of this machine, without TLS and without certificates, keeps everything in
a directory of its own, and is stopped in order when the demo ends, whatever ended it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HOME: Final = Path(".riskgate-demo")
_FREE_PORT: Final = "127.0.0.1:0"
_READY_TIMEOUT_S: Final = 150.0
_STOP_TIMEOUT_S: Final = 30.0
_COMMAND_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.1
_LOG_TAIL_CHARACTERS: Final = 2_000


class StackError(Exception):
    """The stack did not start, or a command against it failed; holds what it said."""


class Command:
    """A command that runs beside the demo.

    Args:
        name: For the error.
        words: Program and arguments; it prints one JSON document.
    """

    def __init__(self, name: str, words: list[str]) -> None:
        self._name = name
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> Any:
        """Return the document that the command printed.

        Raises:
            StackError: It failed or took too long; holds what it printed.
        """
        try:
            printed, said = self._process.communicate(timeout=_COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{self._name}: took longer than {_COMMAND_TIMEOUT_S} s") from error
        if self._process.returncode != 0:
            raise StackError(f"{self._name}:\n{(said + printed).strip()}")
        return json.loads(printed)

    def end(self) -> None:
        """End it when it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


class Stack:
    """A running stack; use it in a `with` statement.

    Args:
        data_dir: Directory that does not exist or is empty; None: a new one below `.riskgate-demo`,
            where those of earlier runs are removed first.

    Raises:
        StackError: The directory holds something already.
    """

    def __init__(self, data_dir: Path | None) -> None:
        if data_dir is None:
            _remove_earlier_runs()
            data_dir = HOME / f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
        elif data_dir.exists() and any(data_dir.iterdir()):
            raise StackError(f"{data_dir} is not empty: name a new directory")
        self.data_dir = data_dir
        self.log_path = data_dir.with_name(f"{data_dir.name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._commands: list[Command] = []

    def __enter__(self) -> Self:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        listen = [f"--{name}-listen={_FREE_PORT}" for name in ("decision", "control", "metrics")]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [*_build_command("serve", self.data_dir), *listen, "--insecure-loopback"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the demo alone, which then stops the stack in order.
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until_ready(self) -> None:
        """Wait until both ports serve.

        Raises:
            StackError: The server ended or took too long; holds the end of its log.
        """
        self._wait_until(self._is_ready, "is not ready")

    def run(self, command: str, *arguments: str | Path) -> Any:
        """Run a `riskgate` command with --json against the stack and return its document.

        Raises:
            StackError: The command failed; holds what it printed.
        """
        return self.start_command(command, *arguments).wait()

    def start_command(self, command: str, *arguments: str | Path) -> "Command":
        """Start such a command beside what else happens; it ends with the stack."""
        words = _build_command(command, self.data_dir, *map(str, arguments))
        started = Command(f"riskgate {command} {' '.join(map(str, arguments))}", [*words, "--json"])
        self._commands.append(started)
        return started

    def wait_for_author_key(self) -> None:
        """Wait until the server has made the key that the trainer signs with.

        Raises:
            StackError: The server ended or took too long; holds the end of its log.
        """
        self._wait_until((self.data_dir / "keys" / "author.pem").is_file, "has not made its keys")

    def stop(self) -> None:
        """Stop the stack in order, at most once, after what still runs against it."""
        for command in self._commands:
            command.end()
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Its children end with it.
            process.kill()
            process.wait()

    def _wait_until(self, holds: Callable[[], bool], problem: str) -> None:
        ends_at_s = time.monotonic() + _READY_TIMEOUT_S
        while not holds():
            if self._process is None or self._process.poll() is not None:
                raise StackError(f"the server ended while starting:\n{self._read_log_tail()}")
            if time.monotonic() > ends_at_s:
                raise StackError(f"the server {problem}:\n{self._read_log_tail()}")
            time.sleep(_POLL_S)

    def _is_ready(self) -> bool:
        try:
            state = json.loads((self.data_dir / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(state.get("ready"))

    def _read_log_tail(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL_CHARACTERS:]


def _build_command(command: str, data_dir: Path, *arguments: str) -> list[str]:
    # The sub-command of a group (`models push`) comes before the options.
    words = command.split()
    return [sys.executable, "-m", "server", *words, *arguments, "--data-dir", str(data_dir)]


def _remove_earlier_runs() -> None:
    for run in HOME.glob("run-*"):
        # A stack that still runs has its state file; a clean stop removed it.
        if run.is_dir() and not _is_running(run):
            shutil.rmtree(run, ignore_errors=True)
            run.with_name(f"{run.name}.log").unlink(missing_ok=True)


def _is_running(run: Path) -> bool:
    try:
        state = json.loads((run / "state.json").read_text(encoding="utf-8"))
        os.kill(int(state["supervisor_pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return True
