"""Entries of identities on their way from Redis to the grants of an engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from riskgate.v1 import identity_pb2, state_pb2
from riskgate.v1.identity_pb2 import Identity
from server.changes import state_change
from server.loaders.feed_entry import MalformedEntryError, read_entry
from server.loaders.redis_state import RedisStateLoader
from tests.feed_harness import SEAL, Publisher, Receiver, sealed, wait
from tests.trusted_port import LANES, Code, message_of, open_trusted, outcome_of

IDENTITY = state_pb2.CHANGE_KIND_IDENTITY
URI = "spiffe://riskgate/trader/desk"
ROWS = Identity(uri=URI, accounts=["A"]).SerializeToString()


def loader_of(
    redis_url: str, receiver: Receiver, *, known_version: int = 0
) -> Iterator[RedisStateLoader]:
    loader = RedisStateLoader(redis_url, receiver, SEAL, block_ms=50, known_version=known_version)
    loader.start()
    yield loader
    loader.stop()


@pytest.fixture
def loader(redis_url: str, receiver: Receiver) -> Iterator[RedisStateLoader]:
    yield from loader_of(redis_url, receiver)


def test_an_entry_goes_to_the_grants_and_through_the_ring(
    loader: RedisStateLoader, publisher: Publisher, receiver: Receiver
) -> None:
    publisher.change(IDENTITY, URI, ROWS)
    publisher.rebuild()
    wait(lambda: loader.is_current)
    publisher.publish(IDENTITY, URI, b"")
    wait(lambda: loader.version == 2)
    assert receiver.identities == [(URI, ROWS), (URI, b"")]
    assert [change.kind for change in receiver.changes] == [IDENTITY, IDENTITY]


def test_after_a_restart_the_grants_get_what_the_journal_has_already(
    redis_url: str, publisher: Publisher, receiver: Receiver
) -> None:
    publisher.change(IDENTITY, URI, ROWS)
    publisher.rebuild()
    for loader in loader_of(redis_url, receiver, known_version=1):
        wait(lambda: loader.is_current)  # noqa: B023 - used at once
    assert receiver.identities == [(URI, ROWS)]
    assert receiver.changes == [], "the engine has it: its journal does not grow"


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        (URI, b"12345678"),
        ("spiffe://riskgate/trader/another", ROWS),
        (URI, Identity(uri=URI, accounts=["x" * 64] * 1_100).SerializeToString()),
    ],
    ids=["no message", "another key", "too large"],
)
def test_what_is_no_identity_is_dropped(key: str, rows: bytes) -> None:
    change = sealed(state_change(IDENTITY, key, rows, version=1))
    with pytest.raises(MalformedEntryError, match="identity"):
        read_entry(change)


@pytest.mark.parametrize("lane", LANES)
def test_a_revocation_in_the_feed_ends_the_calls_of_a_live_connection(
    lane: str, redis_url: str, publisher: Publisher, receiver: Receiver, tmp_path: Path
) -> None:
    ask = message_of("Decide", "A")
    revoked = Identity(uri=URI, accounts=["A"], status=identity_pb2.IDENTITY_STATUS_REVOKED)
    publisher.change(IDENTITY, URI, ROWS)
    publisher.rebuild()
    with open_trusted(lane, tmp_path) as port:
        receiver.put_identity = port.grants.put_rows  # type: ignore[method-assign]
        for loader in loader_of(redis_url, receiver):
            wait(lambda: loader.is_current)  # noqa: B023 - used at once
            with port.dial(port.pki.authority.issue_client(URI)) as channel:
                assert outcome_of(channel, "Decide", ask) == (Code.OK, "")
                publisher.publish(IDENTITY, URI, revoked.SerializeToString())
                wait(lambda: outcome_of(channel, "Decide", ask)[0] == Code.PERMISSION_DENIED)
