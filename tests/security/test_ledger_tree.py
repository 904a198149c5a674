"""The ledger against the vectors of RFC 6962, and against whatever can be done to its rows."""

import random
from collections.abc import Callable

import pytest

from server.security.ledger_tree import (
    LedgerEntry,
    LedgerHead,
    LedgerTree,
    build_entry,
    hash_leaf,
    is_included,
    verify_entries,
)

# Leaves and roots that implementations of RFC 6962 test each other with.
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SEED = 11
Rows = list[LedgerEntry]


def build_ledger(length: int, label: str = "move") -> Rows:
    rows: Rows = []
    for number in range(length):
        move = {"event": label, "at": f"2026-01-01T00:{number:02}:00Z"}
        rows.append(build_entry(move, rows[-1] if rows else None))
    return rows


def head_of(rows: Rows, entries: int) -> LedgerHead:
    tree = LedgerTree(row.content for row in rows)
    return LedgerHead(entries, tree.root(entries))


def renumber(row: LedgerEntry, entry_id: int) -> LedgerEntry:
    return LedgerEntry(entry_id, row.content, row.leaf_hash)


def alter(row: LedgerEntry) -> LedgerEntry:
    """Another content under the old hash."""
    content = row.content.replace(b'"event":"move"', b'"event":"love"')
    assert content != row.content
    return LedgerEntry(row.entry_id, content, row.leaf_hash)


def alter_with_hash(row: LedgerEntry) -> LedgerEntry:
    """Another content with its own hash: the forger has read how it is made."""
    altered = alter(row)
    return LedgerEntry(row.entry_id, altered.content, hash_leaf(altered.content))


def rewrite_from(rows: Rows, first: int) -> Rows:
    """Everything from an entry on written anew, numbers and links in order."""
    written = rows[: first - 1]
    for _ in rows[first - 1 :]:
        written.append(build_entry({"event": "forged"}, written[-1] if written else None))
    return written


def test_roots_are_those_of_rfc_6962() -> None:
    tree = LedgerTree()
    assert tree.root() == ROOTS[0]
    for leaf, root in zip(LEAVES, ROOTS[1:], strict=True):
        tree.append(leaf)
        assert tree.root() == root
    assert [tree.root(size) for size in range(9)] == ROOTS


def test_an_entry_is_proven_under_every_later_head_and_under_no_other() -> None:
    rows = build_ledger(9)
    tree = LedgerTree(row.content for row in rows)
    for size in range(1, 10):
        head = LedgerHead(size, tree.root(size))
        for row in rows[:size]:
            proof = tree.prove_inclusion(row.entry_id, size)
            assert is_included(row.content, row.entry_id, head, proof)
            assert not is_included(row.content + b" ", row.entry_id, head, proof)
            assert not is_included(row.content, row.entry_id + 1, head, proof)
            other = LedgerHead(size, "0" * 64)
            assert not is_included(row.content, row.entry_id, other, proof)
    assert not is_included(rows[0].content, 1, head, {"type": "inclusion"})


def test_an_untouched_ledger_has_no_fault_whatever_heads_were_signed() -> None:
    for length in range(12):
        rows = build_ledger(length)
        heads = [head_of(rows, size) for size in range(length + 1)]
        account = verify_entries(rows, heads)
        assert account.faults == []
        assert (account.head.entries, account.signed_entries) == (length, length)


@pytest.mark.parametrize("place", range(1, 9))
@pytest.mark.parametrize("change", [alter, alter_with_hash])
def test_an_altered_entry_is_named(
    place: int, change: Callable[[LedgerEntry], LedgerEntry]
) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, size) for size in (3, 9)]
    rows[place - 1] = change(rows[place - 1])
    (fault, *others) = verify_entries(rows, heads).faults
    assert (fault.entry_id, others) == (place, [])
    assert "altered" in fault.problem


def test_the_last_entry_with_a_new_hash_is_named_by_the_signed_heads() -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 8), head_of(rows, 9)]
    rows[8] = alter_with_hash(rows[8])
    (fault,) = verify_entries(rows, heads).faults
    assert fault.entry_id == 9


