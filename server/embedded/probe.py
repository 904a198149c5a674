"""Ask PostgreSQL and Redis, embedded or not, whether they serve; for the doctor only.

Every question has a timeout of two seconds and changes nothing.
"""

from dataclasses import dataclass
from typing import cast

import psycopg
import redis

from server.errors import UnavailableError
from server.feed import STREAM_KEY, VERSION_KEY
from server.record.migrate import check as check_migrations

_TIMEOUT_S = 2


@dataclass(frozen=True)
class FeedState:
    """What Redis says about the publisher.

    Attributes:
        version: Newest published state version; None when nothing was published yet.
        entry_age_ms: Age of the newest entry of the change stream, by the clock of Redis; None
            when the stream is empty. Heartbeats are entries, so this is their age at most.
    """

    version: int | None
    entry_age_ms: int | None


def check_database(url: str) -> str:
    """Return the version of the PostgreSQL server.

    Raises:
        UnavailableError: It cannot be reached; the story says why, without the URL.
    """
    try:
        with psycopg.connect(url, connect_timeout=_TIMEOUT_S) as connection:
            number = connection.info.server_version
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        raise UnavailableError("database", str(error).strip()) from error
    return f"{number // 10_000}.{number % 10_000}"


def check_schema(url: str) -> list[str]:
    """Return what the database lacks for this release, one sentence for each; empty: nothing.

    Raises:
        UnavailableError: It cannot be reached; the story says why, without the URL.
    """
    try:
        return check_migrations(url)
    except psycopg.Error as error:
        raise UnavailableError("database", str(error).strip()) from error


def read_feed(url: str) -> FeedState:
    """Return what Redis holds of the change stream.

    Raises:
        UnavailableError: It cannot be reached; the story says why.
    """
    client = redis.Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=None
    )
    try:
        seconds, microseconds = client.time()
        version = cast("bytes | None", client.get(VERSION_KEY))
        entries = cast("list[tuple[bytes, object]]", client.xrevrange(STREAM_KEY, count=1))
    except redis.RedisError as error:
        raise UnavailableError("redis", str(error)) from error
    finally:
        client.close()
    age_ms = None
    if entries:
        written_ms = int(entries[0][0].split(b"-")[0])
        age_ms = max(0, seconds * 1_000 + microseconds // 1_000 - written_ms)
    return FeedState(None if version is None else int(version), age_ms)
