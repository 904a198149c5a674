"""Rows S0-82, T17: what is stored encrypted can be read in its own place only."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.security.field_encryption import (
    SEALED_BYTES_ADDED,
    SEALED_BYTES_MAX,
    DataKey,
    KeyRing,
    Place,
    read_key_id,
)
from server.trust_errors import KeyRingError, SealedValueError

PLACE = Place("second_factor", ("spiffe://riskgate/admin/anna",), "secret")
VALUE = b"planted marker"


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.ensure(tmp_path / "keys")


def test_a_value_comes_back_and_is_not_seen_meanwhile(ring: KeyRing) -> None:
    sealed = ring.seal(PLACE, VALUE)
    assert ring.open(PLACE, sealed) == VALUE
    assert VALUE not in sealed
    assert len(sealed) == len(VALUE) + SEALED_BYTES_ADDED
    assert read_key_id(sealed) == ring.list_keys()[0].key_id


def test_the_same_value_is_never_sealed_the_same_way(ring: KeyRing) -> None:
    assert len({ring.seal(PLACE, VALUE) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "place",
    [
        Place("second_factor", ("spiffe://riskgate/admin/bert",), "secret"),
        Place("second_factor", ("spiffe://riskgate/admin/anna",), "other"),
        Place("model_version", ("spiffe://riskgate/admin/anna",), "secret"),
        Place("second_factor", ("spiffe://riskgate/admin/anna", ""), "secret"),
        Place("second_factor", (), "secret"),
    ],
)
def test_a_value_in_another_row_column_or_table_is_refused(ring: KeyRing, place: Place) -> None:
    with pytest.raises(SealedValueError, match="another place"):
        ring.open(place, ring.seal(PLACE, VALUE))


def test_keys_of_several_columns_cannot_be_moved_against_each_other(ring: KeyRing) -> None:
    sealed = ring.seal(Place("model_version", ("a", "bc"), "x"), VALUE)
    for key in [("ab", "c"), ("abc",), ('a", "bc',), ("bc", "a")]:
        with pytest.raises(SealedValueError, match="another place"):
            ring.open(Place("model_version", key, "x"), sealed)


def test_every_changed_bit_and_every_cut_is_refused(ring: KeyRing) -> None:
    sealed = ring.seal(PLACE, VALUE)
    changed = [
        bytes(byte ^ (1 << bit) if at == index else byte for at, byte in enumerate(sealed))
        for index in range(len(sealed))
        for bit in range(8)
    ]
    cut = [sealed[:length] for length in range(len(sealed))]
    for damaged in [*changed, *cut, sealed + b"\0"]:
        with pytest.raises(SealedValueError) as caught:
            ring.open(PLACE, damaged)
        assert VALUE.decode() not in str(caught.value)


def test_it_is_aes_256_gcm_as_others_read_it(ring: KeyRing) -> None:
    key, sealed = ring.list_keys()[0], ring.seal(PLACE, VALUE)
    assert len(key.secret) * 8 == 256
    associated = (
        b"riskgate sealed 1 "
        + key.key_id
        + b'["second_factor", ["spiffe://riskgate/admin/anna"], "secret"]'
    )
    assert AESGCM(key.secret).decrypt(sealed[9:21], sealed[21:], associated) == VALUE


def test_what_the_record_cannot_hold_is_refused_before(ring: KeyRing) -> None:
    with pytest.raises(SealedValueError, match="too long"):
        ring.seal(PLACE, bytes(SEALED_BYTES_MAX - SEALED_BYTES_ADDED + 1))


def test_old_values_are_read_after_a_new_key_came_and_not_after_theirs_is_gone(
    ring: KeyRing,
) -> None:
    old = ring.seal(PLACE, VALUE)
    first, second = ring.list_keys()[0], ring.add_key()
    new = ring.seal(PLACE, VALUE)
    assert (read_key_id(old), read_key_id(new)) == (first.key_id, second.key_id)
    assert ring.open(PLACE, old) == ring.open(PLACE, new) == VALUE
    ring.forget([first.key_id])
    assert ring.open(PLACE, new) == VALUE
    with pytest.raises(SealedValueError, match="unknown key"):
        ring.open(PLACE, old)
    with pytest.raises(KeyRingError, match="last key"):
        ring.forget([second.key_id])


def test_another_process_sees_a_new_key_without_a_restart(ring: KeyRing, tmp_path: Path) -> None:
    running = KeyRing.load(tmp_path / "keys")
    added = ring.add_key()
    assert running.open(PLACE, ring.seal(PLACE, VALUE)) == VALUE
    assert read_key_id(running.seal(PLACE, VALUE)) == added.key_id


def test_keys_are_kept_when_they_are_there_and_belong_to_their_owner_alone(tmp_path: Path) -> None:
    keys_dir = tmp_path / "keys"
    first = KeyRing.ensure(keys_dir).list_keys()
    assert KeyRing.ensure(keys_dir).list_keys() == first
    KeyRing.ensure(keys_dir).add_key()
    assert (keys_dir / "data.keys").stat().st_mode & 0o777 == 0o600
    assert keys_dir.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in keys_dir.iterdir()] == ["data.keys"]


def _break_mode(path: Path) -> None:
    path.chmod(0o640)


def _remove(path: Path) -> None:
    path.unlink()


def _repeat(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[2:])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [_break_mode, _remove, _repeat, _cut, _empty])
def test_a_key_file_that_is_not_right_is_refused_without_naming_a_key(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    ring = KeyRing.ensure(tmp_path)
    secret = ring.list_keys()[0].secret.hex()
    damage(tmp_path / "data.keys")
    with pytest.raises(KeyRingError) as caught:
        KeyRing.load(tmp_path)
    assert secret[2:] not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_key_shows_its_id_and_never_itself(ring: KeyRing) -> None:
    key = ring.list_keys()[0]
    assert isinstance(key, DataKey)
    shown = f"{key} {key!r} {[key]} {key.key_id.hex()}"
    assert key.secret.hex() not in shown
    assert not re.search(re.escape(repr(key.secret)), shown)
