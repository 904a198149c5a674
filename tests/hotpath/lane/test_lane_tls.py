"""The compiled lane over TLS 1.3, met by gRPC's own clients with and without certificates."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1.identity_pb2 import Identity
from riskgate.v1.types_pb2 import VERDICT_ALLOW
from server.security.peer_certificate import Finding
from tests.certificates import CLIENT_URI, DAY, SERVER_AUTH, Authority, Issued
from tests.decision_harness import good_request
from tests.grant_records import grant_of, identity_of
from tests.hotpath.lane.raw_http2 import PREFACE, RawClient, greeting, unary
from tests.lane_harness import DECIDE, OWN_CONNECTION, STREAM, LanePort, open_lane

ASK = good_request(dry_run=True).SerializeToString()


class World:
    """One authority and the files of one server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority()
        self.ca, _ = self.authority.issued.write(folder, "ca")
        self.crl = folder / "ca.crl"
        self.crl.write_bytes(self.authority.revoke())
        self.serve(self.authority.issue_server())

    def serve(self, issued: Issued) -> None:
        """Let the server show another certificate."""
        self.certificate, self.key = issued.write(self.folder, "server")

    def settings(self) -> dict[str, Any]:
        files = {"tls_certificate": self.certificate, "tls_key": self.key}
        more = {"tls_crl": self.crl, "data_dir": self.folder}
        return {**files, "tls_client_ca": self.ca, **more}

    def dial(self, port: LanePort, own: Issued | None = None, *, ca: Path | None = None) -> Any:
        key, chain = None, None
        if own is not None:
            key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            chain = own.certificate.public_bytes(Encoding.PEM)
        credentials = grpc.ssl_channel_credentials((ca or self.ca).read_bytes(), key, chain)
        address = f"localhost:{port.tcp_address[1]}"
        return grpc.secure_channel(address, credentials, [OWN_CONNECTION])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def port(world: World) -> Iterator[LanePort]:
    """A port that asks for certificates."""
    with open_lane(**world.settings()) as port:
        admit(port, CLIENT_URI)
        yield port


def admit(port: LanePort, *uris: str) -> None:
    """Let traders use every account."""
    for uri in uris:
        port.grants.put(Identity(uri=uri, every_account=True))


def decide(channel: Any) -> int:
    raw = channel.unary_unary(DECIDE)(ASK, timeout=10)
    return int(pb.DecideResponse.FromString(raw).verdict)


def is_refused(channel: Any) -> bool:
    with pytest.raises(grpc.RpcError) as failure:
        decide(channel)
    return bool(failure.value.code() == grpc.StatusCode.UNAVAILABLE)


def test_streams_and_batches_are_served_over_tls(world: World, port: LanePort) -> None:
    with world.dial(port, world.authority.issue_client()) as channel:
        assert decide(channel) == VERDICT_ALLOW
        answers = channel.stream_stream(STREAM)(
            iter([pb.DecideStreamRequest(request=good_request()).SerializeToString()] * 2_000),
            timeout=30,
        )
        assert len(list(answers)) == 2_000
        batch = pb.DecideBatchRequest(requests=[good_request(explain=True, dry_run=True)] * 1_000)
        raw = channel.unary_unary("/riskgate.v1.DecisionService/DecideBatch")(
            batch.SerializeToString(), timeout=30
        )
        assert len(pb.DecideBatchResponse.FromString(raw).results) == 1_000


def test_a_client_with_a_good_certificate_is_served_and_known(world: World, port: LanePort) -> None:
    own = world.authority.issue_client()
    with world.dial(port, own) as channel:
        assert decide(channel) == VERDICT_ALLOW
        (known,) = [row for row in port.connections if row["ssl"]]
        assert identity_of(known["grant"]) == CLIENT_URI
        ends_at_s = own.certificate.not_valid_after_utc.timestamp()
        assert abs(grant_of(known["grant"])["not_after_ns"] / 1e9 - ends_at_s) <= 1.0
    assert port.compiled._judge is not None
    assert port.compiled._judge.findings == {Finding.ACCEPTED: 1}


BAD = ("none", "foreign", "expired", "not yet", "server's", "no name", "nobody of ours", "revoked")


@pytest.mark.parametrize("how", BAD)
def test_a_client_with_a_bad_certificate_is_refused_before_anything_is_read(
    world: World, port: LanePort, how: str
) -> None:
    authority = world.authority
    own = {
        "none": None,
        "foreign": Authority().issue_client(),
        "expired": authority.issue(begins=-2 * DAY, ends=-DAY),
        "not yet": authority.issue(begins=DAY, ends=2 * DAY),
        "server's": authority.issue(usages=[SERVER_AUTH]),
        "no name": authority.issue(names=[]),
        "nobody of ours": authority.issue_client("spiffe://elsewhere/trader/router"),
        "revoked": authority.issue_client(),
    }[how]
    if own is not None and how == "revoked":
        world.crl.write_bytes(authority.revoke(own))
        serial = own.certificate.serial_number
        port.wait_for(lambda: port.grants.is_barred(serial))
    before = port.sequence
    with world.dial(port, own) as channel:
        assert is_refused(channel)
    assert (port.read("calls_started"), port.sequence) == (0, before)
    port.wait_for(lambda: port.read("connections_broken") >= 1)
    port.wait_for(lambda: port.read("connections_now") == 0)
    with world.dial(port, authority.issue_client()) as channel:
        assert decide(channel) == VERDICT_ALLOW


