"""A Redis of its own for each test of the feed, the publisher in it, and who receives."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.feed_harness import Publisher, Receiver


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    connection = redis.Redis.from_url(redis_url, socket_timeout=5)
    connection.flushdb()
    yield connection
    connection.flushdb()
    connection.close()


@pytest.fixture
def publisher(client: Any) -> Publisher:
    return Publisher(client)


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()
