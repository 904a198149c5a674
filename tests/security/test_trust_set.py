"""The trust set: a chain of versions, each signed by the roots before it."""

import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from server.security import trust_files
from server.security.trust_files import (
    PIN_FILE,
    SEEN_FILE,
    read_pin,
    remember_version,
    trust_file,
)
from server.security.trust_set import follow_trust_set, load_trust_set
from server.statement_errors import TrustSetForeignError, TrustSetRollbackError, TrustSetSeenError
from tests.attacks.cast import keyid_of
from tests.attacks.trust_sets import CHAIN, FIRST_SIGNED, PIN, lay_out

FINGERPRINTS = ["0" * 64, "1" * 64]


def test_the_newest_version_counts_and_names_its_people(tmp_path: Path) -> None:
    lay_out(tmp_path, *CHAIN)
    trust = load_trust_set(tmp_path)
    assert trust.version == 3
    assert keyid_of("tech2") in trust.keys
    assert keyid_of("risk2") not in trust.keys


def test_a_new_version_is_met_at_the_next_load(tmp_path: Path) -> None:
    for count in (1, 2, 3):
        lay_out(tmp_path, *CHAIN[:count])
        assert load_trust_set(tmp_path).version == count
        assert json.loads((tmp_path / SEEN_FILE).read_bytes())["version"] == count


def test_what_was_seen_is_written_once_and_kept(tmp_path: Path) -> None:
    lay_out(tmp_path, *CHAIN)
    load_trust_set(tmp_path)
    before = (tmp_path / SEEN_FILE).stat()
    load_trust_set(tmp_path)
    after = (tmp_path / SEEN_FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert stat.S_IMODE(after.st_mode) & 0o022 == 0


def test_a_file_that_is_being_written_is_passed_over(tmp_path: Path) -> None:
    lay_out(tmp_path, *CHAIN[:1])
    (tmp_path / "trust" / ".2.trust.json.4711").write_bytes(CHAIN[1][:10])
    assert load_trust_set(tmp_path).version == 1


def test_what_cannot_be_noted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    lay_out(tmp_path, *CHAIN)
    monkeypatch.setattr(trust_files, "_write_seen", refuse)
    with pytest.raises(TrustSetSeenError, match="Permission denied"):
        load_trust_set(tmp_path)


def test_another_process_that_saw_more_meanwhile_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_version(tmp_path, 1, FINGERPRINTS[0])
    read, calls = trust_files._read_seen, []

    def read_late(keys_dir: Path) -> object:
        calls.append(keys_dir)
        seen = read(keys_dir)
        if len(calls) == 1:
            monkeypatch.setattr(trust_files, "_read_seen", read)
            remember_version(keys_dir, 3, FINGERPRINTS[1])
        return seen

    monkeypatch.setattr(trust_files, "_read_seen", read_late)
    with pytest.raises(TrustSetRollbackError, match="3 was in use"):
        remember_version(tmp_path, 2, FINGERPRINTS[0])
    assert json.loads((tmp_path / SEEN_FILE).read_bytes())["version"] == 3


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(FINGERPRINTS)), max_size=12))
def test_a_version_is_taken_if_and_only_if_nothing_newer_was_ever_in_use(
    tmp_path_factory: pytest.TempPathFactory, shown: list[tuple[int, str]]
) -> None:
    keys_dir = tmp_path_factory.mktemp("keys")
    newest = (0, "")
    for version, fingerprint in shown:
        sound = version > newest[0] or (version, fingerprint) == newest
        if sound:
            remember_version(keys_dir, version, fingerprint)
            newest = version, fingerprint
        else:
            with pytest.raises(TrustSetRollbackError):
                remember_version(keys_dir, version, fingerprint)


def test_a_folder_without_a_pin_takes_theirs_and_follows_from_then_on(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    lay_out(theirs, *CHAIN[:2])
    assert follow_trust_set(theirs, ours) == 2
    assert read_pin(ours) == PIN
    assert follow_trust_set(theirs, ours) == 0
    trust_file(theirs, 3).write_bytes(CHAIN[2])
    assert follow_trust_set(theirs, ours) == 1
    assert load_trust_set(ours).version == 3


def test_a_set_that_is_not_followed_leaves_ours_as_it_was(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    lay_out(theirs, *CHAIN)
    lay_out(ours, FIRST_SIGNED)
    (ours / PIN_FILE).write_text("0" * 64)
    with pytest.raises(TrustSetForeignError):
        follow_trust_set(theirs, ours)
    assert [path.name for path in (ours / "trust").iterdir()] == ["1.trust.json"]


def test_a_key_of_small_order_would_let_anybody_sign() -> None:
    # Why such keys are refused: this signature of every message was made by nobody.
    identity = bytes([1]) + bytes(31)
    for message in (b"one", b"another"):
        Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), message)
