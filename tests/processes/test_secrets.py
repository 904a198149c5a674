"""Row T17: nothing secret leaves its file; a whole stack is searched for its keys and passwords."""

import json
import os
import re
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pyotp
import pytest
import redis
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.embedded.process import wait_until
from tests.stack_harness import Stack, running_stack

OPERATOR = "spiffe://riskgate/admin/operator"
MARKER = "planted-marker"
SECRET_SUFFIXES = {".pem", ".key", ".keys", ".password"}
# A shorter one could be found by accident.
SECRET_BYTES_MIN = 16


@dataclass
class Searched:
    """A stack that has done all kinds of things, and what it and its commands have said."""

    stack: Stack
    secrets: dict[str, set[bytes]]
    spoken: list[bytes] = field(default_factory=list)

    def find(self, content: bytes) -> list[str]:
        """Return the names of the secrets that stand in some bytes."""
        return [
            name
            for name, shapes in self.secrets.items()
            if any(shape in content for shape in shapes)
        ]


def shapes_of(secret: bytes) -> set[bytes]:
    """Return a secret as it stands, and in hex."""
    assert len(secret) >= SECRET_BYTES_MIN
    return {secret, secret.hex().encode()}


def read_secrets(data_dir: Path) -> dict[str, set[bytes]]:
    """Return what stands in the files that only their owner may read, by their names."""
    found = {}
    for path in [*(data_dir / "keys").glob("*"), *(data_dir / "pki").glob("*.key")]:
        if path.suffix not in SECRET_SUFFIXES or path.name.endswith(".pub.pem"):
            continue
        content = path.read_bytes().strip()
        assert path.stat().st_mode & 0o077 == 0, path
        if b"PRIVATE KEY" in content:
            key: Any = load_pem_private_key(content, None)
            der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            body = b"".join(content.splitlines()[1:-1])
            found[path.name] = shapes_of(der) | {body, content.splitlines()[1]}
            if hasattr(key, "private_bytes_raw"):
                found[path.name] |= shapes_of(key.private_bytes_raw())
            continue
        for number, line in enumerate(content.split(b"\n")):
            word = line.split()[0]
            found[f"{path.name}:{number}"] = shapes_of(word)
            if re.fullmatch(rb"[0-9a-f]{64}", word):
                found[f"{path.name}:{number}"] |= shapes_of(bytes.fromhex(word.decode()))
    return found


