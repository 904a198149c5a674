"""How a client shows who it is: by files, by the environment, by what a data directory has."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

import riskgate
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import decision_pb2_grpc, reference_pb2, reference_pb2_grpc
from server.security.pki import Pki

OPERATOR = "spiffe://riskgate/admin/operator"
DESK = "spiffe://riskgate/trader/desk-7"
DEADLINE_S = 10.0
VARIABLES = ("RISKGATE_CERTIFICATE", "RISKGATE_KEY", "RISKGATE_CA")


class Gate(decision_pb2_grpc.DecisionServiceServicer, reference_pb2_grpc.ReferenceServiceServicer):
    """A server with TLS that notes who has called."""

    def __init__(self, data_dir: Path) -> None:
        self.pki = Pki(data_dir / "pki")
        self.pki.ensure([], OPERATOR)
        self.callers: list[str] = []
        self.server = grpc.server(ThreadPoolExecutor(max_workers=2))
        decision_pb2_grpc.add_DecisionServiceServicer_to_server(self, self.server)
        reference_pb2_grpc.add_ReferenceServiceServicer_to_server(self, self.server)
        folder = self.pki.folder
        pair = ((folder / "server.key").read_bytes(), (folder / "server.crt").read_bytes())
        credentials = grpc.ssl_server_credentials(
            [pair],
            root_certificates=self.pki.authority_path.read_bytes(),
            require_client_auth=True,
        )
        port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{port}"
        self.socket = data_dir / "gate.sock"
        self.server.add_insecure_port(f"unix:{self.socket}")
        self.server.start()

    def _answer(self, answer: Any, context: Any) -> Any:
        (uri,) = context.auth_context().get("peer_spiffe_id", [b"nobody"])
        self.callers.append(uri.decode())
        return answer

    def Decide(self, _request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(pb.DecideResponse(), context)

    def ListAccounts(self, _request: Any, context: Any) -> Any:  # noqa: N802
        return self._answer(reference_pb2.ListAccountsResponse(), context)

    def say(self, data_dir: Path, *, is_tls: bool = True, decision: str | None = None) -> None:
        """Write what a running stack would."""
        state = {"decision_address": decision or self.address, "control_address": self.address}
        (data_dir / "state.json").write_text(json.dumps({**state, "is_tls": is_tls}))


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def gate(data_dir: Path) -> Iterator[Gate]:
    made = Gate(data_dir)
    yield made
    made.server.stop(grace=None).wait()


def files_of(gate: Gate, uri: str = DESK) -> dict[str, Any]:
    certificate, key = gate.pki.issue(uri)
    return {"certificate": certificate, "key": str(key), "ca": gate.pki.authority_path}


def test_a_client_shows_the_certificate_that_it_is_given(gate: Gate) -> None:
    with riskgate.Client(gate.address, **files_of(gate), deadline_s=DEADLINE_S) as client:
        client.decide(account_id="A")
    with riskgate.ControlClient(gate.address, **files_of(gate)) as control:
        control.reference.ListAccounts(reference_pb2.ListAccountsRequest(), timeout=DEADLINE_S)

    async def ask() -> None:
        files = files_of(gate)
        async with riskgate.AsyncClient(gate.address, **files, deadline_s=DEADLINE_S) as client:
            await client.decide(account_id="A")

    asyncio.run(ask())
    assert gate.callers == [DESK] * 3


def test_without_files_the_environment_is_asked(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, path in zip(VARIABLES, files_of(gate).values(), strict=True):
        monkeypatch.setenv(name, str(path))
    with riskgate.Client(gate.address, deadline_s=DEADLINE_S) as client:
        client.decide(account_id="A")
    assert gate.callers == [DESK]


def test_commands_of_a_data_directory_are_its_operator(gate: Gate, data_dir: Path) -> None:
    gate.say(data_dir)
    with riskgate.connect(data_dir, deadline_s=DEADLINE_S) as client:
        client.decide(account_id="A")
    with riskgate.ControlClient.from_data_dir(data_dir) as control:
        control.reference.ListAccounts(reference_pb2.ListAccountsRequest(), timeout=DEADLINE_S)
    assert gate.callers == [OPERATOR] * 2


def test_named_files_go_before_the_environment_and_that_before_the_operator(
    gate: Gate, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.say(data_dir)
    auditor = "spiffe://riskgate/auditor/ada"
    for name, path in zip(VARIABLES, files_of(gate, auditor).values(), strict=True):
        monkeypatch.setenv(name, str(path))
    for given in ({}, files_of(gate)):
        with riskgate.connect(data_dir, **given, deadline_s=DEADLINE_S) as client:
            client.decide(account_id="A")
    assert gate.callers == [auditor, DESK]


def test_the_socket_of_this_account_needs_no_certificate(gate: Gate, data_dir: Path) -> None:
    gate.say(data_dir, decision=f"unix:{gate.socket}")
    (data_dir / "pki" / "operator.crt").unlink()
    with riskgate.connect(data_dir, deadline_s=DEADLINE_S) as client:
        client.decide(account_id="A")
    assert gate.callers == ["nobody"]


def test_an_insecure_stack_is_spoken_to_in_the_clear_whatever_the_environment_says(
    gate: Gate, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, str(data_dir / "not there"))
    gate.say(data_dir, is_tls=False, decision=f"unix:{gate.socket}")
    with riskgate.connect(data_dir, deadline_s=DEADLINE_S) as client:
        client.decide(account_id="A")
    assert gate.callers == ["nobody"]


def test_a_server_of_another_authority_is_not_told_anything(gate: Gate, tmp_path: Path) -> None:
    foreign = Pki(tmp_path / "foreign")
    foreign.ensure([], OPERATOR)
    files = {**files_of(gate), "ca": foreign.authority_path}
    with (
        riskgate.Client(gate.address, **files, deadline_s=1.0) as client,
        pytest.raises(riskgate.NoDecisionError),
    ):
        client.decide(account_id="A")
    assert gate.callers == []


def test_a_stack_with_tls_and_no_operator_says_what_to_name(gate: Gate, data_dir: Path) -> None:
    gate.say(data_dir)
    (data_dir / "pki" / "operator.crt").unlink()
    with pytest.raises(riskgate.CredentialsError, match="RISKGATE_CERTIFICATE, RISKGATE_KEY"):
        riskgate.ControlClient.from_data_dir(data_dir)


@pytest.mark.parametrize("left_out", ["certificate", "key", "ca"])
def test_two_files_of_three_are_refused(gate: Gate, left_out: str) -> None:
    files = {name: path for name, path in files_of(gate).items() if name != left_out}
    with pytest.raises(riskgate.CredentialsError, match=f"no {left_out} is named"):
        riskgate.Client(gate.address, **files)


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), ("x", "is no PEM file")])
def test_a_file_that_cannot_be_used_is_named(gate: Gate, content: str | None, said: str) -> None:
    files = files_of(gate)
    Path(files["key"]).unlink()
    if content is not None:
        Path(files["key"]).write_text(content)
    with pytest.raises(riskgate.CredentialsError, match=rf"key: .*trader-desk-7\.key.*{said}"):
        riskgate.Client(gate.address, **files)


def test_credentials_and_files_together_are_refused(gate: Gate) -> None:
    ready = grpc.ssl_channel_credentials()
    with pytest.raises(ValueError, match="either credentials or"):
        riskgate.Client(gate.address, credentials=ready, **files_of(gate))


def test_plaintext_by_name_still_stays_on_this_machine() -> None:
    with pytest.raises(ValueError, match="another machine"):
        riskgate.Client("10.0.0.1:1", credentials="plaintext")
