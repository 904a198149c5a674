"""`riskgate trust`: from the development keys to a trust set of real people, by the commands."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from server.cli import app
from server.security.keys import ensure_development_keys
from server.security.trust_files import trust_file
from server.security.trust_set import load_trust_set
from tests.attacks.cast import key_of

PEOPLE = {
    "author": ("ann", "author", ""),
    "risk1": ("ruth", "approver", "risk"),
    "tech1": ("tara", "approver", "technology"),
    "root1": ("ute", "root", ""),
    "root2": ("udo", "root", ""),
}


def run(data_dir: Path, *words: object) -> str:
    result = CliRunner().invoke(
        app, ["trust", *map(str, words)], env={"RISKGATE_DATA_DIR": str(data_dir)}
    )
    assert result.exit_code == 0, result.output
    return result.output


def refuse(data_dir: Path, *words: object) -> str:
    result = CliRunner().invoke(
        app, ["trust", *map(str, words)], env={"RISKGATE_DATA_DIR": str(data_dir)}
    )
    assert result.exit_code == 1, result.output
    return result.output


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with everybody's keys and a draft that names them."""
    folder = tmp_path / "desk"
    folder.mkdir()
    keys: list[dict[str, Any]] = []
    for name, (person, role, group) in PEOPLE.items():
        key = key_of(name)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(private)
        (folder / f"{name}.pub.pem").write_bytes(public)
        seat = {"person": person, "role": role, "public_key": f"{name}.pub.pem"}
        keys.append(seat | ({"group": group} if group else {}))
    (folder / "draft.yaml").write_text(yaml.safe_dump({"root_threshold": 2, "keys": keys}))
    return folder


def test_a_first_set_is_pinned_to_the_fingerprint_that_its_maker_was_told(
    tmp_path: Path, desk: Path
) -> None:
    data_dir = tmp_path / "data"
    fingerprint = run(data_dir, "draft", desk / "draft.yaml", "--out", desk / "draft").split()[-1]
    for root in ("root1", "root2"):
        run(
            data_dir,
            "sign",
            desk / "draft",
            "--key",
            desk / f"{root}.pem",
            "--out",
            desk / f"by-{root}",
        )
    signed = desk / "by-root1", desk / "by-root2"
    assert "fingerprint" in refuse(data_dir, "add", *signed)
    refuse(data_dir, "add", *signed, "--pin", "0" * 64)
    refuse(data_dir, "add", signed[0], "--pin", fingerprint)
    assert not trust_file(data_dir / "keys", 1).exists()
    assert "version 1" in run(data_dir, "add", *signed, "--pin", fingerprint)
    shown = json.loads(run(data_dir, "show", "--json"))
    assert (shown["version"], shown["pin"], shown["root_threshold"]) == (1, fingerprint, 2)
    assert {key["person"] for key in shown["keys"]} == {person for person, *_ in PEOPLE.values()}


def test_the_development_root_hands_over_to_people(tmp_path: Path, desk: Path) -> None:
    data_dir = tmp_path / "data"
    keys_dir = data_dir / "keys"
    ensure_development_keys(keys_dir)
    assert "development-root" in run(data_dir, "show")
    run(data_dir, "draft", desk / "draft.yaml", "--out", desk / "draft")
    sign = ("sign", desk / "draft", "--key")
    run(data_dir, *sign, desk / "root1.pem", "--out", desk / "by-root1")
    run(data_dir, *sign, keys_dir / "root.pem", "--out", desk / "by-development")
    refuse(data_dir, "add", desk / "by-root1")
    run(data_dir, "add", desk / "by-development")
    assert load_trust_set(keys_dir).version == 2
    assert "ruth" in run(data_dir, "show")
    refuse(data_dir, "add", desk / "by-development")
    assert load_trust_set(keys_dir).version == 2


def test_files_are_never_overwritten(tmp_path: Path, desk: Path) -> None:
    (desk / "draft").write_bytes(b"x")
    output = refuse(tmp_path / "data", "draft", desk / "draft.yaml", "--out", desk / "draft")
    assert "already exists" in output
    assert (desk / "draft").read_bytes() == b"x"


@pytest.mark.parametrize(
    "change",
    [
        lambda draft: draft.update(root_threshold=3),
        lambda draft: draft.update(comment="x"),
        lambda draft: draft["keys"][0].update(public_key="nobody.pub.pem"),
        lambda draft: draft["keys"][0].update(public_key="author.pem"),
        lambda draft: draft["keys"][0].update(person="Ann"),
        lambda draft: draft["keys"][0].update(public_key="risk1.pub.pem"),
        lambda draft: draft["keys"].clear(),
    ],
)
def test_a_draft_that_breaks_a_rule_is_refused(tmp_path: Path, desk: Path, change: Any) -> None:
    draft = yaml.safe_load((desk / "draft.yaml").read_text())
    change(draft)
    (desk / "draft.yaml").write_text(yaml.safe_dump(draft))
    refuse(tmp_path / "data", "draft", desk / "draft.yaml", "--out", desk / "draft")
    assert not (desk / "draft").exists()


def test_what_is_no_draft_is_not_signed(tmp_path: Path, desk: Path) -> None:
    for content in (b"{}", b"", b"root_threshold: 2"):
        (desk / "draft").write_bytes(content)
        refuse(
            tmp_path / "data",
            "sign",
            desk / "draft",
            "--key",
            desk / "root1.pem",
            "--out",
            desk / "out",
        )
        assert not (desk / "out").exists()
