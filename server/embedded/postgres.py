"""The embedded PostgreSQL 18: initialised once, reachable by Unix socket and password only.

Invariants: scram-sha-256 for every connection, no TCP, socket folder 0700, passwords in 0600
files, never root. Two roles: `postgres` (superuser, for this module) and `riskgate`, which owns the
database of that name and is what everything else connects as.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import LiteralString, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from server.embedded.account import identity_of
from server.embedded.binaries import find_postgres
from server.embedded.locks import FileLock
from server.embedded.place import Place, choose_place
from server.embedded.process import (
    end_leftover,
    has_working_folder,
    minimal_environment,
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

NAME = "postgres"
DATABASE = "riskgate"
_SUPERUSER = "postgres"
_START_TIMEOUT_S = 60.0
_HBA_FILE = "pg_hba.conf"
_HBA = "# Written at every start: passwords only, Unix socket only.\nlocal all all scram-sha-256\n"
# SIGINT: roll back and close cleanly. SIGQUIT: stop at once, recover from the log next time.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
# A killed postmaster's children let go of its shared memory only a moment later.
_ORPHANS_TEXT = "pre-existing shared memory block"


class EmbeddedPostgres:
    """One cluster under one data directory.

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
        """Where the cluster lives."""
        if self._place is None:
            self._place = choose_place(self.data_dir, self._service_user)
        return self._place

    @property
    def url(self) -> str:
        """The URL of the application's role and database, password included."""
        return self._url(DATABASE, DATABASE)

    @property
    def admin_url(self) -> str:
        """The superuser's URL; for this module, backups and tests."""
        return self._url(_SUPERUSER, _SUPERUSER)

    @property
    def pid(self) -> int | None:
        """Process number of the postmaster that we started; None when we did not."""
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
                    f"another process owns PostgreSQL under {place.root} but it does not answer",
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
        home = find_postgres(place.account)
        cluster = self._ensure_cluster(place, home)
        end_leftover(
            cluster / "postmaster.pid",
            lambda pid: has_working_folder(pid, cluster),
            _STOP_SIGNALS,
        )
        sockets = open_socket_folder(place, NAME)
        clear_folder(sockets)
        self._write_hba(place)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._try_start(place, home, cluster, sockets):
            tail = read_tail(self._log_path)
            if _ORPHANS_TEXT not in tail.rpartition("starting PostgreSQL")[2] or (
                time.monotonic() > deadline
            ):
                raise EmbeddedServiceError(
                    f"PostgreSQL did not start; the end of {self._log_path}:\n{tail}",
                    mend="see the log; with a damaged cluster restore a backup",
                )
            time.sleep(0.2)
        self._ensure_database()

    def _try_start(self, place: Place, home: Path, cluster: Path, sockets: Path) -> bool:
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "password_encryption": "scram-sha-256",
            "hba_file": str(place.root / "run" / _HBA_FILE),
            "max_connections": "100",
            "logging_collector": "off",
            "log_destination": "stderr",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # Our statements are short: compiling one costs more than running it.
            "jit": "off",
        }
        arguments = [str(home / "bin" / "postgres"), "-D", str(cluster)]
        for name, value in options.items():
            arguments += ["-c", f"{name}={value}"]
        process = start_process(
            arguments,
            log_path=self._log_path,
            death_signal=signal.SIGINT,
            account=place.account,
        )
        self._process = process
        wait_until(
            lambda: process.poll() is not None or self._answers(), timeout_s=_START_TIMEOUT_S
        )
        if process.poll() is None and self._answers():
            return True
        stop_process(process, _STOP_SIGNALS)
        self._process = None
        return False

    def _write_hba(self, place: Place) -> None:
        # Ours, outside the cluster: the service account may read the rules, not change them.
        rules = place.make_run_folder() / _HBA_FILE
        rules.write_text(_HBA, encoding="ascii")
        rules.chmod(0o640)
        if place.account:
            os.chown(rules, -1, place.account.gid)

    def _ensure_cluster(self, place: Place, home: Path) -> Path:
        cluster = place.root / NAME
        if (cluster / "PG_VERSION").is_file():
            return cluster
        # Made aside and renamed, so that an interrupted initdb is never taken for a cluster.
        aside = place.root / f"{NAME}.new"
        _remove_tree(aside)
        place.make_service_folder(aside.name)
        password = place.make_run_folder() / f"{NAME}.initial-password"
        password.write_text(self._password(_SUPERUSER), encoding="ascii")
        place.give(password, 0o600)
        try:
            done = subprocess.run(
                [
                    str(home / "bin" / "initdb"),
                    *("--pgdata", str(aside), "--username", _SUPERUSER),
                    *("--auth=scram-sha-256", f"--pwfile={password}"),
                    *("--encoding=UTF8", "--locale=C"),
                ],
                check=False,
                capture_output=True,
                text=True,
                cwd="/",
                env=minimal_environment(),
                umask=0o077,
                timeout=_START_TIMEOUT_S,
                **identity_of(place.account),
            )
        finally:
            password.unlink()
        if done.returncode != 0:
            raise EmbeddedServiceError(
                f"initdb failed in {aside}: {(done.stderr or done.stdout).strip()}",
                mend="check free space and that the folder may be written, then start again",
            )
        if cluster.is_dir():
            cluster.rmdir()
        aside.rename(cluster)
        return cluster

    def _ensure_database(self) -> None:
        role = sql.Identifier(DATABASE)
        with psycopg.connect(self.admin_url, autocommit=True, connect_timeout=10) as connection:
            if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s"):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            # At every start, so that a lost password file mends itself.
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, self._password(DATABASE))
            )
            if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s"):
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedServiceError(
                    f"PostgreSQL refuses the password in {self.data_dir / 'keys'}",
                    mend="restore keys/postgres.password of this data directory",
                ) from error
            return False
        return True

    @property
    def _log_path(self) -> Path:
        return self.data_dir / "logs" / f"{NAME}.log"

    def _password(self, role: str) -> str:
        return ensure_password(self.data_dir / "keys" / f"{role}.password")

    def _url(self, role: str, database: str) -> str:
        sockets = quote(str(find_socket_folder(self.place, NAME)), safe="")
        return f"postgresql://{role}:{self._password(role)}@/{database}?host={sockets}&port=5432"


def _exists(connection: psycopg.Connection[tuple[object, ...]], query: LiteralString) -> bool:
    return connection.execute(query, (DATABASE,)).fetchone() is not None


def _remove_tree(folder: Path) -> None:
    # Below it everything belongs to the service account, which can only trick us with symbolic
    # links; those are unlinked, never followed.
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            _remove_tree(entry)
        else:
            entry.unlink()
    folder.rmdir()
