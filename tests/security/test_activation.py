"""Activations and rollback orders, as they are built, signed by one after the other, and read."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from server.security.activation import parse_activation, to_ns, to_text, verify_activation
from server.security.canonical import decode_canonical
from server.security.rollback_order import verify_rollback
from server.security.statements import (
    merge_signatures,
    payload_of,
    sign_statement,
    verify_signature_of_one,
)
from server.statement_errors import StatementNotCanonicalError, StatementsDifferError
from tests.approvals import activation_payload
from tests.attacks.cast import (
    DIGESTS,
    NOW,
    NOW_NS,
    SECOND_NS,
    TRUST,
    activation,
    entry_of,
    key_of,
)
from tests.attacks.proofs import approval_of, order_of

DAY_NS = 86_400 * SECOND_NS


def test_a_statement_reads_back_as_it_was_built() -> None:
    payload = activation_payload(
        DIGESTS[2], 7, previous_digest=DIGESTS[1], fallback_digest=DIGESTS[0], version="2.10.3"
    )
    statement = parse_activation(payload)
    assert statement.model_dump() == decode_canonical(payload)
    assert (statement.digest, statement.serial, statement.version) == (DIGESTS[2], 7, "2.10.3")
    assert to_ns(statement.expires) - to_ns(statement.not_before) == DAY_NS


@pytest.mark.parametrize(
    "time",
    [
        datetime(2026, 3, 4, 12, tzinfo=UTC),
        datetime(2026, 3, 4, 13, tzinfo=timezone(timedelta(hours=1))),
        datetime(2026, 3, 4, 12, 0, 0, 999_999, tzinfo=UTC),
    ],
)
def test_a_time_has_one_spelling(time: datetime) -> None:
    assert to_text(time) == "2026-03-04T12:00:00Z"
    assert to_ns(to_text(time)) == NOW_NS


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        to_text(NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    "changes",
    [{"serial": 0}, {"digest": ""}, {"justification": " "}, {"purpose": "A b"}, {"version": "1"}],
)
def test_a_statement_that_could_not_be_read_is_not_built(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        activation(**changes)


def test_approvals_that_come_one_by_one_in_any_order_make_the_same_envelope() -> None:
    payload = activation_payload(DIGESTS[1])
    names = ("risk1", "risk2", "tech1")
    singles = [sign_statement(payload, "activation", key_of(name)) for name in names]
    for name, single in zip(names, singles, strict=True):
        assert verify_signature_of_one(single, TRUST) == entry_of(name)
        assert payload_of(single) == payload
    one, two, three = singles
    merged = merge_signatures(merge_signatures(one, two), three)
    assert merge_signatures(three, merge_signatures(two, one)) == merged
    assert merge_signatures(merged, two) == merged
    now_ns = int(datetime.now(UTC).timestamp()) * SECOND_NS
    statement = verify_activation(merged, TRUST, author=entry_of("author"), now_ns=now_ns)
    assert statement.digest == DIGESTS[1]


def test_one_key_that_has_signed_in_two_ways_is_refused() -> None:
    first = activation("risk1")
    head, tail = first.rsplit(b'"sig":"', 1)
    second = head + b'"sig":"' + (b"A" if tail[:1] != b"A" else b"B") + tail[1:]
    with pytest.raises(StatementsDifferError, match="two ways"):
        merge_signatures(first, second)
    with pytest.raises(StatementNotCanonicalError):
        merge_signatures(first, b"{}")


@pytest.mark.parametrize("at_ns", [NOW_NS, NOW_NS + DAY_NS - 1])
def test_an_approval_is_good_from_its_first_to_its_last_moment(at_ns: int) -> None:
    verify_activation(activation(), TRUST, author=entry_of("author"), now_ns=at_ns)


def test_a_rollback_returns_what_control_ordered_and_what_people_approved() -> None:
    approval = approval_of(5)
    order, approved = verify_rollback(
        order_of(approval, 9),
        approval,
        TRUST,
        author_of_fallback=entry_of("author"),
        now_ns=NOW_NS,
    )
    assert (order.serial, order.digest, order.purpose) == (9, DIGESTS[4], "slippage")
    assert (approved.serial, approved.digest) == (5, DIGESTS[5])
