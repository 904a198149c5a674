"""The embedded Redis: one Unix socket in a 0700 folder, append-only file, no TCP.

Besides that it wants a user and a password, and that user may not change how the server works: a
process that finds a way to the socket but cannot read our keys gets nothing. Persistence is the
append-only file, flushed every second; what it may lose on a power cut the publisher writes again
from PostgreSQL.
"""

import os
import signal
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis

from server.embedded.binaries import find_redis
from server.embedded.locks import FileLock
from server.embedded.place import Place, choose_place
from server.embedded.process import (
    end_leftover,
    has_working_folder,
    read_tail,
    start_process,
    stop_process,
    wait_until,
)
from server.embedded.secret_file import ensure_password
from server.embedded.sockets import (
    clear_folder,
    find_socket_folder,
    open_socket_folder,
    remove_socket_folder,
)
from server.errors import EmbeddedServiceError

NAME = "redis"
_SOCKET = "redis.sock"
_START_TIMEOUT_S = 30.0
_STOP_SIGNALS = (signal.SIGTERM,)
_USER = "riskgate"
_USERS_FILE = "users.acl"
# All that reads and writes data; nothing that changes the server, looks at others or copies it out.
_RIGHTS = "~* &* +@all -@admin -@dangerous +flushdb +flushall"


class EmbeddedRedis:
    """One Redis under one data directory.

    Args:
        data_dir: Absolute data directory; made when absent.
        service_user: Account to run as when we are root.
    """

    def __init__(self, data_dir: Path, *, service_user: str = "nobody") -> None:
        self.data_dir = data_dir
        self._service_user = service_user
        self._place: Place | None = None
        self._lock: FileLock | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def place(self) -> Place:
        """Where it lives."""
        if self._place is None:
            self._place = choose_place(self.data_dir, self._service_user)
        return self._place

    @property
    def url(self) -> str:
        """The URL of database 0, with its password."""
        socket = quote(str(find_socket_folder(self.place, NAME) / _SOCKET))
        return f"unix://{_USER}:{self._password()}@{socket}?db=0"

    @property
    def pid(self) -> int | None:
        """Process number of the server that we started; None when we did not."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Tell whether the service is up: our child lives, or another owner's answers."""
        if self._process is not None:
            return self._process.poll() is None
        return self._place is not None and self._answers()

    def start(self) -> None:
        """Start and wait until it answers; use the running one when another process owns it.

        Raises:
            ConfigurationError: The data directory is not usable.
            EmbeddedServiceError: It cannot be started; says why and how to mend it.
        """
        place = self.place
        self._lock = self._lock or FileLock(place.make_run_folder() / f"{NAME}.lock")
        if not self._lock.acquire():
            if not wait_until(self._answers, timeout_s=_START_TIMEOUT_S):
                raise EmbeddedServiceError(
                    f"another process owns Redis under {place.root} but it does not answer",
                    mend="stop that process, or wait until it has started",
                )
            return
        try:
            self._start_owned(place)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop what we started, cleanly; leave alone what another process owns."""
        if self._process is not None:
            stop_process(self._process, _STOP_SIGNALS)
            self._process = None
        if self._lock is not None and self._lock.held:
            remove_socket_folder(self.place, NAME)
            self._lock.release()

    def _start_owned(self, place: Place) -> None:
        program = find_redis(place.account)
        home = place.make_service_folder(NAME)
        pid_path = home / "redis.pid"
        # Two servers on one append-only file would ruin it: first make sure that none is left.
        end_leftover(pid_path, lambda pid: has_working_folder(pid, home), _STOP_SIGNALS)
        sockets = open_socket_folder(place, NAME)
        clear_folder(sockets)
        users = home / _USERS_FILE
        _write_users(users, self._password())
        place.give(users, 0o600)
        log_path = self.data_dir / "logs" / f"{NAME}.log"
        process = start_process(
            _arguments(program, home, sockets / _SOCKET, pid_path),
            log_path=log_path,
            death_signal=signal.SIGTERM,
            account=place.account,
        )
        self._process = process
        wait_until(
            lambda: process.poll() is not None or self._answers(), timeout_s=_START_TIMEOUT_S
        )
        if process.poll() is not None or not self._answers():
            raise EmbeddedServiceError(
                f"Redis did not start; the end of {log_path}:\n{read_tail(log_path)}",
                mend=f"see the log; when the file in {home} is damaged, remove that folder: "
                "the publisher writes it again",
            )

    def _password(self) -> str:
        return ensure_password(self.place.data_dir / "keys" / f"{NAME}.password")

    def _answers(self) -> bool:
        client = redis.Redis.from_url(
            self.url, socket_timeout=2, socket_connect_timeout=2, retry=None
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            # Refused, or still loading its file.
            return False
        finally:
            client.close()


def _write_users(path: Path, password: str) -> None:
    # The hash of 256 random bits tells nothing, neither here nor in a list of processes.
    digest = sha256(password.encode("ascii")).hexdigest()
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"user default off nopass -@all\nuser {_USER} on #{digest} {_RIGHTS}\n")


def _arguments(program: Path, home: Path, socket: Path, pid_path: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(home),
        "aclfile": str(home / _USERS_FILE),
        "pidfile": str(pid_path),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "everysec",
        # Snapshots would only double the append-only file.
        "save": "",
        "maxmemory-policy": "noeviction",
        "loglevel": "notice",
    }
    arguments = [str(program)]
    for name, value in options.items():
        arguments += [f"--{name}", value]
    return arguments
