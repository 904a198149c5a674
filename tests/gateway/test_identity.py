"""Who calls over HTTP, and what they may: the same judge, rights, rates and log as over gRPC."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from cryptography import x509

from riskgate.v1 import breaker_pb2, breaker_pb2_grpc
from server.embedded.process import wait_until
from tests.certificates import Authority, Issued
from tests.gateway_process import ACCOUNT_ID, Answer, GatewayProcess, gateway_process

ADMIN: Final = "spiffe://riskgate/admin/ann"
ANALYST: Final = "spiffe://riskgate/risk_analyst/rob"
TRADER: Final = "spiffe://riskgate/trader/tom"
AUDITOR: Final = "spiffe://riskgate/auditor/oda"
BREAKERS: Final = "/api/risk/circuit-breakers"
CONFIGURATIONS: Final = "/api/risk/configurations"
BREAKER: Final[dict[str, Any]] = {
    "name": "losses",
    "account_id": ACCOUNT_ID,
    "condition": "daily_loss",
    "action": "block",
    "parameters": {"threshold": 0.05},
}
DENIED: Final = (403, "PERMISSION_DENIED")
UNKNOWN: Final = (401, "UNAUTHENTICATED")


@dataclass
class Trusted:
    """A gateway with TLS, and the authority behind it."""

    process: GatewayProcess
    authority: Authority
    folder: Path
    issued: int = 0

    def context(self, caller: Issued | str | None) -> ssl.SSLContext:
        """Return what a caller connects with; None: without a certificate."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if caller is None:
            return context
        found = self.authority.issue_client(caller) if isinstance(caller, str) else caller
        self.issued += 1
        certificate, key = found.write(self.folder, f"client-{self.issued}")
        context.load_cert_chain(certificate, key)
        return context

    def ask(
        self, caller: Issued | str | ssl.SSLContext, verb: str, path: str, *rest: Any, **named: Any
    ) -> Answer:
        context = caller if isinstance(caller, ssl.SSLContext) else self.context(caller)
        return self.process.ask(verb, path, *rest, tls=context, **named)

    def put_identity(self, uri: str, **values: Any) -> None:
        names = ", ".join(("uri", *values))
        places = ", ".join(["%s"] * (len(values) + 1))
        self.process.query(
            f"INSERT INTO riskgate.identity ({names}) VALUES ({places})",  # noqa: S608 - columns of the test
            uri,
            *values.values(),
        )

    def revoke(self, *issued: Issued) -> None:
        aside = self.folder / "ca.crl.new"
        aside.write_bytes(self.authority.revoke(*issued))
        aside.replace(self.folder / "ca.crl")


@pytest.fixture(scope="module")
def trusted(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trusted]:
    folder, authority = tmp_path_factory.mktemp("trusted"), Authority()
    authority.issued.write(folder, "ca")
    authority.issue_server().write(folder, "server")
    (folder / "ca.crl").write_bytes(authority.revoke())
    files = {
        "tls_certificate": "server.pem",
        "tls_key": "server.key",
        "tls_client_ca": "ca.pem",
        "tls_crl": "ca.crl",
    }
    paths = {name: str(folder / file) for name, file in files.items()}
    with gateway_process(
        database_url, redis_url, folder, insecure_loopback="false", **paths
    ) as process:
        process.put_account()
        yield Trusted(process, authority, folder)


def refused(answer: Answer) -> tuple[int, str]:
    assert answer.status >= 400, answer
    return answer.status, answer.content["code"]


def test_a_trader_may_not_create_and_that_is_on_record(trusted: Trusted) -> None:
    answer = trusted.ask(TRADER, "POST", f"{BREAKERS}/db", BREAKER)
    assert refused(answer) == DENIED
    assert answer.content["message"] == "this role may not call this method"
    found = trusted.process.audited("identity", "method", "outcome", "address")[-1]
    method = "/riskgate.v1.BreakerService/CreateBreaker"
    assert found == (TRADER, method, "denied", "127.0.0.1")


def test_a_trader_reads_its_own_accounts_only(trusted: Trusted) -> None:
    uri = "spiffe://riskgate/trader/own"
    trusted.put_identity(uri, accounts=[ACCOUNT_ID])
    own = trusted.ask(uri, "GET", f"{BREAKERS}/all?account_id={ACCOUNT_ID}")
    assert (own.status, own.content) == (200, [])
    assert refused(trusted.ask(uri, "GET", f"{BREAKERS}/all?account_id=other")) == DENIED
    assert refused(trusted.ask(uri, "GET", f"{CONFIGURATIONS}/a?account_id=other")) == DENIED
    assert refused(trusted.ask(uri, "GET", f"{BREAKERS}/db/1/events")) == DENIED


@pytest.mark.parametrize("caller", [ADMIN, ANALYST])
def test_who_may_change_does_and_the_log_names_caller_and_method(
    trusted: Trusted, caller: str
) -> None:
    created = trusted.ask(caller, "POST", f"{BREAKERS}/db", BREAKER)
    assert created.status == 201
    found = trusted.process.audited("identity", "method", "outcome", "reason")[-1]
    method = "/riskgate.v1.BreakerService/CreateBreaker"
    assert found == (caller, method, "done", "limits of the desk")
    assert trusted.ask(caller, "DELETE", f"{BREAKERS}/db/{created.content['id']}").status == 200


