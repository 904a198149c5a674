"""The engines in Redis: each says what it runs, sealed, under the name of its shard."""

import logging
from typing import Any, Final

from redis.exceptions import RedisError

from server.errors import UnavailableError
from server.loaders.redis_connection import open_connection
from server.replica import Replica, decode_replica, encode_replica
from server.security.feed_seal import REPLICA, TAG_BYTES, FeedSeal, FeedSealError

log = logging.getLogger(__name__)

REPLICAS_KEY: Final = "riskgate:replicas"


class RedisReplicas:
    """The register of engines.

    Args:
        url: Of the Redis that the publisher writes.
        seal: Of the state feed.
    """

    def __init__(self, url: str, seal: FeedSeal) -> None:
        self._redis: Any = open_connection(url)
        self._seal = seal

    def say(self, replica: Replica) -> None:
        """Let everybody know.

        Raises:
            UnavailableError: Redis does not answer.
        """
        said = encode_replica(replica)
        tag = self._seal.tag(REPLICA, replica.shard.encode(), said)
        try:
            self._redis.hset(REPLICAS_KEY, replica.shard, tag + said)
        except (RedisError, OSError) as error:
            raise UnavailableError("redis", f"the replica cannot be named: {error}") from error

    def read_all(self) -> list[Replica]:
        """Return what every engine has said last, by shard; what is not sealed is passed over.

        An engine that has ended stays: `said_at_ns` tells.

        Raises:
            UnavailableError: Redis does not answer.
        """
        try:
            fields = self._redis.hgetall(REPLICAS_KEY)
        except (RedisError, OSError) as error:
            raise UnavailableError("redis", f"the replicas cannot be read: {error}") from error
        found = [self._open(field, value) for field, value in sorted(fields.items())]
        return [replica for replica in found if replica is not None]

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _open(self, field: bytes, value: bytes) -> Replica | None:
        tag, said = value[:TAG_BYTES], value[TAG_BYTES:]
        try:
            self._seal.check(tag, REPLICA, field, said)
            return decode_replica(said)
        except (FeedSealError, ValueError) as error:
            log.warning("a replica in redis is passed over: %s", error)
            return None
