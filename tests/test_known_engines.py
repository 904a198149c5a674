"""Which engines a kill has to reach: by the data directory alone, and by Redis for the others."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from riskgate.v1 import kill_pb2 as pb
from server.errors import UnavailableError
from server.kill_calls import Confirmation, KillCall, is_complete
from server.known_engines import (
    KnownEngine,
    Way,
    find_local,
    find_others,
    kill_socket_path,
    mark_replaced,
)
from server.loaders.redis_replica import REPLICAS_KEY, RedisReplicas
from server.replica import Replica, write_replica
from server.security.feed_seal import FeedSeal
from server.shards import Shard
from tests.kill_requests import kill

NOW_NS = 1_000_000_000_000
HERE = Replica(
    shard="0/1",
    address="127.0.0.1:50051",
    epoch=3,
    model_digest="",
    model_serial=0,
    policy_digest="",
    is_proven=True,
    problem="",
    said_at_ns=NOW_NS,
    is_tls=True,
    pid=1,
)


@pytest.fixture
def register(redis_url: str, tmp_path: Path) -> Iterator[RedisReplicas]:
    client = redis.Redis.from_url(redis_url, socket_timeout=5)
    client.delete(REPLICAS_KEY)
    made = RedisReplicas(redis_url, FeedSeal.ensure(tmp_path / "keys"))
    yield made
    made.close()
    client.delete(REPLICAS_KEY)
    client.close()


def say_state(data_dir: Path, addresses: list[str], redis_url: str = "redis://127.0.0.1:1") -> None:
    """Write what `riskgate serve` leaves in its data directory."""
    state: dict[str, Any] = {
        "supervisor_pid": 1,
        "started_at": "2026-01-01T00:00:00Z",
        "ready": True,
        "decision_address": addresses[0],
        "decision_addresses": addresses,
        "control_address": "127.0.0.1:2",
        "metrics_address": "127.0.0.1:3",
        "database_url": "postgresql://127.0.0.1:4/x",
        "redis_url": redis_url,
        "pids": {},
    }
    (data_dir / "state.json").write_text(json.dumps(state))


def say_replica(data_dir: Path, replica: Replica) -> None:
    shard = Shard.parse(replica.shard)
    write_replica(shard.folder(data_dir, "replica.json"), replica, {})


def test_an_empty_directory_knows_no_engine(tmp_path: Path) -> None:
    assert find_local(tmp_path) == []


def test_engines_of_a_stack_are_known_before_they_have_said_anything(tmp_path: Path) -> None:
    say_state(tmp_path, ["127.0.0.1:5", "127.0.0.1:6"])
    kill_socket_path(tmp_path, Shard(1, 2)).touch()
    first, second = find_local(tmp_path)
    assert (first.shard, second.shard) == ("0/2", "1/2")
    assert [way.address for way in first.ways] == ["127.0.0.1:5"]
    socket = f"unix:{tmp_path}/kill.sock-1of2"
    assert [way.address for way in second.ways] == [socket, "127.0.0.1:6"]


def test_what_an_engine_has_said_names_its_epoch_and_its_certificate(tmp_path: Path) -> None:
    say_state(tmp_path, ["127.0.0.1:5"])
    say_replica(tmp_path, HERE)
    (engine,) = find_local(tmp_path)
    assert (engine.epoch, engine.decision) == (3, Way("127.0.0.1:5", is_tls=True))


def test_engines_without_a_supervisor_are_those_of_the_newest_split(tmp_path: Path) -> None:
    say_replica(tmp_path, replace(HERE, said_at_ns=1))
    for index in range(2):
        say_replica(tmp_path, replace(HERE, shard=f"{index}/2", said_at_ns=5))
    assert [engine.shard for engine in find_local(tmp_path)] == ["0/2", "1/2"]


def test_a_file_that_cannot_be_read_hides_no_engine_of_the_stack(tmp_path: Path) -> None:
    say_state(tmp_path, ["127.0.0.1:5"])
    (tmp_path / "replica.json").write_text("{")
    (engine,) = find_local(tmp_path)
    assert engine.decision == Way("127.0.0.1:5", is_tls=True)


def test_engines_of_other_machines_are_found_in_redis(
    register: RedisReplicas, redis_url: str, tmp_path: Path
) -> None:
    say_state(tmp_path, ["127.0.0.1:5"], redis_url)
    say_replica(tmp_path, HERE)
    register.say(replace(HERE, address="10.0.0.9:50051"))
    assert find_others(tmp_path, find_local(tmp_path), NOW_NS) == []
    register.say(replace(HERE, address="10.0.0.9:50051", epoch=4))
    (other,) = find_others(tmp_path, find_local(tmp_path), NOW_NS)
    assert (other.ways, other.is_local) == ((Way("10.0.0.9:50051", is_tls=True),), False)
    marked = mark_replaced([*find_local(tmp_path), other])
    assert [engine.is_needed for engine in marked] == [False, True]


def test_an_engine_of_another_split_counts_until_it_has_been_silent_for_long(
    register: RedisReplicas, redis_url: str, tmp_path: Path
) -> None:
    say_state(tmp_path, ["127.0.0.1:5"], redis_url)
    say_replica(tmp_path, HERE)
    register.say(replace(HERE, shard="1/2"))
    local = find_local(tmp_path)
    assert [each.shard for each in find_others(tmp_path, local, NOW_NS)] == ["1/2"]
    assert find_others(tmp_path, local, NOW_NS + 61_000_000_000) == []


def test_a_redis_that_is_away_or_a_missing_key_is_said(tmp_path: Path) -> None:
    say_state(tmp_path, ["127.0.0.1:5"])
    with pytest.raises(UnavailableError):
        find_others(tmp_path, [], NOW_NS)
    FeedSeal.ensure(tmp_path / "keys")
    with pytest.raises(UnavailableError, match="cannot be read"):
        find_others(tmp_path, [], NOW_NS)


def test_a_kill_that_nobody_answers_is_not_complete(tmp_path: Path) -> None:
    say_state(tmp_path, ["127.0.0.1:1"])
    say_replica(tmp_path, replace(HERE, is_tls=False))
    call = KillCall(tmp_path, [kill()], 0.2)
    said = call.run()
    assert [each.who for each in said] == ["engine 0/1"]
    assert not is_complete(said)
    assert "unavailable" in said[0].detail or "deadline_exceeded" in said[0].detail
    assert call.problem


def test_a_kill_is_complete_when_every_engine_that_decides_has_confirmed() -> None:
    def said(who: str, *, confirmed: bool = True, is_needed: bool = True) -> Confirmation:
        return Confirmation(who, confirmed, is_needed, 1.0)

    control = said("control", confirmed=False, is_needed=False)
    assert is_complete([said("engine 0/2"), said("engine 1/2"), control])
    assert not is_complete([said("engine 0/2"), said("engine 1/2", confirmed=False)])
    assert is_complete([said("engine 0/1"), said("engine 0/1", confirmed=False, is_needed=False)])
    assert not is_complete([control])
    assert not is_complete([])


def test_an_engine_that_has_just_begun_is_always_needed() -> None:
    way = Way("127.0.0.1:5")
    engines = [KnownEngine("0/1", (way,), way), KnownEngine("0/1", (way,), way, epoch=9)]
    assert [each.is_needed for each in mark_replaced(engines)] == [True, True]


def test_scopes_are_numbered_as_in_the_kernels() -> None:
    from server.hotpath import kills

    numbers = {name: value for name, value in vars(kills).items() if name.startswith("KILL_")}
    for scope in ("GLOBAL", "ACCOUNT", "CONNECTION", "PROVIDER", "SYMBOL", "STRATEGY"):
        assert numbers[f"KILL_{scope}"] == pb.KillScope.Value(f"KILL_SCOPE_{scope}")
    assert numbers["KILL_SCOPES"] == len(pb.KillScope.keys())