def test_a_client_that_does_not_trust_the_server_goes_away(world: World, port: LanePort) -> None:
    other, _ = Authority().issued.write(world.folder, "other")
    with world.dial(port, world.authority.issue_client(), ca=other) as channel:
        assert is_refused(channel)
    assert port.read("calls_started") == 0


def test_plain_bytes_at_a_tls_port_are_cut_off(world: World, port: LanePort) -> None:
    with RawClient(port.tcp_address) as client:
        client.socket.sendall(PREFACE)
        try:
            heard = client.socket.recv(1_000)
        except ConnectionResetError:
            heard = b""
        assert heard[:1] in {b"", b"\x15"}, "a TLS alert at most"
    port.wait_for(lambda: port.read("connections_now") == 0)
    with world.dial(port, world.authority.issue_client()) as channel:
        assert decide(channel) == VERDICT_ALLOW


def test_a_certificate_that_ends_while_connected_decides_no_more(world: World) -> None:
    own = world.authority.issue(ends=timedelta(seconds=3))
    with open_lane(**world.settings()) as port, world.dial(port, own) as channel:
        admit(port, CLIENT_URI)
        assert decide(channel) == VERDICT_ALLOW
        ends_at_s = own.certificate.not_valid_after_utc.timestamp()
        port.wait_for(lambda: time.time() > ends_at_s + 1.0)
        before = port.sequence
        with pytest.raises(grpc.RpcError) as failure:
            decide(channel)
        assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert failure.value.details() == "the client certificate has expired"
        with pytest.raises(grpc.RpcError) as failure:
            list(channel.stream_stream(STREAM)(iter([ASK]), timeout=10))
        assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert port.sequence == before


def test_a_new_certificate_is_served_without_a_restart(world: World) -> None:
    own = world.authority.issue_client()
    with open_lane(**world.settings()) as port, world.dial(port, own) as first:
        admit(port, CLIENT_URI)
        assert decide(first) == VERDICT_ALLOW
        tls = port.compiled._tls
        assert tls is not None
        # Of another authority: who connects now must trust that one.
        other = Authority("the next one")
        other_ca, _ = other.issued.write(world.folder, "next")
        world.serve(other.issue_server())
        port.wait_for(lambda: tls.reloads >= 1 and tls.refusals == 0)
        with world.dial(port, own, ca=other_ca) as second:
            assert decide(second) == VERDICT_ALLOW
        with world.dial(port, own) as third:
            assert is_refused(third)
        assert decide(first) == VERDICT_ALLOW, "who is connected stays so"


def test_a_file_that_cannot_be_used_leaves_the_old_certificate(world: World) -> None:
    with open_lane(**world.settings()) as port:
        admit(port, CLIENT_URI)
        tls = port.compiled._tls
        assert tls is not None
        world.key.write_bytes(b"no key at all")
        port.wait_for(lambda: tls.refusals >= 1)
        with world.dial(port, world.authority.issue_client()) as channel:
            assert decide(channel) == VERDICT_ALLOW


def test_many_clients_with_certificates_connect_at_once(world: World, port: LanePort) -> None:
    uris = [f"spiffe://riskgate/trader/router-{number}" for number in range(30)]
    admit(port, *uris)
    owns = [world.authority.issue_client(uri) for uri in uris]
    channels = [world.dial(port, own) for own in owns]
    futures = [channel.unary_unary(DECIDE).future(ASK, timeout=20) for channel in channels]
    for future in futures:
        assert pb.DecideResponse.FromString(future.result()).verdict == VERDICT_ALLOW
    assert set(port.callers) >= set(uris)
    for channel in channels:
        channel.close()


def test_a_unix_socket_serves_the_decision_port(tmp_path: Path) -> None:
    path = tmp_path / "run" / "decision.sock"
    with open_lane(decision_listen=f"unix:{path}") as port:
        assert port.decide(good_request()).verdict == VERDICT_ALLOW
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


def test_the_local_socket_speaks_in_the_clear_beside_tls(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from server.listening import LOCAL_FD_VARIABLE, open_listener

    path = world.folder / "local.sock"
    local = open_listener(f"unix:{path}")
    monkeypatch.setenv(LOCAL_FD_VARIABLE, str(local.detach()))
    with open_lane(**world.settings()) as port:
        admit(port, CLIENT_URI)
        with grpc.insecure_channel(f"unix:{path}", [OWN_CONNECTION]) as channel:
            assert decide(channel) == VERDICT_ALLOW
        with world.dial(port, world.authority.issue_client()) as channel:
            assert decide(channel) == VERDICT_ALLOW
        with RawClient(port.tcp_address) as client:
            client.send(greeting(), unary(1, ASK))
            assert client.answer(1).status is None