def test_an_auditor_reads_and_changes_nothing(trusted: Trusted) -> None:
    context = trusted.context(AUDITOR)
    assert trusted.ask(context, "GET", f"{BREAKERS}/all").status == 200
    for verb, path in (("PUT", "/db/1/enable"), ("PUT", "/db/1/disable"), ("DELETE", "/db/1")):
        assert refused(trusted.ask(context, verb, BREAKERS + path)) == DENIED


def test_a_body_is_looked_at_only_after_its_sender(trusted: Trusted) -> None:
    assert refused(trusted.ask(TRADER, "POST", f"{BREAKERS}/db", b"{{")) == DENIED
    assert trusted.ask(ADMIN, "POST", f"{BREAKERS}/db", b"{{").status == 400


def test_calls_over_both_ports_count_together_and_say_when_to_come_back(trusted: Trusted) -> None:
    uri = "spiffe://riskgate/auditor/eager"
    trusted.put_identity(uri, calls_per_second=1, burst=3)
    issued = trusted.authority.issue_client(uri)
    certificate, key = issued.write(trusted.folder, "eager")
    credentials = grpc.ssl_channel_credentials(
        (trusted.folder / "ca.pem").read_bytes(), key.read_bytes(), certificate.read_bytes()
    )
    address = f"localhost:{trusted.process.control_port}"
    with grpc.secure_channel(address, credentials) as channel:
        stub = breaker_pb2_grpc.BreakerServiceStub(channel)
        for _ in range(3):
            stub.ListBreakers(breaker_pb2.ListBreakersRequest())
    answer = trusted.ask(issued, "GET", f"{BREAKERS}/all")
    assert refused(answer) == (429, "RESOURCE_EXHAUSTED")
    assert 1 <= int(answer.headers["retry-after"]) <= 3


def test_a_revoked_certificate_is_refused_on_a_live_connection(trusted: Trusted) -> None:
    stolen = trusted.authority.issue_client(ADMIN)
    connection = trusted.process.connect(trusted.context(stolen))

    def status() -> int:
        connection.request("GET", f"{BREAKERS}/all")
        answer = connection.getresponse()
        answer.read()
        return answer.status

    assert status() == 200
    trusted.revoke(stolen)
    # The list is looked at four times a second.
    assert wait_until(lambda: status() == 401, timeout_s=30)
    connection.close()
    assert refused(trusted.ask(stolen, "GET", f"{BREAKERS}/all")) == UNKNOWN
    # The identity itself goes on with another certificate.
    assert trusted.ask(ADMIN, "GET", f"{BREAKERS}/all").status == 200


def test_a_frozen_identity_is_refused(trusted: Trusted) -> None:
    uri = "spiffe://riskgate/admin/frozen"
    trusted.put_identity(uri, status="frozen")
    assert refused(trusted.ask(uri, "GET", f"{BREAKERS}/all")) == DENIED


@pytest.mark.parametrize("uri", ["spiffe://elsewhere/admin/ann", "spiffe://riskgate/king/ann"])
def test_a_certificate_that_names_no_identity_of_ours_is_refused(
    trusted: Trusted, uri: str
) -> None:
    assert refused(trusted.ask(uri, "GET", f"{BREAKERS}/all")) == UNKNOWN


def test_nobody_gets_in_without_a_certificate_of_our_authority(trusted: Trusted) -> None:
    stranger = Authority().issue_client(ADMIN)
    expired = trusted.authority.issue(
        names=[x509.UniformResourceIdentifier(ADMIN)],
        begins=-timedelta(days=2),
        ends=-timedelta(days=1),
    )
    for caller in (None, stranger, expired):
        context = trusted.context(caller)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            trusted.ask(context, "GET", "/healthz")


def test_tls_1_2_and_plaintext_are_refused(trusted: Trusted) -> None:
    old = trusted.context(ADMIN)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        trusted.ask(old, "GET", "/healthz")
    connection = GatewayProcess.connect(trusted.process)
    connection.request("GET", "/healthz")
    with pytest.raises((ConnectionError, OSError)):
        connection.getresponse()
    connection.close()


def test_new_connections_are_served_from_changed_files(trusted: Trusted) -> None:
    fresh = trusted.authority.issue_server("renewed")
    fresh.write(trusted.folder, "server")
    wanted = fresh.der
    context = trusted.context(ADMIN)

    def served() -> bytes:
        connection = trusted.process.connect(context)
        connection.connect()
        found = connection.sock.getpeercert(binary_form=True)  # type: ignore[union-attr]
        connection.close()
        return bytes(found or b"")

    # The files are looked at once a second at most.
    assert wait_until(lambda: served() == wanted, timeout_s=30)
    assert trusted.ask(context, "GET", f"{BREAKERS}/all").status == 200
