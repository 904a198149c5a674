"""`riskgate identities` and `riskgate secrets` over a control process of its own."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyotp
import pytest

from server.record.pool import Pool, connection, open_pool
from server.record.sealed_fields import use_ring
from server.record.second_factor import SecondFactorRepository, check_code
from server.security.field_encryption import KeyRing
from server.security.one_time_codes import make_secret
from server.trust_errors import SecondFactorError
from tests.control_harness import reset

DESK = "spiffe://riskgate/trader/desk-1"
ANNA = "spiffe://riskgate/admin/anna"


class Stack:
    """A control process and the command line that talks to it."""

    def __init__(self, database_url: str, redis_url: str, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.database_url = database_url
        self.keys_dir = folder / "keys"
        self.environment = os.environ | {
            "RISKGATE_DATABASE_URL": database_url,
            "RISKGATE_REDIS_URL": redis_url,
            "RISKGATE_CONTROL_LISTEN": self.address,
            "RISKGATE_DATA_DIR": str(folder),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server", "control"], env=self.environment
        )

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=self.environment,
        )

    def identities(self, *arguments: str) -> Any:
        done = self.run("identities", *arguments, "--control", self.address, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: str) -> str:
        done = self.run("identities", *arguments, "--control", self.address)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        return done.stderr

    def with_pool(self, scenario: Any) -> Any:
        async def run() -> Any:
            async with open_pool(self.database_url) as pool:
                use_ring(pool, KeyRing.load(self.keys_dir))
                return await scenario(pool)

        return asyncio.run(run())


@pytest.fixture(scope="module")
def stack(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    reset(database_url, redis_url)
    running = Stack(database_url, redis_url, tmp_path_factory.mktemp("stack"))
    yield running
    if running.process.poll() is None:
        running.process.terminate()
    running.process.wait(30)


def test_an_identity_is_put_shown_frozen_revoked_and_restored(stack: Stack) -> None:
    why = ("--reason", "a test")
    made = stack.identities(
        "put", DESK, "--account", "a", "--account", "b", "--calls-per-second", "7", *why
    )
    assert (made["outcome"], made["identity"]["accounts"]) == ("CREATED", ["a", "b"])
    assert stack.identities("get", DESK) == made["identity"]
    assert stack.identities("list") == [made["identity"]]
    for command, status in [
        ("freeze", "FROZEN"),
        ("revoke", "REVOKED"),
        ("freeze", "REVOKED"),
        ("restore", "ACTIVE"),
    ]:
        assert stack.identities(command, DESK, *why)["identity"]["status"] == status
    text = stack.run("identities", "list", "--control", stack.address).stdout
    assert text == f"{DESK} active, 2 accounts, no second factor\n"


def test_what_is_refused_says_why(stack: Stack) -> None:
    assert "note.reason" in stack.refused("revoke", DESK)
    assert "identity.uri" in stack.refused("put", "spiffe://x/trader/y", "--reason", "a test")
    assert "not found" in stack.refused("get", "spiffe://riskgate/trader/nobody")
    assert "certificate" in stack.refused("enroll")


def test_whoami_says_that_nothing_is_known_on_insecure_loopback(stack: Stack) -> None:
    answer = stack.identities("whoami")
    assert (answer["uri"], answer["every_account"]) == ("insecure-loopback", True)
    assert "/riskgate.v1.IdentityService/PutIdentity" in answer["methods"]


def test_keys_change_while_control_runs_and_old_secrets_go_on(stack: Stack) -> None:
    secret = make_secret()

    async def enroll(pool: Pool) -> None:
        async with connection(pool) as database:
            ring = KeyRing.load(stack.keys_dir)
            await SecondFactorRepository().enroll(database, ring, ANNA, secret)

    stack.with_pool(enroll)
    before = KeyRing.load(stack.keys_dir).list_keys()
    done = stack.run("secrets", "rotate", "--json")
    assert done.returncode == 0, done.stderr
    after = KeyRing.load(stack.keys_dir).list_keys()
    assert after[1:] == before
    assert json.loads(done.stdout) == {
        "key": after[0].key_id.hex(),
        "values": 1,
        "forgotten": [],
    }
    assert not any(key.secret.hex() in done.stdout + done.stderr for key in after)
    now_s = int(time.time())

    async def check(pool: Pool) -> None:
        await check_code(pool, ANNA, pyotp.TOTP(secret).at(now_s), now_s=now_s)

    stack.with_pool(check)


def test_a_lost_second_factor_is_removed_with_a_reason_on_record(stack: Stack) -> None:
    done = stack.run("secrets", "forget-second-factor", ANNA, "--reason", "phone lost")
    assert done.returncode == 0, done.stderr

    async def check(pool: Pool) -> None:
        with pytest.raises(SecondFactorError, match="none is enrolled"):
            await check_code(pool, ANNA, "123456", now_s=time.time())

    stack.with_pool(check)
    with psycopg.connect(stack.database_url) as opened:
        row = opened.execute(
            "SELECT action, subject_key, reason FROM riskgate.audit_log"
            " WHERE subject = 'second factor' ORDER BY audit_id DESC LIMIT 1"
        ).fetchone()
    assert row == ("forget", ANNA, "phone lost")
    again = stack.run("secrets", "forget-second-factor", ANNA, "--reason", "phone lost")
    assert again.returncode == 1
    assert "not found" in again.stderr
