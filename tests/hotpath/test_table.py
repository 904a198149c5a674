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
