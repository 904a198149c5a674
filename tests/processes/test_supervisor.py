import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from server.child import Child
from server.errors import ConfigurationError
from server.listening import DECISION_FD_VARIABLE, open_listener
from server.settings import load_settings
from server.supervisor import Supervisor
from server.watcher import Watcher
from server.worker import Worker

TLS = {"decision_tls_certificate": "server.pem", "decision_tls_key": "server.key"}

# Tells each caller its process number, on the socket that it was given.
SERVER = """
import os
from server.listening import inherited_listener
listener = inherited_listener()
listener.setblocking(True)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(str(os.getpid()).encode())
"""


def _listen(data_dir: Path, **said: str) -> tuple[tuple[str, str], dict[str, socket.socket]]:
    settings = load_settings(data_dir=data_dir, decision_listen="127.0.0.1:0", **said)
    supervisor = Supervisor(settings)
    try:
        return supervisor._listen(), dict(supervisor._listeners)
    finally:
        supervisor._close_listeners()


def test_listen_when_the_lane_is_grpcio_then_the_engine_binds_for_itself(tmp_path: Path) -> None:
    (address, to_dial), listeners = _listen(tmp_path, lane="grpcio")
    assert address == to_dial
    assert not address.endswith(":0")
    assert listeners == {}


def test_listen_when_the_lane_is_compiled_then_the_socket_is_ours(tmp_path: Path) -> None:
    (address, to_dial), listeners = _listen(tmp_path, lane="compiled")
    assert address == to_dial
    assert list(listeners) == ["RISKGATE_DECISION_FD"]


def test_listen_when_it_speaks_tls_then_this_machine_has_a_socket_of_its_own(
    tmp_path: Path,
) -> None:
    (address, to_dial), listeners = _listen(tmp_path, lane="compiled", **TLS)
    assert address.startswith("127.0.0.1:")
    assert to_dial == f"unix:{tmp_path}/run/decision.sock"
    assert list(listeners) == ["RISKGATE_DECISION_FD", "RISKGATE_DECISION_LOCAL_FD"]
    assert not (tmp_path / "run" / "decision.sock").exists()


def test_listen_when_the_port_is_taken_then_the_stack_does_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = load_settings(
            data_dir=tmp_path,
            decision_listen=f"127.0.0.1:{taken.getsockname()[1]}",
            lane="compiled",
        )
        with pytest.raises(ConfigurationError, match="in use"):
            Supervisor(settings)._listen()


def test_worker_when_it_is_killed_again_and_again_then_no_caller_is_turned_away(
    tmp_path: Path,
) -> None:
    (tmp_path / "logs").mkdir()
    with open_listener("127.0.0.1:0") as listener:
        number = listener.fileno()
        worker = Worker(
            "engine",
            tmp_path,
            environment={DECISION_FD_VARIABLE: str(number)},
            grace_s=5,
            descriptors=(number,),
        )
        worker._arguments = [sys.executable, "-c", SERVER]
        watcher = Watcher(Child("engine", worker), on_start=lambda: None)
        watcher.child.start()
        watcher.start()
        try:
            pids = [_ask_and_kill(listener) for _ in range(4)]
        finally:
            watcher.stop()
    assert len(set(pids)) == 4
    assert not worker.is_running()


def _ask_and_kill(listener: socket.socket) -> int:
    """Return the process number of whoever answers, after having killed it."""
    # Connected while nobody may be there to accept; answered by the next process.
    with socket.create_connection(listener.getsockname(), timeout=20) as client:
        pid = int(client.recv(100))
    os.kill(pid, signal.SIGKILL)
    return pid
