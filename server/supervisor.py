"""`riskgate serve`: start everything of one data directory, keep it running, stop it in order.

The supervisor itself decides nothing and never loads gRPC, onnxruntime or numba (a process that
has them cannot start others safely), so there is little in it that could fail. Health is asked by a
child process (readiness.py). Everything started here dies with it, also when it is killed. For the
compiled lane it owns the decision port's listening sockets: callers wait while an engine restarts.
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
from itertools import product
from types import FrameType

from pydantic import SecretStr

from server.addresses import resolve_port, to_dial
from server.child import Child
from server.embedded.locks import FileLock
from server.embedded.place import prepare_data_dir
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import read_tail, start_process, stop_process, wait_until
from server.embedded.redis import EmbeddedRedis
from server.engine_ports import EnginePorts, open_ports
from server.errors import ConfigurationError, UnavailableError
from server.record.migrate import migrate
from server.security.keys import ensure_development_keys
from server.security.pki_renewal import PkiRenewal, prepare_certificates
from server.settings import Settings, uses_development_pki
from server.stack_state import StackState, remove_state
from server.watcher import Watcher
from server.worker import Worker, end_orphan

log = logging.getLogger(__name__)

_POLL_S = 0.1
_LOCK_WAIT_S = 2.0
# A child that dies this often before it ever served has a lasting reason; its log tells which.
_START_DEATHS_MAX = 3
_WORKERS = ("control",)
# One process of each for every shard.
_SHARD_WORKERS = ("engine", "recorder")
# Decisions and changes go on without it.
_NOT_NEEDED = "recorder"


@dataclass(frozen=True)
class Addresses:
    """The listening addresses, with real port numbers; those of the first of several engines.

    Attributes:
        http: Empty: HTTP/JSON is not served.
    """

    decision: str
    control: str
    metrics: str
    decisions: tuple[str, ...]
    http: str = ""


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
        self._watchers: list[Watcher] = []
        self._engines: list[EnginePorts] = []
        self._state: StackState | None = None
        self._state_lock = threading.Lock()

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
            stack.callback(self._close_ports)
            stack.callback(self._stop_children)
            self._end_orphans()
            self._prepare_certificates(stack)
            self._start(stack)
            self._stop_asked.wait()
            log.info("stopping")

    def _prepare_certificates(self, stack: ExitStack) -> None:
        if self._settings.insecure_loopback:
            log.warning("INSECURE: no TLS; every caller on this machine may do everything")
        elif prepare_certificates(self._settings):
            renewal = PkiRenewal(self._settings)
            renewal.start()
            stack.callback(renewal.stop)

    def _start(self, stack: ExitStack) -> None:
        database_url, redis_url = self._start_services()
        if self._stop_asked.is_set():
            return
        migrate(database_url)
        ensure_development_keys(self._data_dir / "keys")
        settings = self._settings
        self._engines = open_ports(settings)
        addresses = Addresses(
            decision=self._engines[0].decision,
            control=resolve_port("control_listen", settings.control_listen),
            metrics=self._engines[0].metrics,
            decisions=tuple(ports.decision for ports in self._engines),
            http=resolve_port("http_listen", http) if (http := settings.http_listen) else "",
        )
        to_call = [ports.decision_to_dial for ports in self._engines]
        metrics = [to_dial(ports.metrics) for ports in self._engines]
        self._state = StackState(
            supervisor_pid=os.getpid(),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            ready=False,
            is_tls=not settings.insecure_loopback,
            decision_address=to_call[0],
            decision_addresses=to_call,
            control_address=to_dial(addresses.control),
            http_address=to_dial(addresses.http) if addresses.http else "",
            metrics_address=metrics[0],
            metrics_addresses=metrics,
            database_url=database_url,
            redis_url=redis_url,
            pids={},
        )
        self._start_workers(addresses, self._state)
        self._write_state()
        for watcher in self._watchers:
            watcher.start()
        self._wait_until_ready(stack, addresses)

    def _start_workers(self, addresses: Addresses, state: StackState) -> None:
        settings = self._settings
        environment = {
            **_to_variables(settings),
            "RISKGATE_DATABASE_URL": state.database_url,
            "RISKGATE_REDIS_URL": state.redis_url,
            "RISKGATE_DECISION_LISTEN": addresses.decision,
            "RISKGATE_CONTROL_LISTEN": addresses.control,
            "RISKGATE_HTTP_LISTEN": addresses.http,
            "RISKGATE_METRICS_LISTEN": addresses.metrics,
        }
        grace_s = settings.shutdown_grace_ms / 1_000
        for name in _WORKERS:
            worker = Worker(name, self._data_dir, environment=environment, grace_s=grace_s)
            self._start_child(Child(name, worker))
        for ports, command in product(self._engines, _SHARD_WORKERS):
            if command == "recorder" and settings.durability == "memory":
                continue  # there is no journal
            name = ports.shard.name(command)
            inherited = ports.descriptors() if command == "engine" else {}
            told = {**ports.to_variables(), **{key: str(fd) for key, fd in inherited.items()}}
            worker = Worker(
                command,
                self._data_dir,
                environment={**environment, **told},
                grace_s=grace_s,
                descriptors=tuple(inherited.values()),
                name=name,
                options=() if ports.shard.count == 1 else ("--shard", str(ports.shard)),
            )
            self._start_child(Child(name, worker))

    def _start_child(self, child: Child) -> None:
        # Listed first, so that a start that fails half way is stopped too.
        self._watchers.append(Watcher(child, on_start=self._write_state))
        child.start()

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
            self._start_child(Child(name, service))
            urls.append(service.url)
        return urls[0], urls[1]

    def _wait_until_ready(self, stack: ExitStack, addresses: Addresses) -> None:
        timeout_s = self._settings.start_timeout_ms / 1_000
        log_path = self._data_dir / "logs" / "readiness.log"
        log_path.unlink(missing_ok=True)
        probe = start_process(
            [sys.executable, "-m", "server.readiness", str(timeout_s), str(self._data_dir)],
            log_path=log_path,
            death_signal=signal.SIGKILL,
            environment=os.environ,
        )
        stack.callback(stop_process, probe, ())
        while probe.poll() is None:
            if self._stop_asked.wait(_POLL_S):
                return
            self._refuse_dying()
        if probe.returncode != 0:
            raise UnavailableError(
                "server",
                f"not serving after {timeout_s:.0f} s: {read_tail(log_path)}; "
                f"see {log_path.parent}",
            )
        self._write_state(ready=True)
        _report_ready(self._settings, addresses, as_json=self._as_json)

    def _refuse_dying(self) -> None:
        for child in (watcher.child for watcher in self._watchers):
            if child.name.startswith(_NOT_NEEDED):
                continue
            if isinstance(child.service, Worker) and child.early_deaths >= _START_DEATHS_MAX:
                raise UnavailableError(
                    "server",
                    f"{child.name} keeps stopping; the end of {child.service.log_path}:\n"
                    f"{read_tail(child.service.log_path)}",
                )

    def _write_state(self, *, ready: bool | None = None) -> None:
        # Any watcher may come here, and what the last one writes must be whole.
        with self._state_lock:
            if self._state is None:
                return
            children = [watcher.child for watcher in self._watchers]
            pids = {child.name: child.service.pid for child in children}
            known = {name: pid for name, pid in pids.items() if pid is not None}
            is_ready = self._state.ready if ready is None else ready
            self._state = self._state.model_copy(update={"pids": known, "ready": is_ready})
            self._state.write(self._data_dir)

    def _stop_children(self) -> None:
        for watcher in self._watchers:
            watcher.hold()
        # Our own processes first and side by side, then the services that they need to finish.
        for service in (watcher.child.service for watcher in self._watchers):
            if isinstance(service, Worker):
                service.ask_to_stop()
        for watcher in reversed(self._watchers):
            watcher.stop()

    def _close_ports(self) -> None:
        for ports in self._engines:
            ports.close()

    def _end_orphans(self) -> None:
        earlier = StackState.read(self._data_dir)
        if earlier is None:
            return
        grace_s = self._settings.shutdown_grace_ms / 1_000
        for name, pid in earlier.pids.items():
            command = name.partition("-")[0]
            if command in {*_WORKERS, *_SHARD_WORKERS}:
                end_orphan(pid, command, self._data_dir, grace_s=grace_s)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop_asked.set()


def _to_variables(settings: Settings) -> dict[str, str]:
    # What the command line or a file said reaches the children too, so that all processes agree.
    variables = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is None:
            continue
        text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        variables[f"RISKGATE_{name.upper()}"] = text
    return variables


def _report_ready(settings: Settings, addresses: Addresses, *, as_json: bool) -> None:
    # Standard output is the interface here: scripts wait for this one line.
    data_dir = settings.data_dir
    if as_json:
        said = {"ready": True, "data_dir": str(data_dir), **asdict(addresses)}
        ca = settings.tls_client_ca
        said |= {"security": "insecure_loopback" if ca is None else "mutual_tls"}
        line = json.dumps({**said, "ca": ca and str(ca)})
    else:
        decisions = ", ".join(addresses.decisions)
        http = f"HTTP on {addresses.http}, " if addresses.http else ""
        line = (
            f"READY decisions on {decisions}, control on {addresses.control}, {http}metrics on "
            f"{addresses.metrics}, data in {data_dir}; {_describe_security(settings)}; next: "
            'riskgate apply -f demo/sample.yaml --reason "first set-up" and '
            f"riskgate decide --help, each with --data-dir {data_dir}; stop with Ctrl-C"
        )
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _describe_security(settings: Settings) -> str:
    if settings.insecure_loopback:
        return "INSECURE: no TLS, every caller on this machine may do everything"
    if uses_development_pki(settings):
        return "mutual TLS, riskgate pki issue lets others in"
    return f"mutual TLS for certificates of {settings.tls_client_ca}"
