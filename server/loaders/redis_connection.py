"""How a thread opens Redis: every call ends by itself, and none is repeated."""

from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT_S: Final = 2.0


def open_connection(url: str) -> Any:
    """Return a client that answers in bytes; nothing is connected yet."""
    return redis.Redis.from_url(
        url,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        # A Unix socket has no such option, and redis-py refuses it there.
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        max_connections=2,
        decode_responses=False,
        protocol=2,
    )
