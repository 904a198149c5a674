"""Six ways in which somebody who owns PostgreSQL may tamper with the audit log."""

import random
from typing import Any, NamedTuple

from tests.audit_harness import Book

Row = dict[str, Any]
KINDS = ("edit", "delete", "insert", "reorder", "cut", "rewrite")


class Tampering(NamedTuple):
    """What was done, and what verification must say of it."""

    name: str
    audit_id: int
    found_as: set[str]


def tamper(book: Book, rows: list[Row], kind: str, dice: random.Random) -> Tampering:
    """Tamper with the log at a random place, with a random amount of care."""
    return _WAYS[kind](book, [dict(row) for row in rows], dice)


def _edit(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    place = dice.randrange(len(rows))
    column = dice.choice([*_OTHER_VALUES, "hash", "previous_hash"])
    row = rows[place]
    if column in _OTHER_VALUES:
        old = row[column]
        row[column] = next(value for value in _OTHER_VALUES[column] if value != old)
    else:
        flipped = bytearray(row[column])
        flipped[dice.randrange(32)] ^= 1 << dice.randrange(8)
        row[column] = bytes(flipped)
    is_mended = column in _OTHER_VALUES and dice.random() < 0.5
    book.replace(rows)
    if is_mended:
        book.mend(place, count=1)
    return Tampering(f"edit {column} mended={is_mended}", place + 1, {"altered"})


def _delete(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    place = dice.randrange(len(rows) - 1)
    count = dice.randint(1, min(3, len(rows) - 1 - place))
    del rows[place : place + count]
    is_shifted = dice.random() < 0.5
    if is_shifted:
        _number(rows)
    book.replace(rows)
    book.mend_head_row()
    return Tampering(f"delete {count} shifted={is_shifted}", place + 1, {"deleted"})


def _insert(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    place = dice.randrange(len(rows))
    forged = rows[place] | {"subject_key": "forged", "hash": dice.randbytes(32)}
    if dice.random() < 0.2:
        rows.insert(0, forged | {"audit_id": -dice.randint(1, 9)})
        book.replace(rows, without_checks=True)
        return Tampering("insert below 1", rows[0]["audit_id"], {"inserted"})
    rows.insert(place, forged)
    _number(rows)
    book.replace(rows)
    book.mend_head_row()
    is_mended = dice.random() < 0.5
    if is_mended:
        book.mend(place, count=1)
    return Tampering(f"insert mended={is_mended}", place + 1, {"inserted"})


def _reorder(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    first, second = sorted(dice.sample(range(len(rows)), 2))
    rows[first], rows[second] = rows[second], rows[first]
    _number(rows)
    book.replace(rows)
    return Tampering(f"reorder with {second + 1}", first + 1, {"reordered"})


def _cut(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    place = dice.randrange(len(rows))
    book.replace(rows[:place])
    if dice.random() < 0.8:
        book.mend_head_row()
    return Tampering("cut", place + 1, {"cut"})


def _rewrite(book: Book, rows: list[Row], dice: random.Random) -> Tampering:
    place = dice.randrange(len(rows))
    way = dice.choice(["edit", "delete", "insert"])
    if way == "edit" or place == len(rows) - 1:
        rows[place]["reason"] += " or not"
    elif way == "delete":
        del rows[place]
    else:
        rows.insert(place, rows[place] | {"subject_key": "forged"})
    _number(rows)
    book.replace(rows)
    book.mend(place)
    book.mend_head_row()
    # Of the last row alone it cannot be told whether those behind it would differ too.
    found_as = {"rewritten"} if place < len(rows) - 1 else {"rewritten", "altered"}
    return Tampering(f"rewrite by {way}", place + 1, found_as)


def _number(rows: list[Row]) -> None:
    for number, row in enumerate(rows, 1):
        row["audit_id"] = number


_OTHER_VALUES: dict[str, list[Any]] = {
    "action": ["delete", "create"],
    "actor": ["mallory", "eve"],
    "address": ["192.0.2.66", ""],
    "identity": ["spiffe://riskgate/admin/bob", ""],
    "method": ["/riskgate.v1.ReferenceService/DeleteAccount", ""],
    "new_value": [None, {"equity": "1000000"}],
    "old_value": [None, {"equity": "0"}],
    "outcome": ["denied", "unchanged"],
    "reason": ["", "nobody asked"],
    "state_version": [None, 10**9],
    "subject": ["model", ""],
    "subject_key": ["nobody", ""],
}
_WAYS = {
    "edit": _edit,
    "delete": _delete,
    "insert": _insert,
    "reorder": _reorder,
    "cut": _cut,
    "rewrite": _rewrite,
}
