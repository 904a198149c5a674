"""`riskgate models …` against a running control plane, as its users type it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from riskgate.v1 import model_pb2
from server.cli import app
from server.commands.model_moves import _fetch_statement
from server.errors import PreconditionError
from server.loaders.policy_release import build_policy_release
from server.policy import DEFAULT_POLICY
from server.security.activation import build_activation
from server.security.keys import (
    APPROVER_RISK_KEY_FILE,
    APPROVER_TECHNOLOGY_KEY_FILE,
    ensure_development_keys,
)
from tests.artifact_builder import load_author_key
from tests.control_harness import Control, play

WHY = ("--reason", "wider stops in thin markets")
DIGEST: Final = "01" * 32


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "keys").mkdir(mode=0o700, parents=True)
    ensure_development_keys(folder / "keys")
    return folder


class Shell:
    """Types commands against one control port."""

    def __init__(self, parts: Control, data_dir: Path) -> None:
        self._where = ["--control", parts.address, "--data-dir", str(data_dir)]

    async def run(self, command: str, *words: str) -> Any:
        typed = ["models", command, *words, *self._where]
        return await asyncio.to_thread(CliRunner().invoke, app, typed)

    async def ok(self, command: str, *words: str) -> Any:
        done = await self.run(command, *words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


def write_release(data_dir: Path, folder: Path, version: str) -> str:
    key = load_author_key(data_dir / "keys")
    folder.mkdir()
    files = build_policy_release(DEFAULT_POLICY | {"version": version}, "ann", key)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return str(folder)


def test_a_policy_goes_from_push_to_active_and_back_by_commands(
    database_url: str, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    policy = ("--purpose", "risk_policy")
    risk_key = str(data_dir / "keys" / APPROVER_RISK_KEY_FILE)

    async def scenario(parts: Control) -> None:
        shell = Shell(parts, data_dir)
        for version in ("1.0.0", "2.1.0"):
            await shell.ok("push", write_release(data_dir, tmp_path / version, version))
        proposed = await shell.ok("propose", "1.0.0", *policy, *WHY)
        assert proposed["statement"]["serial"] == 1
        assert Path(proposed["file"]) == data_dir / "proposals" / "risk_policy-1.0.0.json"
        await shell.ok("approve", "1.0.0", "--as", "both", *policy, *WHY)
        await shell.ok("activate", "1.0.0", *policy, *WHY)

        out = str(tmp_path / "statement.json")
        await shell.ok("propose", "v2.1", "--fallback", "v1.0", "--out", out, *policy, *WHY)
        by_key = ("--key", risk_key, "--statement", out)
        one = await shell.ok("approve", "v2.1", *by_key, *policy, *WHY)
        assert one["model"]["approvers"] == ["development-risk"]
        alone = await shell.run("activate", "v2.1", *policy, *WHY)
        assert (alone.exit_code, "registered" in alone.output) == (1, True)
        rest = ("--as", "technology", "--statement", out)
        both = await shell.run("approve", "v2.1", *rest, *policy, *WHY)
        assert both.exit_code == 0, both.output
        # What is signed is shown before: which version, and why.
        assert "wider stops in thin markets" in both.output
        assert (await shell.ok("activate", "2.1.0", *policy, *WHY))["model"]["serial"] == 2

        back = await shell.ok("rollback", *policy, *WHY)
        assert (back["model"]["version"], back["model"]["serial"]) == ("1.0.0", 3)
        revoked = await shell.ok("revoke", "2.1.0", *policy, *WHY)
        assert revoked["model"]["status"] == "REVOKED"
        gone = await shell.run("rollback", *policy, *WHY)
        assert (gone.exit_code, "the rule answer does" in gone.output) == (0, True)
        listed = await shell.ok("list")
        assert [each["version"] for each in listed] == ["1.0.0", "2.1.0"]
        events = await shell.ok("events", "--version", "v2.1")
        assert [each["event"] for each in events] == [
            *("push", "propose", "approve", "approve", "activate", "withdraw", "revoke"),
        ]
        assert (await shell.run("events")).exit_code == 0
        assert await shell.ok("replicas") == []

    play(database_url, redis_url, data_dir, scenario)


def test_an_approver_on_another_machine_signs_what_the_server_has(
    database_url: str, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    policy = ("--purpose", "risk_policy")
    keys = data_dir / "keys"

    async def scenario(parts: Control) -> None:
        here, there = Shell(parts, data_dir), Shell(parts, tmp_path / "another machine")
        await here.ok("push", write_release(data_dir, tmp_path / "release", "1.0.0"))
        digest = (await here.ok("propose", "1.0.0", *policy, *WHY))["statement"]["digest"]
        risk = ("--key", str(keys / APPROVER_RISK_KEY_FILE))
        shown = await there.run("approve", "v1.0", *risk, *policy, *WHY)
        assert shown.exit_code == 0, shown.output
        assert digest in shown.stdout
        technology = ("--key", str(keys / APPROVER_TECHNOLOGY_KEY_FILE))
        by_script = await there.run("approve", "1.0.0", *technology, *policy, *WHY, "--json")
        assert by_script.exit_code == 0, by_script.output
        assert json.loads(by_script.stdout)["model"]["status"] == "APPROVED"
        assert digest in by_script.stderr
        assert (await here.ok("activate", "1.0.0", *policy, *WHY))["model"]["serial"] == 1

        # A file that is there is what was looked at: what the server has does not replace it.
        await here.ok("push", write_release(data_dir, tmp_path / "next", "1.1.0"))
        await here.ok("propose", "1.1.0", *policy, *WHY)
        aside = ("--out", str(tmp_path / "aside.json"))
        await here.ok("propose", "1.1.0", *aside, *policy, "--reason", "another one")
        refused = await here.run("approve", "1.1.0", "--as", "risk", *policy, *WHY)
        assert refused.exit_code == 1
        assert "not the current proposal" in refused.output

    play(database_url, redis_url, data_dir, scenario)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "1.1.0"}, "about risk_policy 1.1.0"),
        ({"purpose": "slippage"}, "about slippage 1.0.0"),
        ({"digest": "ab" * 32}, "about another artifact"),
    ],
)
def test_an_approver_signs_nothing_else_than_what_was_named(
    change: dict[str, Any], words: str
) -> None:
    sent = json.dumps(statement() | change, sort_keys=True, separators=(",", ":")).encode()
    answer = model_pb2.GetModelResponse(
        model=model_pb2.ModelVersion(digest=bytes.fromhex(DIGEST)), proposed_statement=sent
    )
    client: Any = SimpleNamespace(models=SimpleNamespace(GetModel=lambda *_, **__: answer))
    with pytest.raises(PreconditionError, match=words):
        _fetch_statement(client, "risk_policy", "1.0.0")


def statement() -> dict[str, Any]:
    now = datetime.now(UTC)
    payload = build_activation(
        purpose="risk_policy",
        version="1.0.0",
        digest=DIGEST,
        serial=1,
        previous_digest="",
        fallback_digest="",
        not_before=now,
        expires=now + timedelta(hours=1),
        justification="why",
        trust_version=1,
    )
    said: dict[str, Any] = json.loads(payload)
    return said


def test_commands_refuse_what_they_can_tell_by_themselves(
    database_url: str, redis_url: str, data_dir: Path, tmp_path: Path
) -> None:
    policy = ("--purpose", "risk_policy")
    stranger = tmp_path / "stranger.pem"
    stranger.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )

    async def scenario(parts: Control) -> None:
        shell = Shell(parts, data_dir)

        async def refused(words: str, *command: str) -> None:
            done = await shell.run(*command)
            assert (done.exit_code, words in done.output) == (1, True), done.output

        missing = str(tmp_path / "missing.json")
        await refused("proposed statement", "approve", "1.0.0", "--as", "risk", *policy, *WHY,
                      "--statement", missing)  # fmt: skip
        await refused("not found", "approve", "1.0.0", "--as", "risk", *policy, *WHY)
        await shell.ok("push", write_release(data_dir, tmp_path / "release", "1.0.0"))
        await refused("nothing is proposed", "approve", "1.0.0", "--as", "risk", *policy, *WHY)
        file = (await shell.ok("propose", "1.0.0", *policy, *WHY))["file"]
        await refused("--key FILE or --as", "approve", "1.0.0", *policy, *WHY)
        await refused("risk, technology or both", "approve", "1.0.0", "--as", "me", *policy, *WHY)
        await refused("about risk_policy 1.0.0", "approve", "1.1.0", "--as", "risk", *WHY,
                      *policy, "--statement", file)  # fmt: skip
        await refused("unknown key", "approve", "1.0.0", "--key", str(stranger), *policy, *WHY)
        await refused("unknown", "move", "1.0.0", "shiny", *policy, *WHY)
        await refused("MAJOR.MINOR.PATCH", "activate", "one", *policy, *WHY)
        silent = await shell.run("rollback", *policy)
        assert silent.exit_code == 2
        moved = await shell.run("move", "1.0.0", "testing", *policy, *WHY)
        assert (moved.exit_code, "testing" in moved.output) == (0, True)

    play(database_url, redis_url, data_dir, scenario)
