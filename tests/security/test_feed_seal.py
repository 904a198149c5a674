"""What control has written into Redis, told from everything else."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riskgate.v1 import state_pb2
from server.errors import ConfigurationError
from server.security.feed_seal import EPOCH, FEED_KEY_FILE, FeedSeal, FeedSealError

SEAL = FeedSeal(bytes(range(32)))
CHANGE = state_pb2.StateChange(version=7, kind=state_pb2.CHANGE_KIND_ACCOUNT, key="A", rows=b"row")


def test_what_is_sealed_opens_and_is_still_the_same_change() -> None:
    sealed = SEAL.seal(CHANGE.SerializeToString())
    SEAL.open(sealed)
    message = state_pb2.StateChange.FromString(sealed)
    assert message.authenticator
    message.ClearField("authenticator")
    assert message == CHANGE


def test_no_single_bit_of_a_sealed_change_can_be_turned() -> None:
    sealed = SEAL.seal(CHANGE.SerializeToString())
    for position in range(len(sealed) * 8):
        turned = bytearray(sealed)
        turned[position // 8] ^= 1 << position % 8
        with pytest.raises(FeedSealError):
            SEAL.open(bytes(turned))


def test_no_beginning_of_a_sealed_change_opens() -> None:
    sealed = SEAL.seal(CHANGE.SerializeToString())
    for length in range(len(sealed)):
        with pytest.raises(FeedSealError):
            SEAL.open(sealed[:length])


@given(st.binary(max_size=200))
def test_nothing_that_follows_or_stands_before_is_part_of_it(more: bytes) -> None:
    sealed = SEAL.seal(CHANGE.SerializeToString())
    for other in (sealed + more, more + sealed, more):
        if other != sealed:
            with pytest.raises(FeedSealError):
                SEAL.open(other)


def test_a_foreign_key_a_foreign_label_and_moved_parts_are_refused() -> None:
    tag = SEAL.tag(EPOCH, b"one", b"two")
    SEAL.check(tag, EPOCH, b"one", b"two")
    foreign = FeedSeal(bytes(32)).tag(EPOCH, b"one", b"two")
    for refused, label, parts in (
        (foreign, EPOCH, (b"one", b"two")),
        (tag, "change", (b"one", b"two")),
        (tag, EPOCH, (b"on", b"etwo")),
        (tag, EPOCH, (b"onetwo",)),
        (b"", EPOCH, (b"one", b"two")),
    ):
        with pytest.raises(FeedSealError):
            SEAL.check(refused, label, *parts)


def test_a_new_key_seals_and_the_old_one_is_still_read() -> None:
    old, new = FeedSeal(bytes(range(32))), FeedSeal(bytes(32), bytes(range(32)))
    new.open(old.seal(b"x"))
    with pytest.raises(FeedSealError, match="foreign"):
        old.open(new.seal(b"x"))


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    made = FeedSeal.ensure(tmp_path / "keys")
    path = tmp_path / "keys" / FEED_KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    FeedSeal.ensure(tmp_path / "keys").open(made.seal(b"x"))
    assert path.read_bytes() == before
    FeedSeal.share(tmp_path / "keys", tmp_path / "other").open(made.seal(b"x"))


@pytest.mark.parametrize("content", [None, "", "00", "xyz", "00" * 31, "00" * 32 + "\n11"])
def test_a_missing_or_damaged_key_file_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / FEED_KEY_FILE).write_text(content)
    with pytest.raises(ConfigurationError, match=FEED_KEY_FILE):
        FeedSeal.load(tmp_path)
