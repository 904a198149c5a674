"""How `riskgate promote` talks to a running standby: one line of JSON each way over a Unix socket.

Only the owner of the data directory can reach it. Who asked is what the kernel says of the caller.
"""

import json
import logging
import os
import pwd
import queue
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from server.errors import JournalError, UnavailableError
from server.shards import Shard

log = logging.getLogger(__name__)

RUN_FOLDER: Final = "run"
LINE_BYTES_MAX: Final = 65_536
_SOCKET_MODE: Final = 0o600
_LINE_TIMEOUT_S: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")  # process, user, group
_CLOSED: Final = "the standby has ended"

Said = Mapping[str, Any]


def socket_path(data_dir: Path, shard: Shard) -> Path:
    """Return where the standby of a data directory takes requests."""
    return shard.folder(data_dir / RUN_FOLDER, "standby").with_suffix(".sock")


class Request:
    """One wish to be promoted.

    Attributes:
        asked_by: User and process of the caller.
        primary_is_dead: Whether the caller vouches for that.
    """

    def __init__(self, asked_by: str, *, primary_is_dead: bool) -> None:
        self.asked_by = asked_by
        self.primary_is_dead = primary_is_dead
        self._answers: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def answer(self, said: Said) -> None:
        """Tell the caller what came of it."""
        self._answers.put(said)

    def wait(self) -> Said:
        """Return what is answered, once it is."""
        return self._answers.get()


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    primary_is_dead: bool


class PromotionPort:
    """Takes requests and lets another thread answer them.

    Args:
        path: Of the socket; what is left of an earlier one is removed, for the caller holds the
            lock of its data directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Before the file exists, so that it never has another mode.
        os.fchmod(self._listener.fileno(), _SOCKET_MODE)
        with _short(path) as name:
            self._listener.bind(name)
        self._listener.listen(4)
        self._thread = threading.Thread(target=self._run, name="promotion", daemon=True)

    def start(self) -> None:
        """Take requests from now on."""
        self._thread.start()

    def next_request(self, wait_s: float) -> Request | None:
        """Return the next request; None when none comes in time."""
        try:
            return self._requests.get(timeout=wait_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Take no more requests; those that wait are told."""
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._listener.close()
        while (request := self.next_request(0)) is not None:
            request.answer({"error": _CLOSED})
        if self._thread.ident is not None:
            self._thread.join(_LINE_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller:
                try:
                    caller.settimeout(_LINE_TIMEOUT_S)
                    self._serve(caller)
                except (OSError, ValueError) as error:
                    log.warning("a request for promotion was dropped: %s", error)

    def _serve(self, caller: socket.socket) -> None:
        raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        process, user, _ = _CREDENTIALS.unpack(raw)
        asked = _Asked.model_validate_json(_read_line(caller))
        request = Request(
            f"{_name_user(user)} (process {process})", primary_is_dead=asked.primary_is_dead
        )
        self._requests.put(request)
        caller.sendall(json.dumps(dict(request.wait())).encode() + b"\n")


def ask_for_promotion(path: Path, *, primary_is_dead: bool, timeout_s: float) -> dict[str, Any]:
    """Let the standby behind a socket take over; return what it says.

    Raises:
        UnavailableError: No standby runs there, or it does not answer in time.
        JournalError: It refused.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(timeout_s)
        try:
            with _short(path) as name:
                caller.connect(name)
            caller.sendall(json.dumps({"primary_is_dead": primary_is_dead}).encode() + b"\n")
            line = _read_line(caller)
        except OSError as error:
            raise UnavailableError(
                "standby", f"no standby answers at {path}: {error.strerror or error}"
            ) from error
    if not line:
        raise UnavailableError("standby", f"{_CLOSED}; see its log")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise JournalError(str(said["error"]))
    return said


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give a name that fits into the 108 bytes of an address, however deep the folder is."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _read_line(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and len(data) < LINE_BYTES_MAX:
        part = connection.recv(4_096)
        if not part:
            break
        data += part
    return data


def _name_user(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
