"""The port itself: where it may stand, what it lets wait, and how it ends."""

import signal
import socket
import threading
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.requests import Request

from server.embedded.process import wait_until
from server.errors import ConfigurationError
from server.gateway.identity import RequestContext
from server.gateway.listening import CONNECTIONS_MAX
from server.services.access_checks import read_code
from server.services.peer import read_address
from server.settings import load_settings
from tests.gateway_process import ACCOUNT_ID, GatewayProcess, gateway_process

BREAKERS: Final = "/api/risk/circuit-breakers"


def closed_by_peer(connection: socket.socket) -> bool:
    try:
        return connection.recv(4_096) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080", "host.example:1"]
)
def test_plaintext_is_refused_on_what_others_can_reach(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"http_listen: without TLS .* only on loopback"):
        load_settings(data_dir=tmp_path, insecure_loopback=True, http_listen=address)


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "[::1]:8080", "localhost:0"])
def test_plaintext_is_taken_on_loopback(tmp_path: Path, address: str) -> None:
    settings = load_settings(data_dir=tmp_path, insecure_loopback=True, http_listen=address)
    assert settings.http_listen == address


@pytest.mark.parametrize("address", ["8080", "localhost", "unix:/a/b", "host:99999"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match="http_listen: must be HOST:PORT"):
        load_settings(data_dir=tmp_path, insecure_loopback=True, http_listen=address)


def test_nothing_listens_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert load_settings(data_dir=tmp_path, insecure_loopback=True).http_listen is None


def test_a_port_that_is_taken_is_named(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        started = gateway_process(database_url, redis_url, tmp_path, http_listen=address)
        # What the process has said is the text of the harness's assertion.
        with pytest.raises(
            AssertionError, match=rf"http_listen: {address}: Address already in use"
        ):
            started.__enter__()


def test_who_brings_no_whole_request_is_closed_and_others_are_served(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    begun = (
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        f"POST {BREAKERS}/db HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{{".encode(),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nHo",
    )
    with gateway_process(database_url, redis_url, tmp_path, request_timeout_ms="500") as running:
        slow = [socket.create_connection(("127.0.0.1", running.port), 60) for _ in begun]
        for connection, said in zip(slow, begun, strict=True):
            connection.sendall(said)
        assert running.ask("GET", "/healthz").status == 200
        for connection in slow[:-1]:
            while not closed_by_peer(connection):
                pass
            connection.close()
        # What came whole is answered, whatever follows.
        assert slow[-1].recv(4_096).startswith(b"HTTP/1.1 200 ")
        slow[-1].close()


def test_a_connection_too_many_is_closed_and_the_others_are_served(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with gateway_process(database_url, redis_url, tmp_path, request_timeout_ms="60000") as running:
        kept = running.connect()
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        many = [
            socket.create_connection(("127.0.0.1", running.port), 20)
            for _ in range(CONNECTIONS_MAX)
        ]
        assert closed_by_peer(many[-1])
        kept.request("GET", "/healthz")
        assert kept.getresponse().status == 200
        kept.close()
        for connection in many:
            connection.close()


@pytest.mark.parametrize(
    "raw",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(gateway: GatewayProcess, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), 60) as connection:
        connection.sendall(raw)
        assert connection.recv(4_096).startswith(b"HTTP/1.1 400 ")


def test_an_upgrade_is_not_taken(gateway: GatewayProcess) -> None:
    said = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert gateway.ask("GET", "/healthz", headers=said).status == 200


def test_it_ends_with_its_process_after_what_runs(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with gateway_process(database_url, redis_url, tmp_path) as running:
        running.put_account()
        idle = running.connect()
        idle.request("GET", "/healthz")
        idle.getresponse().read()
        statuses: list[int] = []
        breaker: dict[str, Any] = {
            "account_id": ACCOUNT_ID,
            "condition": "daily_loss",
            "action": "block",
            "parameters": {"threshold": 0.5},
        }

        def create() -> None:
            for number in range(10_000):
                try:
                    answer = running.ask("POST", f"{BREAKERS}/db", breaker | {"name": f"n{number}"})
                except OSError:
                    return
                statuses.append(answer.status)

        calling = threading.Thread(target=create)
        calling.start()
        assert wait_until(lambda: len(statuses) > 3, timeout_s=60)
        assert running.end(signal.SIGTERM) == 0
        calling.join(60)
        idle.close()
        # Each answer that was given is on record.
        assert set(statuses) == {201}
        (found,) = running.query("SELECT count(*) FROM riskgate.circuit_breaker")
        assert found[0] - len(statuses) in {0, 1}
        assert "closed" in running.log_path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("client", "address"),
    [(("127.0.0.1", 5), "127.0.0.1"), (("::1", 5), "::1"), (None, "")],
)
def test_the_checks_read_an_http_connection_as_they_read_one_of_grpc(
    client: tuple[str, int] | None, address: str
) -> None:
    scope = {
        "type": "http",
        "headers": [(b"x-otp", b"123456")],
        "client": client,
        "state": {"connection": None},
    }
    context = RequestContext(Request(scope))
    assert read_address(context) == address
    assert read_code(context) == "123456"
    assert context.auth_context() == {}
