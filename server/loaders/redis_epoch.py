"""The epoch of each shard in Redis: how engines on other machines learn that one has taken over.

It stands there as `NUMBER TAG`, sealed under the key of the feed. What is not sealed is nobody's
word: it is reported and written over, so that no intruder can fence an engine.
"""

import logging
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import RedisError, ResponseError

from server import feed
from server.errors import UnavailableError
from server.loaders.redis_connection import open_connection
from server.security.feed_seal import EPOCH, FeedSeal, FeedSealError
from server.shards import Shard

log = logging.getLogger(__name__)

_TRIES_MAX: Final = 8


class RedisEpoch:
    """The highest epoch that an engine of one shard has ever named.

    Args:
        url: Of the Redis that the publisher writes.
        shard: Whose epoch.
        seal: Tells what our engines have written.
    """

    def __init__(self, url: str, shard: Shard, seal: FeedSeal) -> None:
        self._redis: Any = open_connection(url)
        self._key = feed.epoch_key(str(shard))
        script = files("server").joinpath("lua/epoch.lua").read_text("utf-8")
        self._exchange = self._redis.register_script(script)
        self._seal = seal
        # An earlier value, though sealed, never counts again.
        self._highest = 0
        self.forged = 0

    def raise_to(self, epoch: int) -> int:
        """Name an epoch and return the highest one, which may be another's.

        Raises:
            UnavailableError: Redis does not answer.
        """
        try:
            for _ in range(_TRIES_MAX):
                current = self._get()
                highest = self._read(current)
                wanted = max(epoch, self._highest)
                if highest >= wanted:
                    self._highest = highest
                    return highest
                if self._exchange(keys=[self._key], args=[current, self._write(wanted)]):
                    self._highest = wanted
                    return wanted
        except (RedisError, OSError) as error:
            raise UnavailableError("redis", f"the epoch cannot be named: {error}") from error
        raise UnavailableError("redis", "the epoch cannot be named: others change it all the time")

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _get(self) -> bytes:
        try:
            return self._redis.get(self._key) or b""
        except ResponseError:
            # Not even a text.
            self._redis.delete(self._key)
            return b""

    def _read(self, value: bytes) -> int:
        if not value:
            return 0
        number, _, tag = value.partition(b" ")
        try:
            self._seal.check(bytes.fromhex(tag.decode("ascii")), EPOCH, self._key.encode(), number)
            return int(number)
        except (FeedSealError, ValueError) as error:
            self.forged += 1
            log.error("the epoch in redis is not ours and is written over: %s", error)  # noqa: TRY400 - no trace of a check
            return 0

    def _write(self, epoch: int) -> bytes:
        number = str(epoch).encode()
        return number + b" " + self._seal.tag(EPOCH, self._key.encode(), number).hex().encode()
