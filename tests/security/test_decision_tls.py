"""Python's own TLS client against a context as the lane uses it: SSL_new, SSL_accept, no more."""

import ctypes
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from server.embedded.process import wait_until
from server.errors import ConfigurationError
from server.security.decision_tls import DecisionTls, find_tls_files
from server.security.openssl_context import TlsFiles, build_context, free_context
from server.settings import load_settings
from tests.certificates import DAY, SERVER_AUTH, Authority, Issued

_ROUNDS_MAX: Final = 50
_OPENSSL: Final = ctypes.CDLL("libssl.so.3")
for _name in ("SSL_new", "SSL_get0_peer_certificate"):
    getattr(_OPENSSL, _name).restype = ctypes.c_void_p
_PURPOSE_TEXT: Final = "unsuitable certificate purpose|unsupported certificate"


class Accepted:
    """One connection on the server's side, driven by hand."""

    def __init__(self, context: int, descriptor: int) -> None:
        self._ssl = ctypes.c_void_p(_OPENSSL.SSL_new(ctypes.c_void_p(context)))
        assert self._ssl.value
        assert _OPENSSL.SSL_set_fd(self._ssl, descriptor) == 1

    def step(self) -> None:
        _OPENSSL.SSL_accept(self._ssl)

    def is_open(self) -> bool:
        return bool(_OPENSSL.SSL_is_init_finished(self._ssl))

    def write(self, data: bytes) -> int:
        return int(_OPENSSL.SSL_write(self._ssl, data, len(data)))

    def has_certificate(self) -> bool:
        return _OPENSSL.SSL_get0_peer_certificate(self._ssl) is not None

    def close(self) -> None:
        _OPENSSL.SSL_free(self._ssl)


class Meeting:
    """A client and a server that have finished their handshake."""

    def __init__(self, client: ssl.SSLSocket, server: Accepted) -> None:
        self.client = client
        self.server = server

    def served_name(self) -> str:
        """Return the common name of the server's certificate."""
        certificate: Any = self.client.getpeercert()
        return str(dict(pair[0] for pair in certificate["subject"])["commonName"])


@contextmanager
def _meet(context: int, client: ssl.SSLContext) -> Iterator[Meeting]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        server = Accepted(context, ours.fileno())
        try:
            with client.wrap_socket(
                theirs, server_hostname="localhost", do_handshake_on_connect=False
            ) as speaker:
                _shake(speaker, server)
                yield Meeting(speaker, server)
        finally:
            server.close()


def _shake(speaker: ssl.SSLSocket, server: Accepted) -> None:
    is_done = False
    for _ in range(_ROUNDS_MAX):
        if not is_done:
            try:
                speaker.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                pass
        server.step()
        if is_done:
            # In TLS 1.3 a client hears of its refusal only when it reads.
            server.write(b"x") if server.is_open() else None
            try:
                assert speaker.recv(1) == b"x"
                return
            except ssl.SSLWantReadError:
                pass
    raise AssertionError("the handshake does not end")


def meet(context: int, client: ssl.SSLContext) -> str:
    """Connect, leave again, and return the name in the certificate that was served."""
    with _meet(context, client) as meeting:
        return meeting.served_name()


