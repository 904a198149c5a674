"""The journal of one shard as a Redis stream, for a standby on another machine.

The id of a stream entry is the number of the journal's entry, so Redis itself refuses to take one
twice or out of order. Each is sealed under the key of the feed: a standby believes nobody else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError, ResponseError

from server import feed
from server.errors import UnavailableError
from server.loaders.redis_connection import open_connection
from server.security.feed_seal import JOURNAL, FeedSeal
from server.shards import Shard

# About a minute of a busy engine; a standby that is further behind needs a copy of the directory.
LENGTH_MAX: Final = 100_000
READ_LENGTH: Final = 500
_BLOCK_MS: Final = 200


class Shipped(NamedTuple):
    """One entry on its way.

    Attributes:
        number: Of the entry.
        segment_number: Of the segment in which it stands.
        offset: Of its first byte there.
        header: Of the segment, with its first entry only; else empty.
        raw: Its bytes.
    """

    number: int
    segment_number: int
    offset: int
    header: bytes
    raw: bytes


class RedisJournal:
    """One end of the stream.

    Args:
        url: Of Redis.
        shard: Whose journal.
        seal: Tells what our engines have written.
        length_max: Entries that are kept, about.
    """

    def __init__(
        self, url: str, shard: Shard, seal: FeedSeal, *, length_max: int = LENGTH_MAX
    ) -> None:
        self._redis: Any = open_connection(url)
        self._seal = seal
        self._stream, self._newest, self._taken = feed.journal_keys(str(shard))
        self.length_max = length_max

    def read_last(self) -> Shipped | None:
        """Return the newest entry in the stream; None when it is empty.

        Raises:
            UnavailableError: Redis does not answer.
        """
        with _named():
            found = self._redis.xrevrange(self._stream, count=1)
            return self._shipped(found[0][0], found[0][1]) if found else None

    def add(self, entries: list[Shipped], newest: int) -> int:
        """Put entries into the stream; return the number that the other end has taken.

        Args:
            entries: In order; may be empty.
            newest: Number of the newest entry of the journal, for the other end to know.

        Raises:
            UnavailableError: Redis does not answer; some of them may be in.
        """
        with _named():
            pipeline = self._redis.pipeline(transaction=False)
            for one in entries:
                pipeline.xadd(
                    self._stream,
                    self._fields(one),
                    id=f"{one.number}-0",
                    maxlen=self.length_max,
                    approximate=True,
                )
            pipeline.set(self._newest, newest)
            pipeline.get(self._taken)
            *added, _, taken = pipeline.execute(raise_on_error=False)
            for answer in (*added, taken):
                # An entry that is in already: an answer of Redis got lost.
                if isinstance(answer, Exception) and not _is_repeated(answer):
                    raise answer
            return int(taken or 0)

    def read(self, after: int) -> tuple[list[Shipped], int]:
        """Return what follows an entry, waiting for a moment, and the newest number there is.

        Raises:
            UnavailableError: Redis does not answer.
        """
        with _named():
            answer = self._redis.xread(
                {self._stream: f"{after}-0"}, count=READ_LENGTH, block=_BLOCK_MS
            )
            entries = (
                [self._shipped(name, fields) for name, fields in answer[0][1]] if answer else []
            )
            return entries, int(self._redis.get(self._newest) or 0)

    def confirm(self, number: int) -> None:
        """Say up to which entry everything was taken.

        Raises:
            UnavailableError: Redis does not answer.
        """
        with _named():
            self._redis.set(self._taken, number)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def _fields(self, one: Shipped) -> dict[bytes, bytes]:
        at = f"{one.segment_number}:{one.offset}".encode()
        tag = self._seal.tag(JOURNAL, *self._place(one.number), at, one.header, one.raw)
        return {b"at": at, b"h": one.header, b"e": one.raw, b"s": tag}

    def _shipped(self, name: bytes, fields: dict[bytes, bytes]) -> Shipped:
        """Return an entry; a ValueError or KeyError says that it is not one of ours."""
        number = int(name.partition(b"-")[0])
        at, header, raw = fields[b"at"], fields[b"h"], fields[b"e"]
        self._seal.check(fields[b"s"], JOURNAL, *self._place(number), at, header, raw)
        segment, _, offset = at.partition(b":")
        return Shipped(number, int(segment), int(offset), header, raw)

    def _place(self, number: int) -> tuple[bytes, bytes]:
        return self._stream.encode(), str(number).encode()


@contextmanager
def _named() -> Iterator[None]:
    """Give failures of Redis their name."""
    try:
        yield
    except (RedisError, OSError, ValueError, KeyError) as error:
        raise UnavailableError("redis", f"the journal's stream: {error}") from error


def _is_repeated(answer: Exception) -> bool:
    return isinstance(answer, ResponseError) and "equal or smaller" in str(answer)
