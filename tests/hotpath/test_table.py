"""The keyed table against a dict, through inserts, removals and a full table."""

from __future__ import annotations

import random

import numpy as np

from server.hotpath.layout import packed_dtype
from server.hotpath.table import (
    find_nb,
    insert_nb,
    link_nb,
    new_table,
    rows_used_nb,
    unlink_nb,
    write_key_nb,
)

ROW = packed_dtype(("key", ("<i8", (2,))), ("value", "<i8"))


def test_table_when_filled_then_every_key_is_found_and_no_other() -> None:
    table = new_table(ROW, 1_000)
    rows = {key: insert_nb(table.record[0], np.array([key, -key]), 2) for key in range(1, 1_001)}
    assert len(set(rows.values())) == 1_000
    assert all(
        find_nb(table.record[0], np.array([key, -key]), 2) == row for key, row in rows.items()
    )
    assert find_nb(table.record[0], np.array([1, -2]), 2) == 0
    assert insert_nb(table.record[0], np.array([2_000, 0]), 2) == 0
    assert rows_used_nb(table.record[0]) == 1_000


def test_table_when_rows_come_and_go_then_it_agrees_with_a_dict() -> None:
    seed = 20_261_121
    chance = random.Random(seed)
    table = new_table(ROW, 64)
    record = table.record[0]
    expected: dict[int, int] = {}
    free: list[int] = []
    for _ in range(20_000):
        key = chance.randrange(200)
        words = np.array([key, 7])
        assert find_nb(record, words, 2) == expected.get(key, 0), f"seed {seed}"
        if key in expected:
            row = expected.pop(key)
            unlink_nb(record, row, 2)
            free.append(row)
        elif free:
            row = free.pop()
            write_key_nb(record, row, words, 2)
            link_nb(record, row, 2)
            expected[key] = row
        elif rows_used_nb(record) < 64:
            expected[key] = insert_nb(record, words, 2)
    assert np.count_nonzero(table.cells) == len(expected)


COUNTED = packed_dtype(("number", "<i8"), ("value", "<i8"))


def test_counters_when_they_follow_each_other_then_no_two_lie_side_by_side() -> None:
    table = new_table(COUNTED, 1_024)
    first = len(table.cells) // 2 - 500  # over the half turn of the index
    for number in range(first, first + 1_000):
        insert_nb(table.record[0], np.array([number]), 1)
    taken = table.cells != 0
    assert np.count_nonzero(taken) == 1_000
    assert not np.any(taken & np.roll(taken, 1))


def test_counters_when_they_come_and_go_then_the_table_agrees_with_a_dict() -> None:
    chance = random.Random(20_261_122)
    table = new_table(COUNTED, 64)
    record = table.record[0]
    expected: dict[int, int] = {}
    free: list[int] = []
    for _ in range(20_000):
        number = chance.randrange(1, 400)
        assert find_nb(record, np.array([number]), 1) == expected.get(number, 0)
        if number in expected:
            row = expected.pop(number)
            unlink_nb(record, row, 1)
            free.append(row)
        elif free:
            row = free.pop()
            write_key_nb(record, row, np.array([number]), 1)
            link_nb(record, row, 1)
            expected[number] = row
        elif rows_used_nb(record) < 64:
            expected[number] = insert_nb(record, np.array([number]), 1)
    assert np.count_nonzero(table.cells) == len(expected)
