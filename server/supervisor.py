"""`riskgate serve`: start everything of one data directory, keep it running, stop it in order.

The supervisor itself decides nothing and never loads gRPC, onnxruntime or numba (a process that
has them cannot start others safely), so there is little in it that could fail. Health is asked by a
child process (readiness.py). Everything started here dies with it, also when it is killed.
"""

import json
import logging
import os
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydantic import SecretStr

from server.addresses import resolve_port, to_dial
from server.child import Child
from server.embedded.locks import FileLock
from server.embedded.place import prepare_data_dir
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import read_tail, start_process, stop_process, wait_until
from server.embedded.redis import EmbeddedRedis
from server.errors import ConfigurationError, UnavailableError
from server.record.migrate import migrate
from server.security.keys import ensure_development_keys
from server.settings import Settings
from server.stack_state import StackState, remove_state
from server.worker import Worker, end_orphan

log = logging.getLogger(__name__)

_POLL_S = 0.1
_LOCK_WAIT_S = 2.0
# A child that dies this often before it ever served has a lasting reason; its log tells which.
_START_DEATHS_MAX = 3
_WORKERS = ("control", "engine")


@dataclass(frozen=True)
class Addresses:
    """The three listening addresses, with real port numbers."""

    decision: str
    control: str
    metrics: str


