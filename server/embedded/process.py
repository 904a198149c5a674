"""Start, watch and end one service process.

A started process leaves our process group (a Ctrl-C in the terminal is for the supervisor, which
stops things in order), inherits no environment, and gets a signal when the thread that started it
ends. So only a thread that lives as long as the service may start one.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from server.embedded.account import ServiceAccount, identity_of

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.02
_LOG_TAIL_BYTES = 4_000
# Bound here and not where it is called: a lookup takes a lock, which another thread may hold at the
# moment of the fork.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl


def start_process(
    arguments: Sequence[str],
    *,
    log_path: Path,
    death_signal: signal.Signals,
    account: ServiceAccount | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program that dies with us and writes to a log file.

    Args:
        arguments: Program and arguments; no shell.
        log_path: File that gets both outputs, appended, mode 0600.
        death_signal: What the program receives when we die.
        account: Who it runs as; None is ourselves.
        environment: Its whole environment; None is a minimal one.
        descriptors: Open files that it inherits under the same numbers, besides its log.

    Raises:
        OSError: The program cannot be executed.
    """
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/" if environment is None else None,
            env=minimal_environment() if environment is None else dict(environment),
            start_new_session=True,
            umask=0o077,
            pass_fds=tuple(descriptors),
            # Safe here, beside other threads too: two system calls through what is already bound.
            preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509
            **identity_of(account),
        )
    finally:
        os.close(log)


def minimal_environment() -> dict[str, str]:
    """Return the environment of a service: nothing that a caller's shell could change."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def stop_process(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals]) -> None:
    """Ask with each signal in turn, five seconds each, then kill; return when it is gone."""
    for number in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            return
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def end_leftover(
    pid_path: Path, is_ours: Callable[[int], bool], signals: Sequence[signal.Signals]
) -> None:
    """End what an earlier, killed owner left running, and remove its pid file.

    The caller holds the service's lock, so whatever the file names is either ours and orphaned,
    or somebody else's process that was given the same number.

    Args:
        pid_path: File whose first line is a process number.
        is_ours: Tells whether a live process is really that service.
        signals: What to ask it with before killing it.
    """
    try:
        pid = int(pid_path.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        pid = 0
    for number in (*signals, signal.SIGKILL):
        if pid <= 1 or not is_ours(pid):
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_until(lambda: not is_ours(pid), timeout_s=5)
    pid_path.unlink(missing_ok=True)


def has_working_folder(pid: int, folder: Path) -> bool:
    """Tell whether a live process works in `folder`; both services change into theirs."""
    try:
        if (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            in "ZX"
        ):
            return False
        return Path(f"/proc/{pid}/cwd").readlink() == folder.resolve()
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Poll a condition every 20 ms; return whether it came true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def read_tail(log_path: Path) -> str:
    """Return the end of a log, for an error text."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log_path.stat().st_size - _LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()
    signal_number = int(death_signal)

    def arm() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(1)

    return arm
