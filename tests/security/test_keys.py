"""Development keys and the trust set."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from server.security.keys import compute_keyid, ensure_development_keys, load_trust_set
from server.trust_errors import TrustSetInvalidError

Document = dict[str, Any]


def _entry(name: str) -> Document:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {
        "keyid": compute_keyid(raw),
        "name": name,
        "role": "author",
        "public_key_hex": raw.hex(),
    }


def test_ensure_keys_when_directory_is_new_then_files_fit_together(tmp_path: Path) -> None:
    keys_dir = tmp_path / "keys"
    ensure_development_keys(keys_dir)
    private_path = keys_dir / "author.pem"
    assert stat.S_IMODE(private_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys_dir.stat().st_mode) == 0o700
    private = load_pem_private_key(private_path.read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    assert b"BEGIN PRIVATE KEY" in private_path.read_bytes()
    assert load_pem_public_key((keys_dir / "author.pub.pem").read_bytes()) == private.public_key()
    trust = load_trust_set(keys_dir / "trust.json")
    raw = private.public_key().public_bytes_raw()
    assert trust.keys[compute_keyid(raw)].public_key_hex == raw.hex()
    assert {path.name for path in keys_dir.iterdir()} == {
        "author.pem",
        "author.pub.pem",
        "trust.json",
    }


def test_ensure_keys_when_called_again_then_nothing_changes(tmp_path: Path) -> None:
    ensure_development_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    ensure_development_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ensure_keys_when_interrupted_then_completed_for_the_same_key(tmp_path: Path) -> None:
    ensure_development_keys(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "trust.json").unlink()
    (tmp_path / "author.pub.pem").unlink()
    ensure_development_keys(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_ensure_keys_when_private_key_is_foreign_then_refused(tmp_path: Path) -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (pem, b"nonsense"):
        (tmp_path / "author.pem").write_bytes(content)
        with pytest.raises(TrustSetInvalidError):
            ensure_development_keys(tmp_path)


def _repeat_key_under_other_id(document: Document) -> None:
    document["keys"].append(document["keys"][0] | {"keyid": "0" * 64, "name": "alias"})


def _change(place: str, value: Any) -> Callable[[Document], None]:
    return lambda document: document["keys"][0].__setitem__(place, value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda document: document["keys"].append(document["keys"][0]), "listed twice"),
        (
            lambda document: document["keys"].append(document["keys"][0] | {"name": "other"}),
            "listed twice",
        ),
        (_repeat_key_under_other_id, "does not belong"),
        (_change("keyid", "ab" * 32), "does not belong"),
        (_change("public_key_hex", "ab" * 32), "does not belong"),
        (_change("public_key_hex", "AB" * 32), "match pattern"),
        (_change("public_key_hex", "ab"), "match pattern"),
        (_change("role", "approver"), "author"),
        (_change("team", "risk"), "not permitted"),
        (_change("name", ""), "at least 1"),
        (lambda document: document.__setitem__("comment", "x"), "not permitted"),
        (lambda document: document.__setitem__("version", "1"), "integer"),
        (lambda document: document.__setitem__("version", 0), "greater than"),
        (lambda document: document.__delitem__("version"), "required"),
        (lambda document: document.__setitem__("keys", []), "at least 1"),
    ],
)
def test_load_when_trust_set_breaks_a_rule_then_refused(
    tmp_path: Path, change: Callable[[Document], None], reason: str
) -> None:
    path = tmp_path / "trust.json"
    document: Document = {"version": 1, "keys": [_entry("first"), _entry("second")]}
    path.write_text(json.dumps(document))
    assert len(load_trust_set(path).keys) == 2
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(TrustSetInvalidError, match=reason):
        load_trust_set(path)


def test_load_when_file_is_damaged_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    with pytest.raises(TrustSetInvalidError, match="cannot read"):
        load_trust_set(path)
    good = json.dumps({"version": 1, "keys": [_entry("first")]})
    for text in (
        "",
        "[]",
        good[:-1],
        good.replace('"version": 1', '"version": 1, "version": 1'),
        "[" * 100_000,
        " " * (2 << 20),
    ):
        path.write_text(text)
        with pytest.raises(TrustSetInvalidError):
            load_trust_set(path)