class Supervisor:
    """One stack, from lock to last stop.

    Args:
        settings: Complete settings; absent URLs mean embedded services.
        as_json: Report READY as a JSON object instead of a sentence.
    """

    def __init__(self, settings: Settings, *, as_json: bool = False) -> None:
        self._settings = settings
        self._as_json = as_json
        self._data_dir = settings.data_dir
        self._stop_asked = threading.Event()
        self._children: list[Child] = []
        self._state: StackState | None = None

    def run(self) -> None:
        """Start, report READY on stdout, watch until SIGTERM or SIGINT, stop.

        Raises:
            ConfigurationError: The data directory is in use or not usable.
            EmbeddedServiceError: PostgreSQL or Redis cannot be started.
            UnavailableError: The children did not serve in time.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        prepare_data_dir(self._data_dir)
        lock = FileLock(self._data_dir / "lock")
        # The doctor holds the lock for an instant when it asks whether somebody has it.
        if not wait_until(lock.acquire, timeout_s=_LOCK_WAIT_S):
            raise ConfigurationError(
                [f"data_dir: another `riskgate serve` runs in {self._data_dir}"]
            )
        with ExitStack() as stack:
            stack.callback(lock.release)
            stack.callback(remove_state, self._data_dir)
            stack.callback(self._stop_children)
            self._end_orphans()
            self._start(stack)
            while not self._stop_asked.wait(_POLL_S):
                self._watch()
            log.info("stopping")

    def _start(self, stack: ExitStack) -> None:
        database_url, redis_url = self._start_services()
        if self._stop_asked.is_set():
            return
        migrate(database_url)
        ensure_development_keys(self._data_dir / "keys")
        settings = self._settings
        addresses = Addresses(
            decision=resolve_port("decision_listen", settings.decision_listen),
            control=resolve_port("control_listen", settings.control_listen),
            metrics=resolve_port("metrics_listen", settings.metrics_listen),
        )
        environment = {
            **_to_variables(settings),
            "RISKGATE_DATABASE_URL": database_url,
            "RISKGATE_REDIS_URL": redis_url,
            "RISKGATE_DECISION_LISTEN": addresses.decision,
            "RISKGATE_CONTROL_LISTEN": addresses.control,
            "RISKGATE_METRICS_LISTEN": addresses.metrics,
        }
        for name in _WORKERS:
            worker = Worker(
                name,
                self._data_dir,
                environment=environment,
                grace_s=settings.shutdown_grace_ms / 1_000,
            )
            child = Child(name, worker)
            self._children.append(child)
            child.start()
        self._state = StackState(
            supervisor_pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            ready=False,
            decision_address=to_dial(addresses.decision),
            control_address=to_dial(addresses.control),
            metrics_address=to_dial(addresses.metrics),
            database_url=database_url,
            redis_url=redis_url,
            pids={},
        )
        self._write_state()
        self._wait_until_ready(stack, addresses)

    def _start_services(self) -> tuple[str, str]:
        settings = self._settings
        urls = []
        for name, secret, kind in (
            ("postgres", settings.database_url, EmbeddedPostgres),
            ("redis", settings.redis_url, EmbeddedRedis),
        ):
            if secret is not None:
                urls.append(secret.get_secret_value())
                continue
            service = kind(self._data_dir, service_user=settings.service_user)
            log.info("starting the embedded %s", name)
            child = Child(name, service)
            child.start()
            self._children.append(child)
            urls.append(service.url)
        return urls[0], urls[1]

    def _wait_until_ready(self, stack: ExitStack, addresses: Addresses) -> None:
        timeout_s = self._settings.start_timeout_ms / 1_000
        log_path = self._data_dir / "logs" / "readiness.log"
        log_path.unlink(missing_ok=True)
        probe = start_process(
            [
                *(sys.executable, "-m", "server.readiness", str(timeout_s)),
                *(to_dial(addresses.decision), to_dial(addresses.control)),
            ],
            log_path=log_path,
            death_signal=signal.SIGKILL,
            environment=os.environ,
        )
        stack.callback(stop_process, probe, ())
        while probe.poll() is None:
            if self._stop_asked.wait(_POLL_S):
                return
            self._watch()
            self._refuse_dying()
        if probe.returncode != 0:
            raise UnavailableError(
                "server",
                f"not serving after {timeout_s:.0f} s: {read_tail(log_path)}; "
                f"see {log_path.parent}",
            )
        if self._state is not None:
            self._state = self._state.model_copy(update={"ready": True})
            self._write_state()
        _report_ready(self._data_dir, addresses, as_json=self._as_json)

    def _refuse_dying(self) -> None:
        for child in self._children:
            if isinstance(child.service, Worker) and child.early_deaths >= _START_DEATHS_MAX:
                raise UnavailableError(
                    "server",
                    f"{child.name} keeps stopping; the end of {child.service.log_path}:\n"
                    f"{read_tail(child.service.log_path)}",
                )

    def _watch(self) -> None:
        started = [child.watch() for child in self._children]
        if any(started):
            self._write_state()

    def _write_state(self) -> None:
        if self._state is None:
            return
        pids = {child.name: child.service.pid for child in self._children}
        known = {name: pid for name, pid in pids.items() if pid is not None}
        self._state = self._state.model_copy(update={"pids": known})
        self._state.write(self._data_dir)

    def _stop_children(self) -> None:
        # Our own processes first and side by side, then the services that they need to finish.
        for child in self._children:
            if isinstance(child.service, Worker):
                child.service.ask_to_stop()
        for child in reversed(self._children):
            child.stop()

    def _end_orphans(self) -> None:
        earlier = StackState.read(self._data_dir)
        if earlier is None:
            return
        grace_s = self._settings.shutdown_grace_ms / 1_000
        for name in _WORKERS:
            if name in earlier.pids:
                end_orphan(earlier.pids[name], name, self._data_dir, grace_s=grace_s)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked.set()


def _to_variables(settings: Settings) -> dict[str, str]:
    # What the command line or a file said reaches the children too, so that all processes agree.
    variables = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        variables[f"RISKGATE_{name.upper()}"] = text
    return variables


def _report_ready(data_dir: Path, addresses: Addresses, *, as_json: bool) -> None:
    # Standard output is the interface here: scripts wait for this one line.
    if as_json:
        line = json.dumps({"ready": True, "data_dir": str(data_dir), **asdict(addresses)})
    else:
        line = (
            f"READY decisions on {addresses.decision}, control on {addresses.control}, metrics on "
            f"{addresses.metrics}, data in {data_dir}; next: riskgate apply -f FILE.yaml and "
            f"riskgate decide --help, each with --data-dir {data_dir}; stop with Ctrl-C"
        )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
