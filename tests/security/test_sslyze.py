"""An outside scanner's word on both ports: TLS 1.3 and nothing older.

sslyze wants other versions of our own dependencies, so it gets an environment of its own below
`.cache`, installed the first time. It offers no protocol by ALPN, for which the decision port cuts
it off; so besides that port it is shown the very context of it without that one rule.
"""

import ctypes
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from server.security.openssl_context import TlsFiles, build_context, free_context
from server.security.pki import Pki
from tests.stack_harness import running_stack

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(900)]

VERSION: Final = "6.3.1"
HOME: Final = Path(__file__).parents[2] / ".cache" / f"sslyze-{VERSION}"
OLD: Final = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
FLAWS: Final = (
    ("heartbleed", "is_vulnerable_to_heartbleed"),
    ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection"),
    ("tls_compression", "supports_compression"),
    ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos"),
)
_OPENSSL: Final = ctypes.CDLL("libssl.so.3")
_OPENSSL.SSL_new.restype = ctypes.c_void_p


@pytest.fixture(scope="module")
def python() -> Path:
    """Interpreter of the scanner's environment."""
    found = HOME / "bin" / "python"
    steps = [
        [sys.executable, "-m", "venv", str(HOME)],
        [str(found), "-m", "pip", "install", "--quiet", f"sslyze=={VERSION}"],
    ]
    for step in steps if not (HOME / "bin" / "sslyze").exists() else []:
        done = subprocess.run(step, check=False, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            pytest.skip(f"sslyze cannot be installed here: {done.stderr.strip()[-300:]}")
    return found


def scan(python: Path, address: str, pki: Path, out: Path) -> Any:
    """Return what the scanner says about one server; it shows the operator's certificate."""
    words = [str(python), "-m", "sslyze", "--json_out", str(out), "--mozilla_config", "disable"]
    words += ["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"]
    words += ["--heartbleed", "--openssl_ccs", "--compression", "--reneg"]
    words += ["--cert", str(pki / "operator.crt"), "--key", str(pki / "operator.key"), address]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=300)
    assert out.exists(), done.stdout + done.stderr
    (result,) = json.loads(out.read_text(encoding="utf-8"))["server_scan_results"]
    return result


def require_tls_1_3_only(result: Any) -> None:
    assert result["scan_status"] == "COMPLETED", result
    found = {name: each["result"] for name, each in result["scan_result"].items()}
    accepted = {
        version: [
            each["cipher_suite"]["name"]
            for each in found[f"{version}_cipher_suites"]["accepted_cipher_suites"]
        ]
        for version in (*OLD, "tls_1_3")
    }
    assert accepted.pop("tls_1_3")
    assert accepted == {version: [] for version in OLD}
    flaws = {field: found[name][field] for name, field in FLAWS}
    assert flaws == dict.fromkeys(flaws, False)


def test_the_ports_of_a_stack_speak_tls_1_3_and_nothing_older(
    python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RISKGATE_INSECURE_LOOPBACK")
    with running_stack() as stack:
        pki, control = stack.data_dir / "pki", stack.state.control_address
        require_tls_1_3_only(scan(python, control, pki, tmp_path / "control.json"))
        ready = stack.output.read_text(encoding="utf-8").rpartition("READY decisions on ")[2]
        refused = scan(python, ready.partition(",")[0], pki, tmp_path / "decision.json")
    assert refused["connectivity_status"] == "ERROR"


def test_the_context_of_the_decision_port_speaks_tls_1_3_and_nothing_older(
    python: Path, tmp_path: Path
) -> None:
    pki = Pki(tmp_path / "pki")
    pki.ensure([], "spiffe://riskgate/admin/operator")
    files = (pki.folder / name for name in ("server.crt", "server.key", "ca.crt"))
    with serving(TlsFiles(*files)) as address:
        require_tls_1_3_only(scan(python, address, pki.folder, tmp_path / "context.json"))


@contextmanager
def serving(files: TlsFiles) -> Iterator[str]:
    """Accept connections in threads by a context that does not insist on ALPN."""
    context = build_context(files)
    _OPENSSL.SSL_CTX_set_alpn_select_cb(ctypes.c_void_p(context), None, None)
    _OPENSSL.SSL_CTX_set_client_hello_cb(ctypes.c_void_p(context), None, None)

    class Shake(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            ssl = ctypes.c_void_p(_OPENSSL.SSL_new(ctypes.c_void_p(context)))
            _OPENSSL.SSL_set_fd(ssl, self.request.fileno())
            if _OPENSSL.SSL_accept(ssl) == 1:
                _OPENSSL.SSL_read(ssl, ctypes.create_string_buffer(1), 1)
            _OPENSSL.SSL_free(ssl)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Shake) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
    free_context(context)
