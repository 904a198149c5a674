"""Revisions add up to the version exactly when nothing is old, hidden or forged."""

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from riskgate.v1.state_pb2 import (
    CHANGE_KIND_ACCOUNT,
    CHANGE_KIND_CONVERSION_RATE,
    StateChange,
)
from server.loaders.completeness import Completeness

KEYS = "abcde"


def record_of(keys: list[str]) -> list[StateChange]:
    """Return one change for each key, in order, as a record makes them."""
    revisions: Counter[str] = Counter()
    changes = []
    for version, key in enumerate(keys, start=1):
        revisions[key] += 1
        changes.append(
            StateChange(version=version, kind=CHANGE_KIND_ACCOUNT, key=key, revision=revisions[key])
        )
    return changes


def newest(changes: list[StateChange]) -> dict[str, StateChange]:
    return {change.key: change for change in changes}


@given(st.lists(st.sampled_from(KEYS), max_size=40), st.data())
def test_a_hash_is_whole_when_each_entity_is_the_newest_and_not_otherwise(
    keys: list[str], data: Any
) -> None:
    changes = record_of(keys)
    hash_of = newest(changes)
    choices = {
        key: data.draw(st.sampled_from([None, *(one for one in changes if one.key == key)]))
        for key in hash_of
    }
    completeness = Completeness(len(changes))
    for chosen in choices.values():
        if chosen is not None:
            completeness.note(chosen)
            completeness.note(chosen)  # Redis may name it twice
    assert completeness.is_whole == (choices == hash_of)


@given(
    st.lists(st.sampled_from(KEYS), max_size=20),
    st.lists(st.sampled_from(KEYS), max_size=20),
    st.data(),
)
def test_what_changes_while_it_is_read_is_settled_by_the_stream(
    before: list[str], during: list[str], data: Any
) -> None:
    changes = record_of(before + during)
    version = len(before)
    hidden = data.draw(st.sampled_from(["", *KEYS]))
    completeness = Completeness(version)
    is_whole = True
    for key in set(before + during):
        # Read at any moment after the load began.
        at = data.draw(st.integers(version, len(changes)))
        seen = newest(changes[:at]).get(key)
        old = newest(changes[:version]).get(key)
        if key == hidden and old is not None:
            is_whole = False
        elif seen is not None:
            completeness.note(seen)
    assert completeness.is_settled or during
    for change in changes[version:]:
        completeness.settle(change)
    assert completeness.is_settled
    assert completeness.is_whole == is_whole


def test_measurements_have_no_place_in_the_count() -> None:
    completeness = Completeness(1)
    completeness.note(StateChange(kind=CHANGE_KIND_CONVERSION_RATE, key="EUR/USD", revision=0))
    assert not completeness.is_whole
    completeness.note(StateChange(version=1, kind=CHANGE_KIND_ACCOUNT, key="a", revision=1))
    assert completeness.is_whole


def test_a_stream_with_a_change_left_out_does_not_make_up_for_an_old_entity() -> None:
    # a at 1, 3, 4 and b at 2, 5 before the load; b again at 6 and 7 since.
    changes = record_of(list("abaabbb"))
    completeness = Completeness(5)
    old, newest_of_b = changes[2], changes[6]
    completeness.note(old)
    completeness.note(newest_of_b)
    completeness.settle(newest_of_b)  # the stream hides version 6
    assert not completeness.is_whole
    completeness.settle(changes[5])
    assert not completeness.is_whole


def test_only_the_first_of_a_name_may_be_used() -> None:
    changes = record_of(list("aa"))
    completeness = Completeness(2)
    assert completeness.note(changes[1])
    assert not completeness.note(changes[0])
    assert completeness.is_whole
    measurement = StateChange(kind=CHANGE_KIND_CONVERSION_RATE, key="EUR/USD")
    assert completeness.note(measurement)
    assert completeness.note(measurement)
