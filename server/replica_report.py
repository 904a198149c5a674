"""Says again and again what this engine runs: in its data directory, and in Redis for all."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from server.engine import Engine
from server.errors import UnavailableError
from server.loaders.activation_change import NO_DIGEST
from server.loaders.activations import Activations
from server.replica import REPLICA_FILE, Replica, read_seen, write_replica
from server.settings import Settings
from server.shards import Shard

log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.5
# A refused model that reaches its trial run costs a second of a core.
RETRY_S: Final = 5.0


class Register(Protocol):
    """Where engines are looked for."""

    def say(self, replica: Replica) -> None:
        """Let everybody know.

        Raises:
            UnavailableError: Nobody answers.
        """

    def close(self) -> None:
        """Close the connection."""


def replica_path(settings: Settings) -> Path:
    """Return the file of this engine."""
    return Shard.parse(settings.shard).folder(settings.data_dir, REPLICA_FILE)


class ReplicaReport:
    """Reports one engine, in a thread of its own, and lets it try again what it refused.

    Args:
        settings: Of the engine.
        engine: May be running.
        activations: What it was told to run.
        register: Gets the report every half second.
        kill_socket: Address of its kill switch; empty: it has none.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        activations: Activations,
        register: Register,
        *,
        kill_socket: str = "",
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._activations = activations
        self._register = register
        self._kill_socket = kill_socket
        self._path = replica_path(settings)
        self._written: tuple[object, ...] = ()
        self._said = ""
        self._tried_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replica-report", daemon=True)

    def look(self) -> Replica:
        """Return what the engine runs now."""
        models, policies = self._activations.models, self._activations.policies
        serial, digest = models.running
        problems = (each.wanted.problem for each in (models, policies) if not each.is_proven)
        return Replica(
            shard=self._settings.shard,
            address=self._settings.decision_listen,
            epoch=int(self._engine.state.engine[0]["epoch"]),
            model_digest="" if digest == NO_DIGEST else digest.hex(),
            model_serial=serial,
            policy_digest=policies.digest.hex(),
            is_proven=self._activations.is_proven,
            problem=next((type(each).__name__ for each in problems if each), ""),
            said_at_ns=time.time_ns(),
            is_tls=not self._settings.insecure_loopback,
            kill_socket=self._kill_socket,
            pid=os.getpid(),
        )

    def report(self) -> None:
        """Say once what the engine runs; what cannot be written or sent is logged."""
        replica, seen = self.look(), self._activations.seen
        content = (replace(replica, said_at_ns=0), seen)
        if content != self._written:
            try:
                write_replica(self._path, replica, seen)
                self._written = content
            except OSError as error:
                self._say(f"{self._path} cannot be written: {error.strerror}")
        try:
            self._register.say(replica)
            self._said = ""
        except UnavailableError as error:
            self._say(str(error))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks for a moment."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._register.close()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            try:
                self.report()
                if time.monotonic() - self._tried_s >= RETRY_S:
                    self._tried_s = time.monotonic()
                    self._activations.try_again()
            except Exception:
                # A defect must not end the report for good.
                log.exception("the replica cannot be reported")

    def _say(self, line: str) -> None:
        # The same trouble twice a second is one line.
        if line != self._said:
            self._said = line
            log.warning("%s", line)


def open_activations(settings: Settings, engine: Engine, put: Callable[..., bool]) -> Activations:
    """Return the activations of an engine, with what its earlier starts have accepted.

    Raises:
        ConfigurationError: What they have accepted cannot be read.
    """
    seen = read_seen(replica_path(settings))
    return Activations(settings.data_dir, engine.state, put, seen, settings.artifact_store_url)
