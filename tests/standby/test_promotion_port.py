"""Asking a standby to take over, through a real socket."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.cli import app
from server.errors import JournalError, UnavailableError
from server.shards import WHOLE, Shard
from server.standby.promotion_port import PromotionPort, Request, ask_for_promotion, socket_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    # Deeper than the address of a socket may be long.
    return socket_path(tmp_path / ("deep" * 30), WHOLE)


@pytest.fixture
def port(path: Path) -> Iterator[PromotionPort]:
    path.parent.mkdir(parents=True)
    made = PromotionPort(path)
    made.start()
    yield made
    made.close()


def answering(port: PromotionPort, said: dict[str, Any]) -> list[Request]:
    """Answer the next request from another thread; the list holds it then."""
    seen: list[Request] = []

    def answer() -> None:
        request = port.next_request(10)
        assert request is not None
        seen.append(request)
        request.answer(said)

    threading.Thread(target=answer, daemon=True).start()
    return seen


def test_a_request_names_who_asked_and_gets_its_answer(port: PromotionPort, path: Path) -> None:
    seen = answering(port, {"epoch": 7})
    assert ask_for_promotion(path, primary_is_dead=True, timeout_s=10) == {"epoch": 7}
    assert seen[0].primary_is_dead
    assert seen[0].asked_by.endswith(f"(process {os.getpid()})")


def test_a_refusal_comes_as_an_error(port: PromotionPort, path: Path) -> None:
    answering(port, {"error": "not now"})
    with pytest.raises(JournalError, match="not now"):
        ask_for_promotion(path, primary_is_dead=False, timeout_s=10)


def test_only_the_owner_may_ask(port: PromotionPort, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_rubbish_is_dropped_and_the_next_request_served(port: PromotionPort, path: Path) -> None:
    for rubbish in (b"\n", b"rubbish\n", b"[]", b'{"other": 1}\n'):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            folder = os.open(path.parent, os.O_RDONLY)
            caller.connect(f"/proc/self/fd/{folder}/{path.name}")
            os.close(folder)
            caller.sendall(rubbish)
            caller.shutdown(socket.SHUT_WR)
            assert caller.recv(10) == b""
    assert port.next_request(0) is None
    answering(port, {"epoch": 7})
    assert ask_for_promotion(path, primary_is_dead=False, timeout_s=10) == {"epoch": 7}


def test_a_standby_that_ends_tells_who_waits(port: PromotionPort, path: Path) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            ask_for_promotion(path, primary_is_dead=False, timeout_s=10)
        except JournalError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while port._requests.empty():
        asking.join(0.01)
    port.close()
    asking.join()
    assert "the standby has ended" in str(failures[0])


def test_without_a_standby_the_command_says_so(path: Path) -> None:
    with pytest.raises(UnavailableError, match="no standby answers"):
        ask_for_promotion(path, primary_is_dead=False, timeout_s=1)
    path.parent.mkdir(parents=True)
    with pytest.raises(UnavailableError, match="no standby answers"):
        ask_for_promotion(path, primary_is_dead=False, timeout_s=1)


def test_each_shard_has_a_socket_of_its_own(tmp_path: Path) -> None:
    assert socket_path(tmp_path, Shard(1, 2)) == tmp_path / "run" / "standby-1of2.sock"


def test_the_command_says_what_has_happened_and_what_comes_next(tmp_path: Path) -> None:
    path = socket_path(tmp_path, WHOLE)
    port = PromotionPort(path)
    port.start()
    said = {
        "epoch": 7,
        "entry_number": 1_234,
        "proof": "it is dead",
        "took_ms": 81.4,
        "missing_entries": 0,
        "decision_listen": "127.0.0.1:5",
    }
    answering(port, said)
    done = CliRunner().invoke(app, ["promote", "--data-dir", str(tmp_path)])
    port.close()
    assert done.exit_code == 0, done.output
    assert "promoted: epoch 7 goes on behind entry 1234 after 81 ms" in done.output
    assert "cannot decide any more: it is dead" in done.output
    assert "127.0.0.1:5" in done.output
    gone = CliRunner().invoke(app, ["promote", "--data-dir", str(tmp_path)])
    assert gone.exit_code == 1
