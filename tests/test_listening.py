import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.errors import ConfigurationError
from server.listening import (
    BACKLOG,
    DECISION_FD_VARIABLE,
    close_listener,
    inherited_listener,
    listening_address,
    open_listener,
)

# Accepts one connection from the inherited socket and says what came.
HEIR = """
import os, select, sys
from server.listening import inherited_listener
listener = inherited_listener()
assert inherited_listener() is None
assert not os.get_inheritable(listener.fileno())
assert not listener.getblocking()
select.select([listener], [], [], 10)
connection, _ = listener.accept()
connection.setblocking(True)
connection.sendall(sys.argv[1].encode() + connection.recv(100))
"""


def test_open_when_the_port_is_zero_then_it_listens_on_a_real_one_without_blocking() -> None:
    with open_listener("127.0.0.1:0") as listener:
        address = listening_address(listener, "127.0.0.1:0")
        port = listener.getsockname()[1]
        assert port > 0
        assert address == f"127.0.0.1:{port}"
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert not listener.getblocking()
        assert not os.get_inheritable(listener.fileno())
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_open_when_many_connect_before_anybody_accepts_then_they_wait() -> None:
    with open_listener("127.0.0.1:0") as listener:
        address = listener.getsockname()
        waiting = [socket.create_connection(address, timeout=5) for _ in range(200)]
        assert len(waiting) < BACKLOG
        for connection in waiting:
            connection.close()


def test_open_when_the_port_is_taken_then_names_the_setting() -> None:
    with open_listener("127.0.0.1:0") as taken:
        address = listening_address(taken, "127.0.0.1:0")
        with pytest.raises(ConfigurationError, match=f"decision_listen: {address}"):
            open_listener(address)


def test_open_when_it_is_ipv6_then_the_brackets_stay_in_the_address() -> None:
    with open_listener("[::1]:0") as listener:
        assert listening_address(listener, "[::1]:0") == f"[::1]:{listener.getsockname()[1]}"


def test_open_when_it_is_a_path_then_only_the_owner_may_use_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        path = tmp_path / "new" / "decision.sock"
        listener = open_listener(f"unix:{path}")
    finally:
        os.umask(before)
    assert listening_address(listener, f"unix:{path}") == f"unix:{path}"
    assert stat.S_ISSOCK(path.stat().st_mode)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    close_listener(listener)
    assert not path.exists()


def test_open_when_a_killed_server_left_its_socket_then_replaces_it(tmp_path: Path) -> None:
    path = tmp_path / "decision.sock"
    open_listener(f"unix:{path}").close()
    assert path.exists()
    listener = open_listener(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    close_listener(listener)


def test_open_when_somebody_listens_on_the_path_then_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "decision.sock"
    with open_listener(f"unix:{path}"), pytest.raises(ConfigurationError, match="in use"):
        open_listener(f"unix:{path}")
    assert path.exists()


def test_open_when_the_backlog_of_a_living_server_is_full_then_leaves_it_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "decision.sock"
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(str(path))
        busy.listen(0)
        client.connect(str(path))
        with pytest.raises(ConfigurationError, match="in use"):
            open_listener(f"unix:{path}")
    assert path.exists()


def test_open_when_the_path_is_an_ordinary_file_then_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="is no socket"):
        open_listener(f"unix:{path}")
    assert path.read_text() == "mine"


def test_open_when_the_folder_cannot_be_made_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        open_listener(f"unix:{tmp_path}/a/b/decision.sock")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_inherited_when_one_process_follows_another_then_a_waiting_connection_is_served(
    tmp_path: Path, kind: str
) -> None:
    address = "127.0.0.1:0" if kind == "tcp" else f"unix:{tmp_path}/decision.sock"
    listener = open_listener(address)
    for name in ("first", "second"):
        # Connected and spoken to before there is anybody to accept.
        with socket.socket(listener.family) as client:
            client.settimeout(20)
            client.connect(listener.getsockname())
            client.sendall(b" heard you")
            _run_heir(listener, name)
            assert client.recv(100) == f"{name} heard you".encode()
    close_listener(listener)


def _run_heir(listener: socket.socket, name: str) -> None:
    number = listener.fileno()
    subprocess.run(
        [sys.executable, "-c", HEIR, name],
        check=True,
        timeout=30,
        cwd=Path(__file__).parents[1],
        env={**os.environ, DECISION_FD_VARIABLE: str(number)},
        pass_fds=[number],
    )


def test_inherited_when_nothing_was_passed_then_there_is_none() -> None:
    assert inherited_listener() is None


def test_inherited_when_the_descriptor_does_not_listen_then_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket(socket.AF_INET) as silent:
        for value in (str(silent.fileno()), "not a number", "1000000", "-1"):
            monkeypatch.setenv(DECISION_FD_VARIABLE, value)
            with pytest.raises(ConfigurationError, match="no listening socket"):
                inherited_listener()
        assert silent.fileno() > 0
