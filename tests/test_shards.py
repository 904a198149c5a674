"""Which engine an account belongs to: one answer, on both sides of the wire."""

import random
import string
from pathlib import Path

import pytest

from riskgate.shards import find_shard
from server.shards import SHARDS_MAX, WHOLE, Shard, all_shards

SEED = 20_261_121


def random_ids(count: int) -> list[str]:
    chance = random.Random(SEED)
    letters = string.ascii_letters + string.digits + "-_.:äß€𝄞中"
    return ["".join(chance.choices(letters, k=chance.randint(1, 60))) for _ in range(count)]


def test_owner_when_ids_are_random_then_it_is_the_one_that_callers_find() -> None:
    for count in (1, 2, 3, 7, SHARDS_MAX):
        shards = all_shards(count)
        for account_id in random_ids(2_000):
            owners = [shard.index for shard in shards if shard.owns(account_id)]
            assert owners == [find_shard(account_id, count)], account_id


def test_owner_when_ids_are_random_then_every_engine_has_its_part() -> None:
    found = [find_shard(account_id, 4) for account_id in random_ids(8_000)]
    # 2,000 each are expected, with a deviation of 39.
    assert all(1_800 < found.count(index) < 2_200 for index in range(4))


def test_owner_when_worked_out_by_hand_then_it_is_the_checksum_of_the_bytes() -> None:
    # The check value of CRC-32C for the nine digits is 0xE3069283, or 3,808,858,755.
    assert find_shard("123456789", 1 << 31) == 0xE3069283 % (1 << 31)
    assert [find_shard("123456789", count) for count in (2, 10, 64)] == [1, 5, 3]


def test_owner_when_the_account_is_nobodys_then_every_engine_may_say_so() -> None:
    assert all(shard.owns("") for shard in all_shards(5))


@pytest.mark.parametrize("text", ["0/1", "0/2", "1/2", "63/64"])
def test_parse_when_it_is_a_shard_then_it_reads_as_it_was_written(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["2/2", "64/64", "0/65", "0/0", "-1/2", "1", "/2", "1/", "a/b", "0/2/3", " 0/2", "٠/٢"]
)
def test_parse_when_it_is_no_shard_then_says_what_one_is(text: str) -> None:
    with pytest.raises(ValueError, match="must be I/N"):
        Shard.parse(text)


def test_folder_when_there_are_several_engines_then_each_has_its_own(tmp_path: Path) -> None:
    assert WHOLE.folder(tmp_path, "journal") == tmp_path / "journal"
    assert [shard.folder(tmp_path, "journal").name for shard in all_shards(2)] == [
        "journal-0of2",
        "journal-1of2",
    ]


def test_name_when_there_are_several_engines_then_each_has_a_number() -> None:
    assert WHOLE.name("engine") == "engine"
    assert [shard.name("engine") for shard in all_shards(2)] == ["engine-0", "engine-1"]


@pytest.mark.parametrize(
    ("there", "shard", "expected"),
    [
        ([], "0/1", False),
        (["epoch", "epoch.new"], "0/1", False),
        (["epoch-0of2", "epoch-1of2"], "1/2", False),
        (["epoch"], "0/2", True),
        (["epoch-1of2"], "0/1", True),
        (["epoch-0of2", "epoch-2of3"], "0/2", True),
    ],
)
def test_split_when_the_number_of_engines_was_another_then_it_is_noticed(
    tmp_path: Path, there: list[str], shard: str, expected: bool
) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert Shard.parse(shard).finds_another_split(tmp_path, "epoch") is expected
