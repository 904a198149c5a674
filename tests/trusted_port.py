"""The decision port of either lane behind mutual TLS, and its callers."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import identity_pb2, kill_pb2
from riskgate.v1.admin_pb2 import ChangeNote
from server.embedded.process import wait_until
from server.engine import Engine
from server.grpcio_port import GrpcioPort
from server.security.grants import METHOD_PATHS, Grants
from server.settings import load_settings
from tests.certificates import Authority, Issued
from tests.decision_harness import good_request, new_engine
from tests.lane_harness import OWN_CONNECTION, LanePort, open_lane

LANES: Final = ("compiled", "grpcio")
Code = grpc.StatusCode
_WAIT_S: Final = 20.0


class Pki:
    """One authority, its list, and the files of one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca, _ = self.authority.issued.write(folder, "ca")
        self.crl = folder / "ca.crl"
        self.certificate, self.key = self.authority.issue_server().write(folder, "server")
        self.revoke()

    def settings(self) -> dict[str, Any]:
        """Return what a port needs to serve."""
        return {
            "data_dir": self.folder,
            "insecure_loopback": False,
            "tls_certificate": self.certificate,
            "tls_key": self.key,
            "tls_client_ca": self.ca,
            "tls_crl": self.crl,
        }

    def revoke(self, *issued: Issued) -> None:
        """Write the authority's list anew, as a whole."""
        aside = self.crl.with_suffix(".new")
        aside.write_bytes(self.authority.revoke(*issued))
        aside.replace(self.crl)


class GrpcioServed:
    """The grpcio port over one engine, on an event loop of its own."""

    def __init__(self, engine: Engine, settings: dict[str, Any]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port: GrpcioPort = self.run(self._start(engine, settings))
        self.grants = self.port.grants
        self.number = self.port.number

    async def _start(self, engine: Engine, settings: dict[str, Any]) -> GrpcioPort:
        port = GrpcioPort(load_settings(lane="grpcio", **settings), engine)
        await port.start()
        await port.say_serving()
        return port

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine on the loop that owns the engine."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        """Close the port and end the thread."""
        self.run(self.port.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class TrustedPort:
    """What tests ask of a port that wants certificates.

    Attributes:
        engine: Behind it; only what is plain memory may be read.
        grants: Of the port.
        pki: Who signs.
        number: TCP port.
    """

    def __init__(
        self, engine: Engine, pki: Pki, served: LanePort | GrpcioServed, grants: Grants
    ) -> None:
        self.engine = engine
        self.pki = pki
        self.grants = grants
        tcp = served.tcp_address[1] if isinstance(served, LanePort) else served.number
        self.number = tcp

    def dial(self, own: Issued | None) -> Any:
        """Return a new channel with a connection of its own."""
        key, chain = None, None
        if own is not None:
            key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            chain = own.certificate.public_bytes(Encoding.PEM)
        credentials = grpc.ssl_channel_credentials(self.pki.ca.read_bytes(), key, chain)
        return grpc.secure_channel(f"localhost:{self.number}", credentials, [OWN_CONNECTION])

    def put(self, uri: str, *accounts: str, **fields: Any) -> None:
        """Let the record have an entry of an identity."""
        self.grants.put(identity_pb2.Identity(uri=uri, accounts=accounts, **fields))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until something is so; fail when it never is."""
        assert wait_until(condition, timeout_s=_WAIT_S), "it did not happen"


@contextmanager
def open_trusted(
    lane: str, folder: Path, engine: Engine | None = None, **settings: Any
) -> Iterator[TrustedPort]:
    """Serve an engine for a while to whoever has a certificate."""
    pki, engine = Pki(folder), engine or new_engine()
    all_settings = {"decision_listen": "127.0.0.1:0", **pki.settings(), **settings}
    if lane == "compiled":
        with open_lane(engine, **all_settings) as port:
            yield TrustedPort(engine, pki, port, port.grants)
        return
    served = GrpcioServed(engine, all_settings)
    try:
        yield TrustedPort(engine, pki, served, served.grants)
    finally:
        served.stop()


# --- Calls of every method, about one account ---


def message_of(method: str, account_id: str) -> bytes:
    """Return a good request of a method about an account."""
    request = good_request(account_id=account_id, dry_run=True)
    report = pb.ExecutionReport(
        report_id="r",
        account_id=account_id,
        client_order_id="o",
        kind=4,  # type: ignore[arg-type]
    )
    messages: dict[str, Any] = {
        "Decide": request,
        "DecideBatch": pb.DecideBatchRequest(requests=[request]),
        "DecideStream": pb.DecideStreamRequest(tag=1, request=request),
        "ReportExecution": pb.ReportExecutionRequest(report=report),
        "SyncAccount": pb.SyncAccountRequest(account_id=account_id, equity=10_000.0),
        "WatchDirectives": pb.WatchDirectivesRequest(account_id=account_id),
        "AckDirective": pb.AckDirectiveRequest(directive_id=1),
        "Kill": kill_pb2.KillRequest(
            target=kill_pb2.KillTarget(scope=kill_pb2.KILL_SCOPE_ACCOUNT, name="nobody"),
            note=ChangeNote(actor="kim", reason="a test"),
        ),
    }
    raw: bytes = messages[method].SerializeToString()
    return raw


def outcome_of(channel: Any, method: str, raw: bytes) -> tuple[Code, str]:
    """Call a method; return its status and text, of a stream those of its one message."""
    path = path_of(method)
    try:
        if method == "DecideStream":
            (answer,) = channel.stream_stream(path)(iter([raw]), timeout=10)
            return _item_outcome(pb.DecideStreamResponse.FromString(answer))
        if method == "WatchDirectives":
            return _watch_outcome(channel.unary_stream(path)(raw, timeout=10))
        channel.unary_unary(path)(raw, timeout=10)
    except grpc.RpcError as error:
        failure: Any = error
        return failure.code(), failure.details()
    return Code.OK, ""


def path_of(method: str) -> str:
    """Return the path of a method of the decision port."""
    (path,) = (path for path in METHOD_PATHS.values() if path.endswith(f"/{method}"))
    return path


def _watch_outcome(call: Any) -> tuple[Code, str]:
    """Return how a watch has ended; OK: it goes on."""
    call.initial_metadata()
    # A refusal comes with that, in one piece.
    if not wait_until(lambda: not call.is_active(), timeout_s=1.0):
        call.cancel()
        return Code.OK, ""
    return call.code(), call.details()


def _item_outcome(response: pb.DecideStreamResponse) -> tuple[Code, str]:
    if not response.HasField("error"):
        return Code.OK, ""
    (code,) = (code for code in Code if code.value[0] == response.error.code)
    return code, response.error.message