def test_the_last_entry_is_named_even_before_a_head_was_signed() -> None:
    rows = build_ledger(9)
    rows[8] = alter(rows[8])
    (fault,) = verify_entries(rows, []).faults
    assert fault.entry_id == 9


@pytest.mark.parametrize("place", range(1, 9))
def test_a_removed_entry_is_named(place: int) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 9)]
    del rows[place - 1]
    faults = verify_entries(rows, heads).faults
    assert faults[0].entry_id == place
    assert faults[0].problem == "was removed"


@pytest.mark.parametrize("place", range(1, 9))
def test_a_removed_entry_is_named_although_the_numbers_were_closed_up(place: int) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 9)]
    del rows[place - 1]
    rows = [renumber(row, number) for number, row in enumerate(rows, 1)]
    assert verify_entries(rows, heads).faults[0].entry_id == place


@pytest.mark.parametrize("place", range(1, 10))
def test_an_inserted_entry_is_named(place: int) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 9)]
    before = rows[place - 2] if place > 1 else None
    rows.insert(place - 1, build_entry({"event": "forged"}, before))
    rows = [renumber(row, number) for number, row in enumerate(rows, 1)]
    faults = verify_entries(rows, heads).faults
    # It links to the one before as it should: the first that does not fit is the one behind.
    assert faults[0].entry_id in {place, place + 1}


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 7), (8, 9), (1, 9)])
def test_exchanged_entries_are_both_named(first: int, second: int) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 9)]
    one, other = renumber(rows[first - 1], second), renumber(rows[second - 1], first)
    rows[first - 1], rows[second - 1] = other, one
    named = {fault.entry_id for fault in verify_entries(rows, heads).faults}
    assert named >= {first, second}


@pytest.mark.parametrize("kept", range(9))
def test_a_cut_tail_is_named_by_the_newest_head(kept: int) -> None:
    rows = build_ledger(9)
    heads = [head_of(rows, 4), head_of(rows, 9)]
    (fault,) = verify_entries(rows[:kept], heads).faults
    assert (fault.entry_id, "cut off" in fault.problem) == (kept + 1, True)


@pytest.mark.parametrize("first", range(1, 10))
def test_a_ledger_written_anew_is_named_between_the_heads_around_it(first: int) -> None:
    rows = build_ledger(9)
    sizes = (3, 6, 9)
    heads = [head_of(rows, size) for size in sizes]
    (fault,) = verify_entries(rewrite_from(rows, first), heads).faults
    assert fault.entry_id == max(size + 1 for size in (0, *sizes) if size < first)
    assert "written anew" in fault.problem


def test_random_tampering_is_always_found_with_its_place_or_before_it() -> None:
    dice = random.Random(SEED)
    for _ in range(1_000):
        length = dice.randrange(2, 24)
        rows = build_ledger(length)
        heads = [head_of(rows, size) for size in range(1, length + 1)]
        place = dice.randrange(1, length + 1)
        kind = dice.choice(["edit", "edit with hash", "delete", "insert", "swap", "cut", "rewrite"])
        if kind == "edit":
            rows[place - 1] = alter(rows[place - 1])
        elif kind == "edit with hash":
            rows[place - 1] = alter_with_hash(rows[place - 1])
        elif kind == "delete":
            del rows[place - 1]
        elif kind == "insert":
            before = rows[place - 2] if place > 1 else None
            rows.insert(place - 1, build_entry({"event": "forged"}, before))
            rows = [renumber(row, number) for number, row in enumerate(rows, 1)]
        elif kind == "swap":
            other = place % length + 1
            one = renumber(rows[place - 1], other)
            rows[place - 1], rows[other - 1] = renumber(rows[other - 1], place), one
        elif kind == "cut":
            del rows[place - 1 :]
        else:
            rows = rewrite_from(rows, place)
        faults = verify_entries(rows, heads).faults
        assert faults, (SEED, kind, place)
        assert abs(faults[0].entry_id - place) <= 1 or kind == "swap", (SEED, kind, place)
