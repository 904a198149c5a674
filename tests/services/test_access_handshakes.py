"""Who gets an answer from the control port: one version of TLS, with one kind of certificate."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import grpc
import psycopg
from cryptography import x509

from tests.certificates import DAY, SERVER_AUTH, Authority, Issued
from tests.control_harness import refusal
from tests.raw_call import VERSIONS, client_context, is_answered, shakes_hands
from tests.trusted_control import ADMIN, TrustedControl, play_trusted

ROOT = Path(__file__).parents[2]


def callers(authority: Authority) -> dict[str, Issued | None]:
    uri = [x509.UniformResourceIdentifier(ADMIN)]
    return {
        "none": None,
        "foreign": Authority("somebody else").issue_client(ADMIN),
        "expired": authority.issue(names=uri, begins=-2 * DAY, ends=-DAY),
        "early": authority.issue(names=uri, begins=DAY, ends=2 * DAY),
        "wrong usage": authority.issue(names=uri, usages=[SERVER_AUTH]),
        "right": authority.issue(names=uri),
    }


def test_of_all_handshakes_exactly_one_gets_an_answer(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: TrustedControl) -> None:
        ca = tmp_path / "ca.pem"
        answered = []
        for version, (kind, issued) in product(VERSIONS, callers(parts.authority).items()):
            own = issued and issued.write(tmp_path, kind)
            context = client_context(version, ca, own)
            if await asyncio.to_thread(is_answered, parts.address, context):
                answered.append((version, kind))
        assert answered == [("TLSv1_3", "right")]

    play_trusted(database_url, redis_url, tmp_path, scenario)


def test_plaintext_gets_no_answer(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async def scenario(parts: TrustedControl) -> None:
        async with grpc.aio.insecure_channel(parts.address) as channel:
            code, _, _ = await refusal(
                channel.unary_unary("/grpc.health.v1.Health/Check")(b"")  # type: ignore[call-arg]
            )
        assert code == grpc.StatusCode.UNAVAILABLE

    play_trusted(database_url, redis_url, tmp_path, scenario)


@contextmanager
def _process(first: str, database_url: str, redis_url: str, folder: Path) -> Iterator[str]:
    """Serve in a process of its own that imports something first; yield its address."""
    code = f"import {first}, asyncio, sys; from tests.trusted_control import serve; "
    code += "asyncio.run(serve(*sys.argv[1:]))"
    command = [sys.executable, "-c", code, database_url, redis_url, str(folder)]
    # What this process has set for itself must not reach the other.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
    with subprocess.Popen(
        command, cwd=ROOT, env=bare, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()
    assert process.returncode == 0


def _shaken(address: str, folder: Path) -> list[str]:
    own = folder / "admin.pem", folder / "admin.key"
    contexts = {version: client_context(version, folder / "ca.pem", own) for version in VERSIONS}
    return [version for version, context in contexts.items() if shakes_hands(address, context)]


def test_a_server_process_shakes_hands_over_nothing_but_tls_13(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    with _process("server", database_url, redis_url, tmp_path) as address:
        assert _shaken(address, tmp_path) == ["TLSv1_3"]


def test_a_call_over_tls_12_is_refused_even_where_the_handshake_lets_it_pass(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    # gRPC is imported before the package that sets its first lock.
    with _process("grpc", database_url, redis_url, tmp_path) as address:
        assert _shaken(address, tmp_path) == ["TLSv1_2", "TLSv1_3"]
        own = tmp_path / "admin.pem", tmp_path / "admin.key"
        older, newest = (client_context(each, tmp_path / "ca.pem", own) for each in VERSIONS[2:])
        assert not is_answered(address, older)
        assert is_answered(address, newest)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT identity, outcome, new_value->>'problem' FROM riskgate.audit_log"
        ).fetchall()
    assert rows == [("", "denied", "TLS 1.3 is required")]
