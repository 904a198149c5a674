"""Development keys: made once, whole, and never replaced."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.security.keys import (
    compute_keyid,
    ensure_checkpoint_key,
    ensure_development_keys,
    ensure_witness_key,
    load_private_key,
    load_public_key,
)
from server.security.trust_files import trust_file
from server.security.trust_set import load_trust_set
from server.trust_errors import TrustSetInvalidError

PRIVATE_FILES = {
    "author.pem",
    "approver-risk.pem",
    "approver-technology.pem",
    "control.pem",
    "root.pem",
    "witness.pem",
}
SEATS = {
    "author.pem": ("development-author", "author", ""),
    "approver-risk.pem": ("development-risk", "approver", "risk"),
    "approver-technology.pem": ("development-technology", "approver", "technology"),
    "control.pem": ("development-control", "control", ""),
    "root.pem": ("development-root", "root", ""),
}


def _files(keys_dir: Path) -> dict[str, bytes]:
    paths = [path for path in keys_dir.rglob("*") if path.is_file()]
    return {str(path.relative_to(keys_dir)): path.read_bytes() for path in paths}


def test_ensure_keys_when_directory_is_new_then_files_fit_together(tmp_path: Path) -> None:
    keys_dir = tmp_path / "keys"
    ensure_development_keys(keys_dir)
    assert set(_files(keys_dir)) == PRIVATE_FILES | {
        "author.pub.pem",
        "witness.pub.pem",
        "trust.pin",
        "trust/1.trust.json",
    }
    assert stat.S_IMODE(keys_dir.stat().st_mode) == 0o700
    for name in PRIVATE_FILES:
        assert stat.S_IMODE((keys_dir / name).stat().st_mode) == 0o600
    trust = load_trust_set(keys_dir)
    assert (trust.version, trust.root_threshold, len(trust.keys)) == (1, 1, len(SEATS))
    for name, seat in SEATS.items():
        raw = load_private_key(keys_dir / name).public_key().public_bytes_raw()
        key = trust.keys[compute_keyid(raw)]
        assert (key.person, key.role, key.group) == seat
        assert key.public_key_hex == raw.hex()
    for name in ("author", "witness"):
        public = load_public_key(keys_dir / f"{name}.pub.pem")
        assert public == load_private_key(keys_dir / f"{name}.pem").public_key()


def test_ensure_keys_when_made_then_any_tool_can_read_them(tmp_path: Path) -> None:
    ensure_development_keys(tmp_path)
    pem = (tmp_path / "author.pem").read_bytes()
    assert b"BEGIN PRIVATE KEY" in pem
    assert isinstance(load_pem_private_key(pem, password=None), Ed25519PrivateKey)


def test_ensure_keys_when_called_again_then_nothing_changes(tmp_path: Path) -> None:
    ensure_development_keys(tmp_path)
    load_trust_set(tmp_path)
    before = _files(tmp_path)
    ensure_development_keys(tmp_path)
    assert _files(tmp_path) == before


@pytest.mark.parametrize(
    "lost",
    [
        ("author.pub.pem",),
        ("witness.pub.pem",),
        ("trust/1.trust.json",),
        ("trust/1.trust.json", "trust.pin"),
        ("trust/1.trust.json", "author.pub.pem"),
    ],
)
def test_ensure_keys_when_interrupted_then_completed_for_the_same_keys(
    tmp_path: Path, lost: tuple[str, ...]
) -> None:
    ensure_development_keys(tmp_path)
    before = _files(tmp_path)
    for name in lost:
        (tmp_path / name).unlink()
    ensure_development_keys(tmp_path)
    assert _files(tmp_path) == before


def test_ensure_keys_when_people_have_taken_theirs_away_then_no_other_is_made(
    tmp_path: Path,
) -> None:
    ensure_development_keys(tmp_path)
    for name in PRIVATE_FILES - {"witness.pem"}:
        (tmp_path / name).unlink()
    before = _files(tmp_path)
    ensure_development_keys(tmp_path)
    assert _files(tmp_path) == before
    assert trust_file(tmp_path, 1).exists()


def test_ensure_keys_when_a_key_was_lost_before_the_trust_set_was_written_then_pin_refuses(
    tmp_path: Path,
) -> None:
    ensure_development_keys(tmp_path)
    trust_file(tmp_path, 1).unlink()
    (tmp_path / "root.pem").unlink()
    ensure_development_keys(tmp_path)
    with pytest.raises(TrustSetInvalidError, match="fingerprint"):
        load_trust_set(tmp_path)


def test_ensure_keys_when_private_key_is_foreign_then_refused(tmp_path: Path) -> None:
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    pem = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name in PRIVATE_FILES:
        for number, content in enumerate((pem, b"nonsense")):
            keys_dir = tmp_path / f"{name}-{number}"
            keys_dir.mkdir()
            (keys_dir / name).write_bytes(content)
            with pytest.raises(TrustSetInvalidError):
                ensure_development_keys(keys_dir)
            assert not trust_file(keys_dir, 1).exists()


@pytest.mark.parametrize("ensure", [ensure_checkpoint_key, ensure_witness_key])
def test_ensure_pair_when_the_public_half_is_of_another_key_then_refused(
    tmp_path: Path, ensure: Callable[[Path], Ed25519PrivateKey]
) -> None:
    for folder in ("one", "other"):
        key = ensure(tmp_path / folder)
        assert ensure(tmp_path / folder).public_key() == key.public_key()
    (public,) = (tmp_path / "one").glob("*.pub.pem")
    public.write_bytes((tmp_path / "other" / public.name).read_bytes())
    with pytest.raises(TrustSetInvalidError, match="does not belong"):
        ensure(tmp_path / "one")