@pytest.fixture(scope="module")
def searched() -> Iterator[Searched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RISKGATE_INSECURE_LOOPBACK", raising=False)
        patch.setenv("RISKGATE_LOG_LEVEL", "DEBUG")
        with running_stack() as stack:
            searched = Searched(stack, {})
            use_it(searched)
            searched.secrets |= read_secrets(stack.data_dir)
            yield searched


def use_it(searched: Searched) -> None:
    """Enroll, send right and wrong codes, change keys, and let parts of the stack die."""
    stack = searched.stack

    def run(name: str, *arguments: str, code: int = 0) -> Any:
        done = stack.command(name, *arguments)
        assert done.returncode == code, done.stderr
        if name != "identities enroll":
            searched.spoken.append((done.stdout + done.stderr).encode())
        else:
            searched.spoken.append(done.stderr.encode())
        return json.loads(done.stdout) if code == 0 else None

    def enroll(*arguments: str) -> pyotp.TOTP:
        uri = run("identities enroll", *arguments)["otpauth_uri"]
        codes = pyotp.parse_uri(uri)
        assert isinstance(codes, pyotp.TOTP)
        name = f"secret {len(searched.secrets)}"
        shapes = {codes.secret.encode(), codes.secret.lower().encode(), codes.byte_secret()}
        searched.secrets[name] = shapes | {codes.byte_secret().hex().encode()}
        return codes

    put = ("identities put", f"spiffe://riskgate/trader/{MARKER}", "--account", MARKER)
    why = ("--reason", "a test")
    codes = enroll()
    run(*put, *why, code=1)
    run(*put, *why, "--otp", "000000", code=1)
    now_s = int(time.time())
    run(*put, *why, "--otp", codes.at(now_s))
    run(*put, *why, "--otp", codes.at(now_s), code=1)
    enroll("--otp", codes.at(now_s + 30))
    run("secrets rotate")
    for name in ("control", "postgres", "redis"):
        restart(searched, name)


def restart(searched: Searched, name: str) -> None:
    """Kill a part of the stack, and ask until all is well again; what is said meanwhile counts."""
    stack = searched.stack
    before = stack.state.pids[name]
    os.kill(before, signal.SIGKILL)

    def answers() -> bool:
        done = [stack.command(each) for each in ("identities list", "doctor")]
        searched.spoken.extend((each.stdout + each.stderr).encode() for each in done)
        return stack.state.pids[name] != before and done[0].returncode == 0

    assert wait_until(answers, timeout_s=90)


def test_files_of_secrets_are_found_and_many(searched: Searched) -> None:
    assert {
        "author.pem",
        "ca.key",
        "server.key",
        "feed.key:0",
        "data.keys:0",
        "data.keys:1",
    } <= set(searched.secrets)
    assert sum(name.startswith("secret") for name in searched.secrets) == 2
    assert len(searched.secrets) >= 14


def test_no_log_and_no_answer_names_a_secret(searched: Searched) -> None:
    logs = [path.read_bytes() for path in (searched.stack.data_dir / "logs").rglob("*.*")]
    spoken = [searched.stack.output.read_bytes(), *logs, *searched.spoken]
    assert [searched.find(text) for text in spoken] == [[]] * len(spoken)
    assert any(b"a valid one-time code is required" in text for text in spoken)


def test_no_command_line_names_a_secret(searched: Searched) -> None:
    assert searched.stack.process is not None
    top = psutil.Process(searched.stack.process.pid)
    lines = ["\0".join(each.cmdline()) for each in [top, *top.children(recursive=True)]]
    assert len(lines) >= 5
    assert [searched.find(line.encode()) for line in lines] == [[]] * len(lines)


def test_no_process_leaves_a_core_dump_with_its_keys(searched: Searched) -> None:
    pids = searched.stack.state.pids
    assert {"control", "postgres", "redis", "recorder"} <= set(pids)
    for pid in pids.values():
        limits = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
        (core,) = [line for line in limits if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"], core


def test_no_table_of_the_record_holds_a_secret(searched: Searched) -> None:
    dump = b"".join(_dump(searched.stack.state.database_url))
    assert MARKER.encode() in dump
    assert searched.find(dump) == []


def test_no_key_of_redis_holds_a_secret(searched: Searched) -> None:
    client = redis.Redis.from_url(searched.stack.state.redis_url, socket_timeout=5)
    content = b"".join(_read_redis(client))
    client.close()
    assert MARKER.encode() in content
    assert searched.find(content) == []


def test_no_other_file_of_the_stack_holds_a_secret(searched: Searched) -> None:
    data_dir = searched.stack.data_dir
    # `state.json` tells commands of the same account how to reach the stack, passwords included.
    own = {data_dir / "state.json"}
    assert (data_dir / "state.json").stat().st_mode & 0o077 == 0
    found = {}
    for path in data_dir.rglob("*"):
        belongs = path.parent == data_dir / "keys" or (
            path.parent == data_dir / "pki" and path.suffix == ".key"
        )
        if belongs or path in own or not path.is_file():
            continue
        # Files of a running PostgreSQL come and go.
        with suppress(FileNotFoundError):
            if names := searched.find(path.read_bytes()):
                found[str(path.relative_to(data_dir))] = names
    assert found == {}


def _dump(database_url: str) -> Iterable[bytes]:
    """Yield every row of every table, as a dump has them."""
    with psycopg.connect(database_url) as opened:
        tables = opened.execute(
            "SELECT table_schema, table_name FROM information_schema.tables"
            " WHERE table_type = 'BASE TABLE' AND table_schema = 'riskgate'"
        ).fetchall()
        for schema, table in tables:
            query: Any = f"COPY (SELECT * FROM {schema}.{table}) TO STDOUT"  # noqa: S608
            with opened.cursor() as cursor, cursor.copy(query) as rows:
                yield from (bytes(row) for row in rows)


def _read_redis(client: Any) -> Iterable[bytes]:
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"hash":
            for name, value in client.hgetall(key).items():
                yield name + value
        elif kind == b"stream":
            for _, entry in client.xrange(key):
                yield b"".join(name + value for name, value in entry.items())
        else:
            assert kind == b"string", key
            yield client.get(key)
        yield key
