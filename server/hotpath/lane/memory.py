"""Everything a lane owns, allocated before it starts; pages are touched only as they are used."""

from __future__ import annotations

import os
import select
from typing import Any, Final, NamedTuple

import numpy as np

from server.hotpath.jit import routine
from server.hotpath.lane import callbacks
from server.hotpath.lane.connection import INBOX_BYTES
from server.hotpath.lane.flush import OUTBOX_BYTES
from server.hotpath.lane.header_pairs import HEADERS_MEMORY_BYTES, prepare_headers_nb
from server.hotpath.lane.judging import DER_BYTES_MAX, JUDGEMENT
from server.hotpath.lane.lane_record import (
    LANE,
    POOL,
    POOL_LARGE,
    POOL_MEDIUM,
    POOL_SMALL,
    POOLS,
    STATUS_NOT_SERVING,
)
from server.hotpath.lane.loop import EVENTS_MAX, TAG_WAKE
from server.hotpath.lane.session_options import new_callbacks, new_options
from server.hotpath.lane.structs import CALL, CONNECTION, EPOLL_EVENT
from server.hotpath.lane.watching import EPOLL_ADD, EPOLL_IN, watch_nb
from server.hotpath.wire.batch import BATCH_BYTES_MAX
from server.hotpath.wire.response import ANSWER_BYTES_MAX

Array = np.ndarray[Any, np.dtype[Any]]

SMALL_INPUT_BYTES: Final = 2_048
# Room for gRPC's prefix, and a multiple of a cache line behind each buffer.
_SLACK_BYTES: Final = 64


class LaneBounds(NamedTuple):
    """What a lane may use at most, and for how long it waits."""

    connections: int = 4_096
    calls: int = 8_192
    streams: int = 512  # streams, and requests with a long text
    batches: int = 64
    idle_ms: int = 600_000
    request_ms: int = 10_000
    drain_ms: int = 5_000
    state_wait_ms: int = 50
    busy_poll_us: int = 0
    request_bytes: int = 65_536
    port_bytes: int = 4 * 1024 * 1024


class LaneMemory(NamedTuple):
    """One lane: its record, its descriptors, and the arrays that the record points to."""

    record: Array  # LANE[1]
    wake_fd: int
    epoll: select.epoll
    calls: Array  # CALL[…]
    parts: tuple[Array, ...]


def new_lane(listen_fd: int, bounds: LaneBounds, *, local_fd: int = -1) -> LaneMemory:
    """Allocate a lane.

    Args:
        listen_fd: Listening, non-blocking socket.
        bounds: What the lane may use.
        local_fd: Another one that never speaks TLS; −1: none.
    """
    epoll = select.epoll()
    wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    pools, memory = _new_pools(bounds)
    parts = {
        "timespec": np.zeros(2, np.int64),
        "events": np.zeros(EVENTS_MAX, EPOLL_EVENT),
        "inbox": np.zeros(INBOX_BYTES, np.uint8),
        "outbox": np.zeros(OUTBOX_BYTES, np.uint8),
        "headers": np.zeros(HEADERS_MEMORY_BYTES, np.uint8),
        "chunk": np.zeros(max(16, JUDGEMENT.itemsize // 8), np.int64),
        "certificate": np.zeros(DER_BYTES_MAX, np.uint8),
        "connections": np.zeros(bounds.connections, CONNECTION),
        "calls": np.zeros(bounds.calls, CALL),
        "pools": pools,
        "unsent_memory": np.zeros(bounds.connections * OUTBOX_BYTES, np.uint8),
    }
    record = np.zeros(1, LANE)
    for name, part in parts.items():
        record[name] = part.ctypes.data
    numbers = {
        "epoll_fd": epoll.fileno(),
        "listen_fd": listen_fd,
        "local_fd": local_fd,
        "wake_fd": wake_fd,
        "may_listen": 1,
        "health": STATUS_NOT_SERVING,
        "connections_max": bounds.connections,
        "calls_max": bounds.calls,
        "idle_ns_max": bounds.idle_ms * 1_000_000,
        "request_ns_max": bounds.request_ms * 1_000_000,
        "drain_ns_max": bounds.drain_ms * 1_000_000,
        "state_wait_ns_max": bounds.state_wait_ms * 1_000_000,
        "busy_poll_ns": bounds.busy_poll_us * 1_000,
        "request_bytes_max": bounds.request_bytes,
        "port_bytes_max": bounds.port_bytes,
        "callbacks": new_callbacks(),
        "options": new_options(),
        "read_answer": callbacks.read_answer.address,
    }
    for name, number in numbers.items():
        record[name] = number
    _prepare_nb(record[0])
    return LaneMemory(record, wake_fd, epoll, parts["calls"], (*parts.values(), *memory))


def _new_pools(bounds: LaneBounds) -> tuple[Array, list[Array]]:
    answer_bytes = _round_up(ANSWER_BYTES_MAX)
    # A stream's window may be full behind the beginning of its longest message.
    stream_bytes = _round_up(bounds.request_bytes + 65_536)
    pools = np.zeros(POOLS, POOL)
    pools[POOL_SMALL] = _pool(SMALL_INPUT_BYTES, answer_bytes, bounds.calls)
    pools[POOL_MEDIUM] = _pool(stream_bytes, 65_536 + answer_bytes, bounds.streams)
    pools[POOL_LARGE] = _pool(
        _round_up(bounds.port_bytes), _round_up(BATCH_BYTES_MAX), bounds.batches
    )
    memory = []
    for pool in pools:
        pair_bytes = int(pool["input_bytes"] + pool["output_bytes"])
        memory.append(np.zeros(int(pool["capacity"]) * pair_bytes, np.uint8))
        pool["memory"] = memory[-1].ctypes.data
    return pools, memory


def _pool(input_bytes: int, output_bytes: int, capacity: int) -> tuple[int, ...]:
    return (0, input_bytes, output_bytes, capacity, 0, 0, 0)


def _round_up(count: int) -> int:
    return (count + 2 * _SLACK_BYTES - 1) // _SLACK_BYTES * _SLACK_BYTES


@routine
def _prepare_nb(lane: Any) -> None:
    prepare_headers_nb(lane)
    watch_nb(lane, lane.wake_fd, EPOLL_IN, TAG_WAKE, EPOLL_ADD)
