"""`kill.sock`: the kill switch of one engine, for whoever may open its data directory.

A gRPC server of its own on a Unix socket of mode 0600, which needs neither Redis nor PostgreSQL nor
a warm engine: a kill takes the ring like any change, and is answered when the owner has applied and
journaled it. One that comes before the engine is warm waits in the ring and is applied before the
first decision. gRPC is loaded in a thread of this port, so that no start waits for it.
"""

import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from server.engine import Engine
from server.errors import ConfigurationError, UnavailableError
from server.hotpath.journal.journal_record import MODE_DISK
from server.hotpath.memory import Capacity
from server.listening import bind_for_owner, clear_local_address
from server.shards import Shard

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

# Longest path of a Unix socket, in bytes, without the zero behind it.
_PATH_BYTES_MAX: Final = 107
_CALLS_AT_ONCE: Final = 8
_MESSAGE_BYTES_MAX: Final = 8_192
_POLL_S: Final = 0.000_2
# Nobody waits longer: who asks has a deadline, and may ask again.
_WAIT_S: Final = 30.0
_SERVICE: Final = "riskgate.v1.KillService"


class KillPort:
    """Serves one engine, beside its decision port.

    Args:
        path: Of the socket, in a directory that is ours.
        engine: Running or about to.
        wake: Makes the engine's owner look at the ring; any thread.
        shard: Of the engine.

    Raises:
        ConfigurationError: Other accounts could put something else in the place of the socket, or
            something else is there, or somebody listens.
    """

    def __init__(self, path: Path, engine: Engine, wake: Callable[[], None], shard: Shard) -> None:
        self._path = path
        self._engine = engine
        self._wake = wake
        self._shard = shard
        self._server: grpc.Server | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kill-port", daemon=True)
        check_place(path)
        self._is_possible = len(os.fsencode(path)) <= _PATH_BYTES_MAX
        if self._is_possible:
            clear_local_address(f"unix:{path}")

    @property
    def address(self) -> str:
        """unix:/absolute/path; empty where the path is too long for a socket."""
        return f"unix:{self._path}" if self._is_possible else ""

    def start(self) -> None:
        """Serve as soon as gRPC is loaded, in a thread of its own."""
        if self._is_possible:
            self._thread.start()
        else:
            log.warning("%s is too long for a socket: kills come by the decision port", self._path)

    def stop(self) -> None:
        """End, and remove the socket; blocks for a moment."""
        self._stopping.set()
        if self._thread.ident is None:
            return
        self._thread.join()
        if self._server is not None:
            self._server.stop(0).wait()
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        try:
            self._serve()
        except (RuntimeError, OSError):
            log.exception("%s cannot be served: kills come by the decision port", self._path)

    def _serve(self) -> None:
        import grpc  # noqa: PLC0415 - see above

        from riskgate.v1 import kill_pb2  # noqa: PLC0415

        server = grpc.server(
            ThreadPoolExecutor(_CALLS_AT_ONCE, "kill"),
            options=[("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX)],
        )
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer,
            request_deserializer=kill_pb2.KillRequest.FromString,
            response_serializer=kill_pb2.KillResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE, {"Kill": handler}),)
        )
        bind_for_owner(self.address, server.add_insecure_port)
        if self._stopping.is_set():
            return
        self._server = server
        server.start()
        log.info("the kill switch listens at %s", self._path)
        _load_errand()

    def _answer(self, request: Any, context: Any) -> Any:
        from server.services.refusal import refusal_of  # noqa: PLC0415

        try:
            return self.kill(request, context.is_active)
        except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
            refusal = refusal_of(error)
            context.abort(refusal.code, refusal.message)
            return None

    def kill(self, request: Any, is_wanted: Callable[[], bool] = lambda: True) -> Any:
        """Put a kill into the ring, wait until it counts, and return the answer.

        Args:
            request: KillRequest.
            is_wanted: Whether somebody still waits for the answer; the kill counts in any case.

        Raises:
            RiskgateError: The request is wrong, or it is not known whether the kill counts.
        """
        from server.services.kill_errand import (  # noqa: PLC0415
            LOCAL_CALLER,
            confirm,
            read_kill,
        )

        wanted = read_kill(self._engine, request, LOCAL_CALLER, self._shard)
        ends_at_s = time.monotonic() + _WAIT_S

        def wait_for(is_done: Callable[[], bool]) -> None:
            while not is_done():
                if self._stopping.is_set() or not is_wanted() or time.monotonic() > ends_at_s:
                    raise UnavailableError("engine", "a kill was not applied in time")
                self._wake()
                time.sleep(_POLL_S)

        wait_for(lambda: self._engine.submit(wanted.change))
        number = self._engine.submitted_changes
        self._wake()
        wait_for(lambda: self._engine.taken_changes >= number)
        self._sync()
        log.warning("killed by %s: %s", LOCAL_CALLER, wanted.target.key)
        return confirm(self._engine, wanted, self._shard)

    def _sync(self) -> None:
        """Bring the entry to the disk where that was promised for answers."""
        journal = self._engine.journal[0]
        if journal["mode"] != MODE_DISK:
            return
        try:
            os.fdatasync(int(journal["segment_fd"]))
        except OSError as error:
            raise UnavailableError("journal", f"a kill was not synced: {error}") from error


def _load_errand() -> None:
    """Load what a kill on the decision port calls: there, the engine's owner would wait for it."""
    from server.services import kill_errand  # noqa: F401, PLC0415

    Engine(Capacity(**dict.fromkeys(Capacity._fields, 16))).drain(1)


def check_place(path: Path) -> None:
    """Do nothing when only this account can say what stands in the place of the socket.

    Raises:
        ConfigurationError: The folder is missing, or others own it or can write in it.
    """
    try:
        status = path.parent.stat()
    except OSError as error:
        raise ConfigurationError([f"kill switch: {path.parent}: {error.strerror}"]) from error
    if status.st_uid != os.geteuid():
        raise ConfigurationError([f"kill switch: {path.parent} belongs to another account"])
    if stat.S_IMODE(status.st_mode) & 0o022:
        raise ConfigurationError(
            [f"kill switch: other accounts can write in {path.parent}: chmod go-w"]
        )
