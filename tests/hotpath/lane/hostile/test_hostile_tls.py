"""Clients that do not finish, or spoil, the handshake of a TLS port."""

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator

import grpc
import pytest

from server.hotpath.lane.memory import LaneBounds
from server.security.decision_tls import DecisionTls
from server.security.openssl_context import TlsFiles
from tests.certificates import Authority
from tests.hotpath.lane.hostile.besieged import RAW_REQUEST, Besieged, Neighbour
from tests.hotpath.lane.hostile.mutation import damage_bytes
from tests.hotpath.lane.raw_http2 import greeting, unary

SEED = 20260701
DAMAGED_HELLOS = 300


@pytest.fixture(scope="module")
def besieged(bounds: LaneBounds, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    """A lane whose port speaks TLS."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority()
    certificate, key = authority.issue_server().write(folder, "server")
    root, _ = authority.issued.write(folder, "authority")
    lane = Besieged(bounds)
    tls = DecisionTls(TlsFiles(certificate, key, None), lane.lane.tls_cell, lambda: lane.lane.turns)
    lane.credentials = grpc.ssl_channel_credentials(root.read_bytes())
    lane.start()
    yield lane
    lane.stop()
    tls.close()


def _client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _hello() -> bytes:
    """Return the first bytes of a good handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = _client_context("h2").wrap_bio(incoming, outgoing)
    with contextlib.suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def _read_to_end(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while raw := connection.recv(65_536):
            found += raw
    return found


BEGINNINGS = {
    "nothing": b"",
    "plaintext HTTP/2": greeting() + unary(1, RAW_REQUEST),
    "plaintext HTTP/1": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a hello": _hello()[:100],
    "a hello and no more": _hello(),
    "two hellos": _hello() * 2,
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "application data": b"\x17\x03\x03\x00\x10" + bytes(16),
    "zeros": bytes(20_000),
    "a long record": b"\x16\x03\x01\xff\xff" + bytes(70_000),
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_handshake_when_it_is_spoiled_or_never_finished_then_the_connection_is_closed(
    besieged: Besieged, kind: str
) -> None:
    clients = [socket.create_connection(besieged.address, 20) for _ in range(20)]
    for client in clients:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(BEGINNINGS[kind])
    for client in clients:
        _read_to_end(client)
        client.close()


def test_hellos_when_damaged_then_nothing_crashes(besieged: Besieged) -> None:
    source = random.Random(SEED)
    for _ in range(DAMAGED_HELLOS):
        with socket.create_connection(besieged.address, 20) as client:
            with contextlib.suppress(OSError):  # the server may have closed already
                client.sendall(damage_bytes(source, _hello()))
                client.shutdown(socket.SHUT_WR)
            _read_to_end(client)


@pytest.mark.parametrize("protocols", [(), ("http/1.1",), ("h3", "spdy/1")])
def test_a_protocol_when_it_is_not_http2_then_the_handshake_fails(
    besieged: Besieged, protocols: tuple[str, ...]
) -> None:
    with (
        socket.create_connection(besieged.address, 20) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
        _client_context(*protocols).wrap_socket(plain) as client,
    ):
        client.recv(1)


def test_an_old_version_when_it_is_all_a_client_speaks_then_the_handshake_fails(
    besieged: Besieged,
) -> None:
    context = _client_context("h2")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(besieged.address, 20) as plain,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize("spoil", [b"", b"\x17\x03\x03\x00\x20" + bytes(32), b"GET /"])
def test_a_connection_when_it_is_spoiled_after_the_handshake_then_only_it_is_closed(
    besieged: Besieged, neighbour: Neighbour, spoil: bytes
) -> None:
    for _ in range(20):
        plain = socket.create_connection(besieged.address, 20)
        client = _client_context("h2").wrap_socket(plain)
        client.sendall(greeting() + unary(1, RAW_REQUEST))
        with socket.socket(fileno=client.detach()) as raw:
            raw.settimeout(20)
            with contextlib.suppress(OSError):
                raw.sendall(spoil)
                raw.shutdown(socket.SHUT_WR)
            _read_to_end(raw)
