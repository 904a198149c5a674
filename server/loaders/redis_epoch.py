"""The epoch of each shard in Redis: how engines on other machines learn that one has taken over."""

from importlib.resources import files
from typing import Any

from redis.exceptions import RedisError

from server import feed
from server.errors import UnavailableError
from server.loaders.redis_connection import open_connection
from server.shards import Shard


class RedisEpoch:
    """The highest epoch that an engine of one shard has ever named.

    Args:
        url: Of the Redis that the publisher writes.
        shard: Whose epoch.
    """

    def __init__(self, url: str, shard: Shard) -> None:
        self._redis: Any = open_connection(url)
        self._key = feed.epoch_key(str(shard))
        script = files("server").joinpath("lua/epoch.lua").read_text("utf-8")
        self._raise = self._redis.register_script(script)

    def raise_to(self, epoch: int) -> int:
        """Name an epoch and return the highest one, which may be another's.

        Raises:
            UnavailableError: Redis does not answer, or the key holds no number.
        """
        try:
            return int(self._raise(keys=[self._key], args=[epoch]))
        except (RedisError, OSError, ValueError) as error:
            raise UnavailableError("redis", f"the epoch cannot be named: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()
