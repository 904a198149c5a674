"""`riskgate serve` as it comes: both ports want certificates, and every command has one."""

import http.client
import json
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import psutil
import pyotp
import pytest
from typer.testing import CliRunner

import riskgate
from riskgate.channel import Credentials
from riskgate.v1 import identity_pb2, identity_pb2_grpc
from server.cli import app
from server.embedded.process import wait_until
from server.errors import ConfigurationError
from server.security.pki import Pki
from server.security.pki_renewal import prepare_certificates
from server.settings import load_settings
from server.supervisor import Addresses, _report_ready
from tests.certificates import Authority
from tests.stack_harness import Stack, running_stack

OPERATOR = "spiffe://riskgate/admin/operator"
ORDER: Final[dict[str, Any]] = {
    "account_id": "steady",
    "provider_id": "channel_12345",
    "provider_type": "channel_source",
    "symbol": "EURUSD",
    "side": "buy",
    "entry_price": 1.1,
    "stop_loss": 1.098,
}
OWN_FILES: Final = {
    "tls_certificate": "own/server.pem",
    "tls_key": "own/server.key",
    "tls_client_ca": "own/ca.pem",
}
DEADLINE_S = 10.0


@pytest.fixture(scope="module", autouse=True)
def _as_it_comes() -> Iterator[None]:
    """Without what conftest.py sets for tests that are not about trust."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RISKGATE_INSECURE_LOOPBACK")
        yield


@pytest.fixture(scope="module")
def stack(_as_it_comes: None) -> Iterator[Stack]:
    with running_stack("--http-listen=127.0.0.1:0") as running:
        sample = Path(__file__).with_name("outages.yaml")
        running.answer("apply", "--reason", "test", "-f", str(sample))
        yield running


@pytest.fixture
def pki(stack: Stack) -> Pki:
    return Pki(stack.data_dir / "pki")


def files_of(pki: Pki, uri: str) -> dict[str, Any]:
    certificate, key = pki.issue(uri)
    return {"certificate": certificate, "key": key, "ca": pki.authority_path}


def decision_port(stack: Stack) -> str:
    """Where others than this account ask; the state names a socket where there is one."""
    said = stack.output.read_text(encoding="utf-8").rpartition("READY decisions on ")[2]
    return said.partition(",")[0]


def who_am_i(address: str, files: dict[str, Any]) -> identity_pb2.WhoAmIResponse:
    parts = [files[name].read_bytes() for name in ("ca", "key", "certificate")]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(*parts)) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        answer: identity_pb2.WhoAmIResponse = stub.WhoAmI(
            identity_pb2.WhoAmIRequest(), timeout=DEADLINE_S
        )
        return answer


def test_a_stack_without_options_says_that_it_wants_certificates(stack: Stack) -> None:
    said = stack.output.read_text(encoding="utf-8")
    assert "mutual TLS, riskgate pki issue lets others in" in said
    assert "INSECURE" not in said
    assert stack.state.is_tls


def test_all_is_healthy_by_the_doctor(stack: Stack) -> None:
    code, checks = stack.examine()
    assert code == 0, checks
    assert checks["certificates"]["ok"]
    assert checks["control"]["ok"]


def test_a_key_that_others_can_read_is_found_by_the_doctor(stack: Stack, pki: Pki) -> None:
    key = pki.folder / "operator.key"
    key.chmod(0o644)
    try:
        code, checks = stack.examine()
    finally:
        key.chmod(0o600)
    assert code == 1
    assert "others can read" in checks["certificates"]["problem"]


def test_commands_on_this_machine_are_the_operator(stack: Stack, pki: Pki) -> None:
    assert len(stack.answer("get", "accounts")) > 0
    folder = pki.folder
    files = {"certificate": folder / "operator.crt", "key": folder / "operator.key"}
    said = who_am_i(stack.state.control_address, {**files, "ca": pki.authority_path})
    assert said.uri == OPERATOR


def test_a_decision_is_made_on_the_socket_of_this_account(stack: Stack) -> None:
    with riskgate.connect(stack.data_dir, deadline_s=DEADLINE_S) as gate:
        assert gate.decide(**ORDER, requested_lots=0.01).decision_id > 0


def test_the_operator_is_known_at_the_decision_port_and_no_trader_there(
    stack: Stack, pki: Pki
) -> None:
    files = files_of(pki, "spiffe://riskgate/admin/ada")
    with (
        riskgate.Client(decision_port(stack), **files, deadline_s=DEADLINE_S) as gate,
        pytest.raises(riskgate.NoDecisionError, match="this role may not call this method"),
    ):
        gate.decide(**ORDER)


def test_who_shows_no_certificate_gets_no_answer_from_either_port(stack: Stack, pki: Pki) -> None:
    anonymous = grpc.ssl_channel_credentials(pki.authority_path.read_bytes())
    shown: list[Credentials] = ["plaintext", anonymous]
    for credentials in shown:
        with (
            riskgate.Client(
                decision_port(stack),
                credentials=credentials,
                deadline_s=2.0,
            ) as gate,
            pytest.raises(riskgate.NoDecisionError),
        ):
            gate.decide(**ORDER)
    with grpc.insecure_channel(stack.state.control_address) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.WhoAmI(identity_pb2.WhoAmIRequest(), timeout=2)


def test_a_certificate_of_another_authority_opens_nothing(
    stack: Stack, tmp_path: Path, pki: Pki
) -> None:
    foreign = Pki(tmp_path / "pki")
    foreign.ensure([], OPERATOR)
    certificate, key = foreign.issue(OPERATOR)
    files = {"certificate": certificate, "key": key, "ca": pki.authority_path}
    with pytest.raises(grpc.RpcError) as caught:
        who_am_i(stack.state.control_address, files)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_revoked_certificate_is_refused_while_its_connection_lives(
    stack: Stack, pki: Pki
) -> None:
    files = files_of(pki, "spiffe://riskgate/auditor/eve")
    parts = [files[name].read_bytes() for name in ("ca", "key", "certificate")]
    credentials = grpc.ssl_channel_credentials(*parts)
    with grpc.secure_channel(stack.state.control_address, credentials) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)

        def ask() -> grpc.StatusCode:
            try:
                stub.WhoAmI(identity_pb2.WhoAmIRequest(), timeout=DEADLINE_S)
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        assert ask() == grpc.StatusCode.OK
        stack.answer("pki revoke", "spiffe://riskgate/auditor/eve")
        assert wait_until(lambda: ask() != grpc.StatusCode.OK, timeout_s=10)
        assert ask() == grpc.StatusCode.UNAUTHENTICATED


def test_a_command_may_show_another_certificate_than_the_operators(stack: Stack, pki: Pki) -> None:
    files = files_of(pki, "spiffe://riskgate/auditor/ada")
    words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    place = ["--data-dir", str(stack.data_dir)]
    with pytest.MonkeyPatch.context() as patch:
        for name in files:
            # Set by the command itself; taken back afterwards.
            patch.setenv(f"RISKGATE_{name.upper()}", "")
        runner = CliRunner()
        assert runner.invoke(app, [*words, "get", "accounts", *place]).exit_code == 0
        sample = str(Path(__file__).with_name("outages.yaml"))
        refused = runner.invoke(app, [*words, "apply", "--reason", "x", "-f", sample, *place])
    assert refused.exit_code == 1
    assert "this role may not call this method" in refused.stderr


def test_the_supervisor_never_loads_grpc(stack: Stack) -> None:
    maps = Path(f"/proc/{stack.state.supervisor_pid}/maps").read_text(encoding="utf-8")
    assert "python" in maps
    assert "grpc" not in maps
    assert "onnxruntime" not in maps


def test_no_list_of_processes_and_no_log_shows_a_secret(stack: Stack) -> None:
    data_dir = stack.data_dir
    secrets = [path.read_text(encoding="ascii") for path in data_dir.glob("keys/*.password")]
    secrets += [path.read_text(encoding="ascii") for path in data_dir.rglob("*.key")]
    assert len(secrets) > 5
    supervisor = psutil.Process(stack.state.supervisor_pid)
    shown = [" ".join(each.cmdline()) for each in [supervisor, *supervisor.children(True)]]
    shown += [path.read_text(encoding="utf-8") for path in data_dir.glob("logs/*.log")]
    shown.append(stack.output.read_text(encoding="utf-8"))
    lines = {line for secret in secrets for line in secret.splitlines() if "-----" not in line}
    assert not [line for line in lines if any(line in text for text in shown)]


def test_every_key_below_the_data_directory_is_for_its_owner_alone(stack: Stack) -> None:
    paths = [*stack.data_dir.rglob("*.key"), *stack.data_dir.rglob("*.password")]
    paths += [stack.data_dir / "state.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


def test_an_insecure_stack_says_so_and_is_spoken_to_in_the_clear() -> None:
    with running_stack("--insecure-loopback") as stack:
        said = stack.output.read_text(encoding="utf-8")
        assert said.count("INSECURE: no TLS") == 2  # in the log, and to whoever waits for READY
        assert not stack.state.is_tls
        assert not (stack.data_dir / "pki").exists()
        assert stack.is_healthy()
        with riskgate.Client(decision_port(stack), deadline_s=DEADLINE_S) as gate:
            assert gate.decide(**ORDER, dry_run=True).decision_id > 0


def test_http_answers_where_the_stack_says_it_does(stack: Stack, pki: Pki) -> None:
    address = stack.state.http_address
    assert f"HTTP on {address}, metrics" in stack.output.read_text(encoding="utf-8")
    context = ssl.create_default_context(cafile=str(pki.authority_path))
    context.load_cert_chain(
        stack.data_dir / "pki/operator.crt", stack.data_dir / "pki/operator.key"
    )
    connection = http.client.HTTPSConnection(address, context=context, timeout=60)
    connection.request("GET", "/api/risk/configurations?account_id=steady")
    answer = connection.getresponse()
    assert answer.status == 200
    assert [row["account_id"] for row in json.loads(answer.read())] == ["steady"]
    connection.close()


@pytest.mark.parametrize(
    ("said", "security", "ca"),
    [
        ({"insecure_loopback": True}, "insecure_loopback", None),
        ({}, "mutual_tls", "pki/ca.crt"),
        (OWN_FILES, "mutual_tls", "own/ca.pem"),
    ],
)
def test_ready_tells_scripts_how_the_ports_are_spoken_to(
    said: dict[str, Any],
    security: str,
    ca: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings(data_dir=tmp_path, **said)
    _report_ready(settings, Addresses("d", "c", "m", ("d",)), as_json=True)
    line = json.loads(capsys.readouterr().out)
    assert line["security"] == security
    assert line["ca"] == (ca and str(tmp_path / ca))


def test_own_files_need_a_certificate_to_ask_for_health_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(data_dir=tmp_path, **OWN_FILES)
    with pytest.raises(ConfigurationError, match="set RISKGATE_CERTIFICATE, RISKGATE_KEY"):
        prepare_certificates(settings)
    for name in ("CERTIFICATE", "KEY", "CA"):
        monkeypatch.setenv(f"RISKGATE_{name}", "x")
    assert not prepare_certificates(settings)
    assert not (tmp_path / "pki").exists()


@pytest.mark.parametrize("command", ["engine", "control", "standby"])
def test_a_process_alone_does_not_serve_without_a_certificate(command: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [command, "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "`riskgate pki init` makes one" in result.stderr


@pytest.mark.parametrize("port", ["decision", "control"])
def test_plaintext_beyond_this_machine_is_refused(tmp_path: Path, port: str) -> None:
    # Refused by the settings, before anything is opened.
    words = ["serve", "--insecure-loopback", f"--{port}-listen", "0.0.0.0:0"]
    result = CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{port}_listen: without TLS (insecure_loopback) only on loopback" in result.stderr


def test_a_stack_of_an_authority_of_ones_own_has_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority("own authority")
    ca, _ = authority.issued.write(tmp_path, "ca")
    server = authority.issue_server().write(tmp_path, "server")
    client = authority.issue_client(OPERATOR).write(tmp_path, "client")
    ports = {"TLS_CERTIFICATE": server[0], "TLS_KEY": server[1], "TLS_CLIENT_CA": ca}
    for name, path in {**ports, "CERTIFICATE": client[0], "KEY": client[1], "CA": ca}.items():
        monkeypatch.setenv(f"RISKGATE_{name}", str(path))
    with running_stack() as stack:
        assert f"mutual TLS for certificates of {ca}" in stack.output.read_text(encoding="utf-8")
        assert not (stack.data_dir / "pki").exists()
        # It was issued for a day, which began a moment ago; that is all there is to complain of.
        _, checks = stack.examine()
        assert [name for name, check in checks.items() if not check["ok"]] == ["certificates"]
        assert "ends in 23:" in checks["certificates"]["problem"]
        assert stack.answer("get", "accounts") == []
        monkeypatch.delenv("RISKGATE_CERTIFICATE")
        monkeypatch.delenv("RISKGATE_KEY")
        monkeypatch.delenv("RISKGATE_CA")
        refused = stack.command("get", "accounts")
        assert "wants a certificate: name one by RISKGATE_CERTIFICATE" in refused.stderr


def test_several_engines_have_a_socket_each_and_one_certificate() -> None:
    with running_stack("--shards", "2") as stack:
        assert stack.is_healthy()
        said = stack.output.read_text(encoding="utf-8").rpartition("READY decisions on ")[2]
        ports = said.partition(", control on ")[0].split(", ")
        assert len(ports) == 2
        assert all(each.startswith("unix:") for each in stack.state.decision_addresses)
        with riskgate.connect(stack.data_dir, deadline_s=DEADLINE_S) as gate:
            for account in ("a", "b", "c", "d"):
                assert gate.decide(**{**ORDER, "account_id": account}).decision_id > 0
        files = files_of(Pki(stack.data_dir / "pki"), "spiffe://riskgate/trader/unknown")
        for port in ports:
            with (
                riskgate.Client(port, **files, deadline_s=DEADLINE_S) as gate,
                pytest.raises(riskgate.NoDecisionError) as caught,
            ):
                gate.decide(**ORDER)
            assert caught.value.code == grpc.StatusCode.PERMISSION_DENIED


def test_a_trader_may_use_its_own_accounts_from_the_moment_it_is_put(
    stack: Stack, pki: Pki
) -> None:
    uri = "spiffe://riskgate/trader/desk-7"
    with riskgate.Client(decision_port(stack), **files_of(pki, uri), deadline_s=DEADLINE_S) as gate:

        def ask(account: str) -> str:
            try:
                gate.decide(**{**ORDER, "account_id": account}, dry_run=True)
            except riskgate.NoDecisionError as error:
                return error.code.name
            return "decided"

        assert ask("steady") == "PERMISSION_DENIED"
        unproven = stack.command("identities put", uri, "--account", "steady", "--reason", "desk")
        assert "one-time code" in unproven.stderr
        secret = stack.answer("identities enroll")["otpauth_uri"]
        code = pyotp.parse_uri(secret).now()  # type: ignore[attr-defined]
        words = ("--account", "steady", "--reason", "desk", "--otp", code)
        put = stack.answer("identities put", uri, *words)
        assert put["identity"]["accounts"] == ["steady"]
        assert wait_until(lambda: ask("steady") == "decided", timeout_s=10)
        assert ask("patient") == "PERMISSION_DENIED"
        # The connection lives on; what it was let in for does not.
        stack.answer("pki revoke", uri)
        assert wait_until(lambda: ask("steady") != "decided", timeout_s=10)
