"""Who gets through the handshake of the decision port: of all versions and certificates, one pair.

A cell succeeds when a decision is answered on the connection.
"""

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from server import grpcio_port
from server.errors import ConfigurationError
from server.security.grants import DenialCount
from server.services.call_access import NO_GRANT, CallAccess
from tests.certificates import DAY, SERVER_AUTH, Authority, Issued
from tests.hotpath.lane.raw_http2 import RawClient, greeting, unary
from tests.trusted_port import LANES, Pki, TrustedPort, message_of, open_trusted, outcome_of

TRADER: Final = "spiffe://riskgate/trader/router"
ASK: Final = message_of("Decide", "A")
VERSIONS: Final = (
    ssl.TLSVersion.TLSv1,
    ssl.TLSVersion.TLSv1_1,
    ssl.TLSVersion.TLSv1_2,
    ssl.TLSVersion.TLSv1_3,
)
CERTIFICATES: Final = ("none", "foreign", "expired", "not yet valid", "wrong usage", "right")
OLD_VERSIONS: Final = "ignore:ssl.TLSVersion.TLSv1:DeprecationWarning"
OLDER_VERSIONS: Final = "ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning"


def certificate_of(kind: str, authority: Authority) -> Issued | None:
    found = {
        "none": None,
        "foreign": Authority().issue_client(TRADER),
        "expired": authority.issue(begins=-2 * DAY, ends=-DAY),
        "not yet valid": authority.issue(begins=DAY, ends=2 * DAY),
        "wrong usage": authority.issue(usages=[SERVER_AUTH]),
        "right": authority.issue_client(TRADER),
    }
    return found[kind]


def context_of(pki: Pki, version: ssl.TLSVersion, own: Issued | None) -> ssl.SSLContext:
    """Return a client that speaks one version only, and would speak it with anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(pki.ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2"])
    if own is not None:
        context.load_cert_chain(*own.write(pki.folder, "client"))
    return context


def is_answered(port: TrustedPort, context: ssl.SSLContext) -> bool:
    """Tell whether a decision is answered on a new connection."""
    with RawClient(("127.0.0.1", port.number)) as client:
        try:
            client.socket = context.wrap_socket(client.socket, server_hostname="localhost")
            client.send(greeting(), unary(1, ASK))
            answer = client.answer(1)
        except (ssl.SSLError, ConnectionError):
            return False
        return answer.status == 0


@pytest.fixture(params=LANES)
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrustedPort]:
    with open_trusted(request.param, tmp_path) as port:
        port.put(TRADER, "A")
        yield port


@pytest.mark.filterwarnings(OLD_VERSIONS, OLDER_VERSIONS)
def test_of_all_versions_and_certificates_exactly_one_pair_gets_an_answer(
    port: TrustedPort,
) -> None:
    answered = [
        (version.name, kind)
        for version in VERSIONS
        for kind in CERTIFICATES
        if is_answered(
            port, context_of(port.pki, version, certificate_of(kind, port.pki.authority))
        )
    ]
    assert answered == [("TLSv1_3", "right")]


def test_plaintext_gets_no_answer(port: TrustedPort) -> None:
    with RawClient(("127.0.0.1", port.number)) as client, contextlib.suppress(ConnectionError):
        client.send(greeting(), unary(1, ASK))
        assert client.answer(1).status is None


def test_the_first_lock_of_grpc_is_a_suite_that_nobody_can_agree_on(tmp_path: Path) -> None:
    assert os.environ["GRPC_SSL_CIPHER_SUITES"] == "ECDHE-PSK-AES128-CBC-SHA"
    with open_trusted("grpcio", tmp_path) as port:
        own = port.pki.authority.issue_client(TRADER)
        context = context_of(port.pki, ssl.TLSVersion.TLSv1_2, own)
        with (
            socket.create_connection(("localhost", port.number), 20) as plain,
            pytest.raises((ssl.SSLError, ConnectionError)),
        ):
            context.wrap_socket(plain, server_hostname="localhost").recv(1)


def test_a_connection_of_grpc_ends_after_a_while_and_the_next_one_is_judged_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpcio_port, "CONNECTION_AGE_MS_MAX", 300)
    states: list[grpc.ChannelConnectivity] = []
    with open_trusted("grpcio", tmp_path) as port:
        port.put(TRADER, "A")
        with port.dial(port.pki.authority.issue_client(TRADER)) as channel:
            channel.subscribe(states.append)
            assert outcome_of(channel, "Decide", ASK) == (grpc.StatusCode.OK, "")
            # States are polled: a connection that ends soon may be missed, and is made again.
            port.wait_for(
                lambda: (
                    grpc.ChannelConnectivity.READY in states
                    or outcome_of(channel, "Decide", ASK)[0] != grpc.StatusCode.OK
                )
            )
            port.wait_for(lambda: states[-1] == grpc.ChannelConnectivity.IDLE)
            assert grpc.ChannelConnectivity.READY in states


class OldConnection:
    """What gRPC says of a connection of TLS 1.2 with a good certificate."""

    def __init__(self, certificate: bytes, version: bytes) -> None:
        self._facts = {"x509_pem_cert": [certificate], "ssl_tls_version": [version]}

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._facts


def test_the_second_lock_of_grpc_is_the_version_of_the_connection(tmp_path: Path) -> None:
    with open_trusted("grpcio", tmp_path) as port:
        own = port.pki.authority.issue_client(TRADER)
        pem = own.certificate.public_bytes(Encoding.PEM)
        access = CallAccess(port.grants, is_open=False)
        assert access.find_grant(OldConnection(pem, b"TLSv1.3")) != NO_GRANT
        assert access.find_grant(OldConnection(pem, b"TLSv1.2")) == NO_GRANT
        assert DenialCount("", "", "no_certificate", 1) in port.grants.denials()


def test_a_port_without_tls_and_without_leave_for_it_is_not_opened(tmp_path: Path) -> None:
    for lane in LANES:
        with (
            pytest.raises(ConfigurationError),
            open_trusted(
                lane, tmp_path, tls_certificate=None, tls_key=None, tls_client_ca=None, tls_crl=None
            ),
        ):
            pass
