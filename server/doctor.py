"""`riskgate doctor`: is the stack of a data directory healthy, and if not, what mends it?

Every check asks the real thing with a timeout of a few seconds and changes nothing. A check that
cannot be made because an earlier part is away fails too: healthy means that all of them passed.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final, cast

import grpc

from riskgate.channel import Credentials, RunningStack, StackNotFoundError, open_channel
from riskgate.credentials import CredentialsError
from riskgate.v1 import decision_pb2, decision_pb2_grpc, types_pb2
from server.embedded.locks import FileLock
from server.embedded.probe import FeedState, check_database, check_schema, read_feed
from server.embedded.process import wait_until
from server.errors import RiskgateError
from server.readiness import read_status
from server.recorder.progress import PROGRESS_FOLDER, Progress
from server.security.pki import time_left
from server.security.trust_set import load_trust_set
from server.settings import PKI_FOLDER, Settings
from server.shards import Shard, all_shards
from server.stack_state import StackState

_CALL_TIMEOUT_S: Final = 2.0
# A change travels from the record to the engine within moments; more is a fault.
_LAG_TIMEOUT_S: Final = 2.0
# From here on the engine is DEGRADED.
_HEARTBEAT_AGE_MS_MAX: Final = 2_000
# The engine journals its clock ten times a second, so there is always something to record.
_RECORDER_SILENT_MS_MAX: Final = 10_000
# Ours are renewed ten days before; less means that nobody does.
_CERTIFICATE_LEFT_MIN: Final = timedelta(days=1)
_OTHERS_MODE: Final = 0o077
_START: Final = "start it with `riskgate serve`"


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: Stable name for scripts.
        ok: Whether all is well.
        problem: What is wrong; empty when ok.
        mend: What to do about it; empty when ok.
    """

    name: str
    ok: bool
    problem: str = ""
    mend: str = ""

    def to_dict(self) -> dict[str, str | bool]:
        """Return the check for JSON."""
        return asdict(self)


