"""What an identity entry does to calls of a stack with certificates, on live connections too."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pyotp
import pytest
from typer.testing import CliRunner

from riskgate import ControlClient
from riskgate.v1 import admin_pb2, identity_pb2, reference_pb2
from server.cli import app
from server.embedded.process import wait_until
from tests.stack_harness import Stack, running_stack

# It waits for new one-time codes, minutes in all; services/test_access_calls.py has the short form.
pytestmark = pytest.mark.campaign

DESK = "spiffe://riskgate/trader/desk-1"
# Issue: revocation to the last call that is accepted on a live connection.
REVOKED_AFTER_S_MAX = 1.0
WHY = admin_pb2.ChangeNote(reason="a test")


class Codes:
    """One-time codes of the operator, each used once: waits for none, takes the next steps."""

    def __init__(self, uri: str) -> None:
        parsed = pyotp.parse_uri(uri)
        assert isinstance(parsed, pyotp.TOTP)
        self._codes = parsed
        self._last_step = 0

    def take(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call."""
        now_step = int(time.time()) // 30
        assert wait_until(lambda: int(time.time()) // 30 + 1 > self._last_step, timeout_s=60)
        self._last_step = max(now_step - 1, self._last_step + 1)
        return (("riskgate-otp", self._codes.at(self._last_step * 30)),)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RISKGATE_INSECURE_LOOPBACK", raising=False)
        with running_stack() as stack:
            yield stack


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[ControlClient]:
    with ControlClient.from_data_dir(stack.data_dir) as client:
        for account_id in ("own", "other"):
            account = reference_pb2.Account(account_id=account_id, currency="USD", equity=1_000)
            request = reference_pb2.PutAccountRequest(account=account, note=WHY)
            client.reference.PutAccount(request, timeout=30, wait_for_ready=True)
        yield client


@pytest.fixture(scope="module")
def codes(operator: ControlClient) -> Codes:
    request = identity_pb2.EnrollSecondFactorRequest()
    return Codes(operator.identities.EnrollSecondFactor(request, timeout=30).otpauth_uri)


@pytest.fixture
def trader(stack: Stack) -> Iterator[ControlClient]:
    """A trader whose certificate nobody has made an entry for."""
    files = stack.answer("pki issue", "trader", "desk-1")
    files = {name: Path(files[name]) for name in ("certificate", "key", "ca")}
    with ControlClient(stack.state.control_address, **files) as client:
        yield client


def outcome(client: ControlClient, account_id: str) -> str:
    """Ask for an account, and return the name of the status."""
    try:
        client.reference.GetAccount(
            reference_pb2.GetAccountRequest(account_id=account_id), timeout=30, wait_for_ready=True
        )
    except grpc.RpcError as error:
        status: Any = error
        return str(status.code().name)
    return "OK"


def put_entry(operator: ControlClient, codes: Codes, **values: Any) -> Any:
    request = identity_pb2.PutIdentityRequest(
        identity=identity_pb2.Identity(uri=DESK, **values), note=WHY
    )
    return operator.identities.PutIdentity(request, timeout=30, metadata=codes.take())


def test_a_trader_has_no_account_then_its_own_and_after_revocation_nothing(
    operator: ControlClient, codes: Codes, trader: ControlClient
) -> None:
    # Without an entry: it is known by its certificate, and that is all.
    asked = identity_pb2.WhoAmIRequest()
    answer = trader.identities.WhoAmI(asked, timeout=30, wait_for_ready=True)
    assert (answer.uri, answer.every_account, list(answer.accounts)) == (DESK, False, [])
    assert {outcome(trader, each) for each in ("own", "other", "unknown")} == {"PERMISSION_DENIED"}

    put_entry(operator, codes, accounts=["own"])
    assert wait_until(lambda: outcome(trader, "own") == "OK", timeout_s=30)
    assert {outcome(trader, each) for each in ("other", "unknown")} == {"PERMISSION_DENIED"}

    revoke = identity_pb2.RevokeIdentityRequest(uri=DESK, note=WHY)
    operator.identities.RevokeIdentity(revoke, timeout=30)
    revoked_at_s = last_accepted_s = time.monotonic()
    while time.monotonic() - revoked_at_s < 2 * REVOKED_AFTER_S_MAX:
        asked_at_s = time.monotonic()
        if outcome(trader, "own") == "OK":
            last_accepted_s = asked_at_s
    assert last_accepted_s - revoked_at_s <= REVOKED_AFTER_S_MAX
    with pytest.raises(grpc.RpcError):
        trader.identities.WhoAmI(asked, timeout=30)

    restore = identity_pb2.RestoreIdentityRequest(uri=DESK, note=WHY)
    operator.identities.RestoreIdentity(restore, timeout=60, metadata=codes.take())
    assert wait_until(lambda: outcome(trader, "own") == "OK", timeout_s=30)


def test_a_sensitive_call_needs_a_code_that_nobody_has_used(
    operator: ControlClient, codes: Codes
) -> None:
    code = codes.take()
    request = identity_pb2.PutIdentityRequest(
        identity=identity_pb2.Identity(uri=f"{DESK}0"), note=WHY
    )
    for metadata in ((), (("riskgate-otp", "12345"),)):
        with pytest.raises(grpc.RpcError, match="one-time code is required"):
            operator.identities.PutIdentity(request, timeout=30, metadata=metadata)
    operator.identities.PutIdentity(request, timeout=30, metadata=code)
    with pytest.raises(grpc.RpcError, match="used before"):
        operator.identities.PutIdentity(request, timeout=30, metadata=code)


def test_a_code_need_not_stand_on_the_command_line(
    stack: Stack, codes: Codes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Others on the machine could read it there before it is used.
    words = ("identities put", f"{DESK}1", "--every-account", "--reason", "a test")
    assert stack.command(*words).returncode == 1
    put = ["identities", "put", f"{DESK}2", "--reason", "a test", "--otp", "-"]
    directory = ["--data-dir", str(stack.data_dir)]
    asked = CliRunner().invoke(app, [*put, *directory], input=codes.take()[0][1] + "\n")
    assert asked.exit_code == 0, asked.output
    monkeypatch.setitem(os.environ, "RISKGATE_OTP", codes.take()[0][1])
    answer = stack.answer(*words)
    assert (answer["outcome"], answer["identity"]["every_account"]) == ("CREATED", True)