class World:
    """One authority, the server's files, and clients of all kinds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca, _ = self.authority.issued.write(folder, "ca")
        self.files = TlsFiles(*self.authority.issue_server().write(folder, "server"), None)
        self.mutual = TlsFiles(self.files.certificate, self.files.key, self.ca)

    def client(self, own: Issued | None = None, **changes: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.set_alpn_protocols(["h2"])
        if own is not None:
            certificate, key = own.write(self.folder, "client")
            context.load_cert_chain(certificate, key)
        for name, value in changes.items():
            setattr(context, name, value)
        return context


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[[TlsFiles], int]]:
    made = []

    def build(files: TlsFiles) -> int:
        made.append(build_context(files))
        return made[-1]

    yield build
    for context in made:
        free_context(context)


Serve = Callable[[TlsFiles], int]


def test_handshake_when_the_client_speaks_h2_over_tls_1_3_then_it_passes(
    world: World, serve: Serve
) -> None:
    with _meet(serve(world.files), world.client()) as meeting:
        assert meeting.client.version() == "TLSv1.3"
        assert meeting.client.selected_alpn_protocol() == "h2"
        assert not meeting.server.has_certificate()
        assert meeting.client.session is None or not meeting.client.session.has_ticket


def test_handshake_when_h2_is_one_of_several_protocols_then_it_is_chosen(
    world: World, serve: Serve
) -> None:
    client = world.client()
    client.set_alpn_protocols(["http/1.1", "h3", "hh", "h2c", "h2", "x"])
    with _meet(serve(world.files), client) as meeting:
        assert meeting.client.selected_alpn_protocol() == "h2"


def test_handshake_when_the_client_speaks_tls_1_2_only_then_it_is_refused(
    world: World, serve: Serve
) -> None:
    client = world.client(maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError, match="protocol version"):
        meet(serve(world.files), client)


@pytest.mark.parametrize("protocols", [["http/1.1"], ["h2c", "2h", "h", "h22", "H2"]])
def test_handshake_when_h2_is_not_offered_then_it_is_refused(
    world: World, serve: Serve, protocols: list[str]
) -> None:
    client = world.client()
    client.set_alpn_protocols(protocols)
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        meet(serve(world.files), client)


def test_handshake_when_no_protocol_is_offered_then_it_is_refused(
    world: World, serve: Serve
) -> None:
    client = ssl.create_default_context(cafile=str(world.ca))
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        meet(serve(world.files), client)


def test_handshake_when_an_intermediate_has_signed_then_the_chain_is_served(
    world: World, serve: Serve, tmp_path: Path
) -> None:
    between = Authority("between", world.authority)
    issued = between.issue_server("below")
    files = TlsFiles(*issued.write(tmp_path, "below", chain=[between.issued]))
    assert meet(serve(files), world.client()) == "below"


def test_handshake_when_certificates_are_required_then_the_right_one_passes(
    world: World, serve: Serve
) -> None:
    client = world.client(world.authority.issue_client())
    with _meet(serve(world.mutual), client) as meeting:
        assert meeting.server.has_certificate()


def test_handshake_when_certificates_are_required_and_none_is_shown_then_it_is_refused(
    world: World, serve: Serve
) -> None:
    with pytest.raises(ssl.SSLError, match="certificate required"):
        meet(serve(world.mutual), world.client())


def _expired(world: World) -> Issued:
    return world.authority.issue(begins=-3 * DAY, ends=-timedelta(minutes=1))


def _early(world: World) -> Issued:
    return world.authority.issue(begins=timedelta(hours=1))


def _foreign(_world: World) -> Issued:
    return Authority("test authority").issue_client()


def _of_a_server(world: World) -> Issued:
    return world.authority.issue(usages=[SERVER_AUTH])


@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        (_expired, "certificate expired"),
        (_early, "bad certificate"),
        (_foreign, "unknown ca|decrypt error"),
        (_of_a_server, _PURPOSE_TEXT),
    ],
)
def test_handshake_when_the_clients_certificate_is_wrong_then_it_is_refused(
    world: World, serve: Serve, issue: Callable[[World], Issued], reason: str
) -> None:
    with pytest.raises(ssl.SSLError, match=reason):
        meet(serve(world.mutual), world.client(issue(world)))


@pytest.mark.parametrize(
    ("setting", "spoil"),
    [
        ("tls_certificate", lambda world: world.files.certificate.unlink()),
        ("tls_certificate", lambda world: world.files.certificate.write_text("nothing")),
        ("tls_key", lambda world: world.files.key.unlink()),
        ("tls_key", lambda world: world.files.key.write_text("nothing")),
        (
            "tls_key",
            lambda world: (
                world.authority.issue_server()
                .write(world.folder, "other")[1]
                .replace(world.files.key)
            ),
        ),
        (
            "tls_key",
            lambda world: world.authority.issue_server().write(
                world.folder, "server", passphrase=b"hidden"
            ),
        ),
        ("tls_client_ca", lambda world: world.ca.unlink()),
        ("tls_client_ca", lambda world: world.ca.write_text("nothing")),
    ],
    ids=["gone", "text", "key gone", "key text", "other key", "passphrase", "ca gone", "ca text"],
)
def test_build_when_a_file_cannot_be_used_then_names_the_setting_and_the_file(
    world: World, setting: str, spoil: Callable[[World], object]
) -> None:
    spoil(world)
    with pytest.raises(ConfigurationError) as caught:
        build_context(world.mutual)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{setting}: {world.folder}")
    assert problem.rpartition(": ")[2] not in {"", "unknown"}


class Port:
    """What the lane has: a cell and its turns."""

    def __init__(self, files: TlsFiles) -> None:
        self.cell = np.zeros(1, np.int64)
        self.turns = 0
        self.tls = DecisionTls(files, self.cell, lambda: self.turns)

    def served_name(self, client: ssl.SSLContext) -> str:
        return meet(int(self.cell[0]), client)


@pytest.fixture
def port(world: World) -> Iterator[Port]:
    port = Port(world.mutual)
    yield port
    port.tls.stop()
    port.tls.close()
    assert port.cell[0] == 0


@pytest.fixture
def router(world: World) -> ssl.SSLContext:
    return world.client(world.authority.issue_client())


def test_reload_when_nothing_has_changed_then_the_context_stays(port: Port) -> None:
    before = int(port.cell[0])
    assert not port.tls.reload()
    assert int(port.cell[0]) == before == port.tls.context


def test_reload_when_the_certificate_was_renewed_then_new_connections_see_it(
    world: World, port: Port, router: ssl.SSLContext
) -> None:
    assert port.served_name(router) == "server"
    with _meet(int(port.cell[0]), router) as meeting:
        world.authority.issue_server("renewed").write(world.folder, "server")
        assert port.tls.reload()
        assert port.served_name(router) == "renewed"
        port.turns += 2
        port.tls.reload()
        assert port.tls.retired == 0
        # The old context is freed, and yet serves who came by it.
        assert meeting.server.write(b"more") == 4
        assert meeting.client.recv(4) == b"more"
    assert (port.tls.reloads, port.tls.refusals) == (1, 0)


def test_reload_when_the_authority_was_replaced_then_old_clients_are_refused(
    world: World, port: Port, router: ssl.SSLContext
) -> None:
    other = Authority("other authority")
    other.issued.write(world.folder, "ca")
    assert port.tls.reload()
    with pytest.raises(ssl.SSLError, match="unknown ca"):
        port.served_name(router)


def test_reload_when_the_new_files_are_bad_then_the_old_ones_serve_and_it_is_told_once(
    world: World, port: Port, router: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    good = world.files.certificate.read_bytes()
    world.files.certificate.write_text("half a file")
    assert not port.tls.reload()
    assert not port.tls.reload()
    assert port.tls.refusals == 1
    assert caplog.text.count("goes on with the files it had") == 1
    assert str(world.files.certificate) in caplog.text
    assert port.served_name(router) == "server"
    world.files.certificate.write_bytes(good)
    assert port.tls.reload()
    assert port.served_name(router) == "server"


def test_reload_when_the_lane_stands_between_cell_and_connection_then_the_context_lives(
    world: World, port: Port, router: ssl.SSLContext
) -> None:
    seen = int(port.cell[0])
    for number in range(3):
        world.authority.issue_server(f"number {number}").write(world.folder, "server")
        assert port.tls.reload()
    port.turns += 1
    port.tls.reload()
    assert port.tls.retired == 3
    with _meet(seen, router) as meeting:
        assert meeting.served_name() == "server"
    port.turns += 1
    port.tls.reload()
    assert port.tls.retired == 0


def test_watch_when_a_file_changes_then_it_is_served_without_being_asked(
    world: World, port: Port, router: ssl.SSLContext
) -> None:
    port.tls.start()
    world.authority.issue_server("renewed").write(world.folder, "server")
    # The key is written after the certificate: what does not fit is refused, then mended.
    assert wait_until(lambda: port.tls.reloads > 0, timeout_s=10)
    assert wait_until(lambda: port.served_name(router) == "renewed", timeout_s=10)


def test_files_when_settings_name_none_then_there_is_no_tls(world: World) -> None:
    assert find_tls_files(load_settings()) is None
    files = {f"tls_{name}": path for name, path in asdict(world.mutual).items()}
    settings = load_settings(lane="compiled", insecure_loopback=False, **files)
    assert find_tls_files(settings) == world.mutual
