"""What an engine says of itself, in its directory and in Redis; nothing else is believed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from server.errors import ConfigurationError
from server.loaders.proof_judge import Seen
from server.loaders.redis_replica import REPLICAS_KEY, RedisReplicas
from server.replica import Replica, decode_replica, encode_replica, read_seen, write_replica
from server.security.feed_seal import FeedSeal

REPLICA = Replica("0/2", "127.0.0.1:50051", 3, "ab" * 32, 7, "cd" * 32, True, "", 1)
SEAL = FeedSeal(bytes(range(32)))


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    connection = redis.Redis.from_url(redis_url, socket_timeout=5)
    connection.flushdb()
    yield connection
    connection.flushdb()
    connection.close()


@pytest.fixture
def register(redis_url: str) -> Iterator[RedisReplicas]:
    made = RedisReplicas(redis_url, SEAL)
    yield made
    made.close()


def test_what_was_accepted_is_known_to_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "replica.json"
    assert read_seen(path) == {}
    seen = {"slippage": Seen(7, bytes(range(32))), "risk_policy": Seen(2, bytes(32))}
    write_replica(path, REPLICA, seen)
    assert read_seen(path) == seen
    write_replica(path, REPLICA, {})
    assert read_seen(path) == {}


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"accepted": {"slippage": {}}}', b"\xff"])
def test_a_file_that_cannot_be_read_is_a_reason_not_to_start(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "replica.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="remove it if the record was set back"):
        read_seen(path)


@pytest.mark.parametrize("raw", [b"", b"5", b"{}", b'{"shard": "0/1"}'])
def test_bytes_that_are_no_replica_are_refused(raw: bytes) -> None:
    assert decode_replica(encode_replica(REPLICA)) == REPLICA
    with pytest.raises(ValueError, match=r"not a replica|Expecting value"):
        decode_replica(raw)
    with pytest.raises(ValueError, match="another type"):
        decode_replica(encode_replica(REPLICA).replace(b'"epoch": 3', b'"epoch": true'))


def test_each_engine_is_found_with_what_it_said_last(client: Any, register: RedisReplicas) -> None:
    assert register.read_all() == []
    register.say(replace(REPLICA, is_proven=False, problem="ArtifactNotFoundError"))
    register.say(REPLICA)
    other = replace(REPLICA, shard="1/2", address="127.0.0.1:50052")
    register.say(other)
    assert register.read_all() == [REPLICA, other]


def test_what_is_not_sealed_or_stands_under_another_shard_is_passed_over(
    client: Any, register: RedisReplicas, redis_url: str
) -> None:
    register.say(REPLICA)
    sealed = client.hget(REPLICAS_KEY, "0/2")
    foreign = RedisReplicas(redis_url, FeedSeal(bytes(32)))
    for value in (b"", encode_replica(REPLICA), sealed[:-1], sealed[:40] + b"{}"):
        client.hset(REPLICAS_KEY, "0/2", value)
        assert register.read_all() == []
    client.hset(REPLICAS_KEY, "1/2", sealed)
    assert register.read_all() == []
    foreign.say(REPLICA)
    assert register.read_all() == []
    foreign.close()
