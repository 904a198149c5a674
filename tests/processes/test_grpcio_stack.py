"""`riskgate serve --lane grpcio` with TLS: the same ports and sockets as by the compiled lane."""

import signal
import stat
from collections.abc import Iterator

import psutil
import pytest

import riskgate
from server.embedded.process import wait_until
from server.security.pki import Pki
from tests.processes.test_trusted_stack import DEADLINE_S, ORDER, decision_port, files_of
from tests.stack_harness import running_stack


@pytest.fixture(scope="module", autouse=True)
def _as_it_comes() -> Iterator[None]:
    """Without what conftest.py sets for tests that are not about trust."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RISKGATE_INSECURE_LOOPBACK")
        yield


def test_the_port_wants_certificates_and_the_socket_of_this_account_none() -> None:
    with running_stack("--lane", "grpcio") as stack:
        assert stack.is_healthy()
        path = stack.data_dir / "run" / "decision.sock"
        assert stack.state.decision_address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        def decide() -> int:
            with riskgate.connect(stack.data_dir, deadline_s=DEADLINE_S) as gate:
                return int(gate.decide(**ORDER).decision_id)

        assert decide() > 0
        anonymous = riskgate.Client(
            decision_port(stack), credentials="plaintext", deadline_s=DEADLINE_S
        )
        with anonymous, pytest.raises(riskgate.NoDecisionError):
            anonymous.decide(**ORDER, deadline_s=1.0)
        operator = files_of(Pki(stack.data_dir / "pki"), "spiffe://riskgate/admin/ada")
        with (
            riskgate.Client(decision_port(stack), **operator, deadline_s=DEADLINE_S) as gate,
            pytest.raises(riskgate.NoDecisionError, match="this role may not call this method"),
        ):
            gate.decide(**ORDER)
        # The socket that a killed engine has left does not keep the next one from its place.
        killed = psutil.Process(stack.state.pids["engine"])
        killed.kill()
        assert wait_until(
            lambda: stack.state.pids.get("engine") not in {None, killed.pid} and stack.is_healthy(),
            timeout_s=60,
        )
        assert decide() > 0
        assert stack.end(signal.SIGTERM) == 0
        assert not path.exists()


def test_who_dials_the_port_for_want_of_a_socket_is_told_so_by_the_doctor() -> None:
    with running_stack("--lane", "grpcio") as stack:
        dialled = stack.state.model_copy(
            update={
                "decision_address": decision_port(stack),
                "decision_addresses": [decision_port(stack)],
            }
        )
        dialled.write(stack.data_dir)
        code, checks = stack.examine()
    assert code == 1
    assert [name for name, check in checks.items() if not check["ok"]] == ["engine_state"]
    assert "this role may not call this method" in checks["engine_state"]["problem"]
    assert "shorter path" in checks["engine_state"]["mend"]
