"""The Unix socket beside a decision port with TLS: this account needs no certificate on it."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
import pytest

from server.listening import (
    LOCAL_FD_VARIABLE,
    LOCAL_LISTEN_VARIABLE,
    clear_local_address,
    open_listener,
)
from tests.certificates import CLIENT_URI
from tests.lane_harness import OWN_CONNECTION
from tests.trusted_port import LANES, Code, TrustedPort, message_of, open_trusted, outcome_of

ASK: Final = message_of("Decide", "A")
METHODS: Final = ("Decide", "DecideBatch", "DecideStream", "ReportExecution", "SyncAccount")
UNKNOWN: Final = {Code.UNAVAILABLE, Code.UNAUTHENTICATED}


@pytest.fixture
def local_port(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[TrustedPort, Path]]:
    path = tmp_path / "run" / "decision.sock"
    if request.param == "compiled":
        # As the supervisor does it for an engine that can inherit a socket.
        listener = open_listener(f"unix:{path}")
        monkeypatch.setenv(LOCAL_FD_VARIABLE, str(listener.detach()))
    else:
        clear_local_address(f"unix:{path}")
        monkeypatch.setenv(LOCAL_LISTEN_VARIABLE, f"unix:{path}")
    with open_trusted(request.param, tmp_path) as port:
        yield port, path


@pytest.mark.parametrize("local_port", LANES, indirect=True)
def test_the_socket_of_this_account_has_every_right_and_the_port_beside_it_none_more(
    local_port: tuple[TrustedPort, Path],
) -> None:
    port, path = local_port
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with grpc.insecure_channel(f"unix:{path}", [OWN_CONNECTION]) as local:
        for method in METHODS:
            assert outcome_of(local, method, message_of(method, "A")) == (Code.OK, "")
        # Who has no certificate is not let in by the port, nor is a trader to others' accounts.
        with port.dial(None) as nobody:
            assert outcome_of(nobody, "Decide", ASK)[0] in UNKNOWN
        with grpc.insecure_channel(f"localhost:{port.number}", [OWN_CONNECTION]) as plain:
            assert outcome_of(plain, "Decide", ASK)[0] == Code.UNAVAILABLE
        port.put(CLIENT_URI, "B")
        with port.dial(port.pki.authority.issue_client()) as channel:
            assert outcome_of(channel, "Decide", ASK)[0] == Code.PERMISSION_DENIED
        assert outcome_of(local, "Decide", ASK) == (Code.OK, "")