class Problem(Exception):  # noqa: N818 - ends a check, is never an error of ours
    """What ends a check that did not pass."""

    def __init__(self, problem: str, mend: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.mend = mend


def examine(settings: Settings) -> list[Check]:
    """Make all checks of the stack in `settings.data_dir`, in the order in which to mend them."""
    return [_make(name, check) for name, check in _Examination(settings).checks()]


def _make(name: str, check: Callable[[], None]) -> Check:
    try:
        check()
    except Problem as problem:
        return Check(name, ok=False, problem=problem.problem, mend=problem.mend)
    except (RiskgateError, OSError) as error:
        return Check(name, ok=False, problem=str(error), mend="see the logs in the data directory")
    return Check(name, ok=True)


class _Examination:
    """The checks and what they share: settings, and what the supervisor says it started."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data_dir = settings.data_dir
        self._logs = settings.data_dir / "logs"
        self._state: StackState | None = None

    def checks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        yield "data_directory", self._check_data_directory
        yield "disk_space", self._check_disk_space
        yield "supervisor", self._check_supervisor
        yield "keys", self._check_keys
        yield "certificates", self._check_certificates
        yield "postgres", self._check_postgres
        yield "migrations", self._check_schema
        yield "redis", self._check_redis
        yield "control", self._check_control
        for shard in all_shards(len(self._decision_addresses())):
            yield shard.name("engine"), partial(self._check_engine, shard)
        yield "publisher", self._check_publisher
        for shard in all_shards(len(self._decision_addresses())):
            yield shard.name("engine_state"), partial(self._check_engine_state, shard)
            if self._settings.durability != "memory":
                yield shard.name("recorder"), partial(self._check_recorder, shard)

    def _check_data_directory(self) -> None:
        if not self._data_dir.is_dir():
            raise Problem(f"{self._data_dir} does not exist", f"{_START}, or name another one")
        status = self._data_dir.stat()
        if status.st_uid != os.geteuid():
            raise Problem(f"{self._data_dir} belongs to another account", "run as that account")
        # Passing through by group is what lets an unprivileged database reach its own folder.
        if stat.S_IMODE(status.st_mode) & 0o067:
            raise Problem(f"others can look into {self._data_dir}", f"chmod 700 {self._data_dir}")

    def _check_disk_space(self) -> None:
        free_bytes = shutil.disk_usage(self._data_dir).free
        if free_bytes < self._settings.disk_free_bytes_min:
            raise Problem(
                f"only {free_bytes >> 20} MiB are free below {self._data_dir}", "make room there"
            )

    def _check_supervisor(self) -> None:
        self._state = StackState.read(self._data_dir)
        if self._state is None:
            raise Problem(f"nothing was started in {self._data_dir}", _START)
        lock = FileLock(self._data_dir / "lock")
        if lock.acquire():
            lock.release()
            raise Problem("the supervisor has died; its state.json is left over", _START)
        if not self._state.ready:
            raise Problem("the stack is still starting", f"wait, and look into {self._logs}")

    def _check_keys(self) -> None:
        keys = self._data_dir / "keys"
        load_trust_set(keys)
        private = [path for path in keys.glob("*.pem") if not path.match("*.pub.pem")]
        for path in sorted((*keys.glob("*.password"), *private)):
            if stat.S_IMODE(path.stat().st_mode) & _OTHERS_MODE:
                raise Problem(f"others can read {path}", f"chmod 600 {path}")

    def _check_certificates(self) -> None:
        if self._state is None or not self._state.is_tls:
            return
        files = [self._settings.tls_certificate, self._settings.tls_client_ca]
        for path in (path for path in files if path is not None and path.exists()):
            left = time_left(path)
            if left < _CERTIFICATE_LEFT_MIN:
                raise Problem(f"{path} ends in {left}", "renew it; `riskgate pki init` renews ours")
        for path in sorted((self._data_dir / PKI_FOLDER).rglob("*.key")):
            if stat.S_IMODE(path.stat().st_mode) & _OTHERS_MODE:
                raise Problem(f"others can read {path}", f"chmod 600 {path}")

    def _check_postgres(self) -> None:
        try:
            check_database(self._database_url())
        except RiskgateError as error:
            raise Problem(f"PostgreSQL: {error}", self._mend_of("postgres")) from error

    def _check_schema(self) -> None:
        problems = check_schema(self._database_url())
        if problems:
            raise Problem(
                "; ".join(problems),
                "run `riskgate migrate`; a table that was dropped comes back from a backup only",
            )

    def _check_redis(self) -> None:
        self._read_feed()

    def _check_control(self) -> None:
        address = self._state.control_address if self._state else self._settings.control_listen
        _check_serving("control", address, self._credentials(address), self._logs)

    def _check_engine(self, shard: Shard) -> None:
        address = self._decision_addresses()[shard.index]
        _check_serving(shard.name("engine"), address, self._credentials(address), self._logs)

    def _check_publisher(self) -> None:
        age_ms = self._read_feed().entry_age_ms
        if age_ms is None or age_ms > _HEARTBEAT_AGE_MS_MAX:
            said = "there is none" if age_ms is None else f"it is {age_ms} ms old"
            raise Problem(
                f"the publisher's heartbeat is missing: {said}, at most "
                f"{_HEARTBEAT_AGE_MS_MAX} ms is healthy",
                f"the control process publishes: see {self._logs / 'control.log'}",
            )

    def _check_engine_state(self, shard: Shard) -> None:
        answer = self._judge_nothing(shard)
        log_path = self._logs / f"{shard.name('engine')}.log"
        published = self._read_feed().version or 0

        def has_caught_up() -> bool:
            nonlocal answer
            answer = self._judge_nothing(shard)
            return answer.state_version >= published

        if not wait_until(has_caught_up, timeout_s=_LAG_TIMEOUT_S):
            raise Problem(
                f"the engine decides on state version {answer.state_version}, published is "
                f"{published}",
                f"see {log_path}; a restart of the engine loads everything anew",
            )
        if answer.mode == types_pb2.MODE_REFUSE:
            raise Problem(
                "the engine refuses every order that adds risk",
                "mend what the checks above name; `riskgate decide --explain` says why",
            )

    def _judge_nothing(self, shard: Shard) -> decision_pb2.DecideResponse:
        # A dry run for an account that cannot exist: denied, nothing stored, but it tells the
        # version and the mode of the state behind it.
        request = decision_pb2.DecideRequest(
            account_id=next(filter(shard.owns, map("riskgate-doctor-{}".format, count()))),
            provider_id="riskgate-doctor",
            provider_type=types_pb2.PROVIDER_TYPE_USER,
            symbol="RISKGATE-DOCTOR",
            side=types_pb2.SIDE_BUY,
            entry_price=1.0,
            stop_loss=0.5,
            dry_run=True,
        )
        address = self._decision_addresses()[shard.index]
        with open_channel(address, "decision", self._credentials(address)) as channel:
            stub = decision_pb2_grpc.DecisionServiceStub(channel)
            try:
                answer: decision_pb2.DecideResponse = stub.Decide(request, timeout=_CALL_TIMEOUT_S)
            except grpc.RpcError as error:
                call = cast("grpc.Call", error)
                code = call.code().name
                if code == "PERMISSION_DENIED":
                    # Who dials the port shows the operator's certificate, and that is no trader's.
                    raise Problem(
                        f"the engine on {address} denies its state: {call.details()}",
                        f"move {self._data_dir} to a shorter path: decisions of this account go "
                        "over a socket in run/, whose path may have 107 bytes",
                    ) from error
                raise Problem(
                    f"the engine gives no answer: {code}",
                    f"see {self._logs / shard.name('engine')}.log",
                ) from error
        return answer

    def _check_recorder(self, shard: Shard) -> None:
        name = shard.name("recorder")
        mend = f"decisions go on; see {self._logs / name}.log"
        path = self._data_dir / PROGRESS_FOLDER / f"{name}.json"
        progress = Progress.read(path)
        if progress is None:
            raise Problem("it has recorded nothing yet", mend)
        if progress.problem:
            raise Problem(progress.problem, mend)
        silent_ms = time.time_ns() // 1_000_000 - progress.written_at_ms
        if silent_ms > _RECORDER_SILENT_MS_MAX:
            raise Problem(f"silent for {silent_ms / 1_000:.0f} s", mend)

    def _read_feed(self) -> FeedState:
        url = self._redis_url()
        try:
            return read_feed(url)
        except RiskgateError as error:
            raise Problem(f"Redis: {error}", self._mend_of("redis")) from error

    def _mend_of(self, service: str) -> str:
        embedded = self._state is not None and service in self._state.pids
        log = self._logs / f"{service}.log"
        return f"the supervisor restarts it; see {log}" if embedded else "start that server"

    def _database_url(self) -> str:
        if self._state is not None:
            return self._state.database_url
        if self._settings.database_url is None:
            raise Problem("no PostgreSQL was started or named", _START)
        return self._settings.database_url_text()

    def _redis_url(self) -> str:
        if self._state is not None:
            return self._state.redis_url
        if self._settings.redis_url is None:
            raise Problem("no Redis was started or named", _START)
        return self._settings.redis_url_text()

    def _credentials(self, address: str) -> Credentials:
        try:
            return RunningStack.read(self._data_dir).choose_credentials([address])
        except StackNotFoundError:
            return "plaintext"
        except CredentialsError as error:
            raise Problem(str(error), "name a client certificate that the stack accepts") from error

    def _decision_addresses(self) -> list[str]:
        if self._state is None:
            return [self._settings.decision_listen]
        return self._state.decision_addresses or [self._state.decision_address]


def _check_serving(name: str, address: str, credentials: Credentials, logs: Path) -> None:
    status = read_status(address, credentials)
    if status != "SERVING":
        raise Problem(f"{name} on {address} is {status}", f"see {logs / f'{name}.log'}")
