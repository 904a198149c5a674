import os
import select
import signal
import socket
import sys
from pathlib import Path

from server.child import Child
from server.listening import DECISION_FD_VARIABLE, open_listener
from server.watcher import Watcher
from server.worker import Worker

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
    # Until it is gone it may still take a connection into its grave.
    gone = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([gone], [], [], 20)
    os.close(gone)
    return pid
