"""Seeded damage: to bytes, and to sessions made of frames."""

import random

from riskgate.v1 import decision_pb2 as pb
from tests.decision_harness import good_request
from tests.hotpath.lane.hostile.besieged import REQUEST
from tests.hotpath.lane.raw_http2 import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    SETTINGS,
    data,
    frame,
    greeting,
    header_block,
    message,
    open_call,
    reset,
    split_frames,
    unary,
    window_update,
)

RAW_BATCH = pb.DecideBatchRequest(
    requests=[good_request(dry_run=True, client_order_id=f"o{n}") for n in range(4)]
).SerializeToString()
RAW_REPORT = pb.ReportExecutionRequest(
    report=pb.ExecutionReport(account_id="A", client_order_id="o1", report_id="r1")
).SerializeToString()
RAW_ITEM = pb.DecideStreamRequest(tag=7, request=REQUEST).SerializeToString()


def good_sessions() -> list[bytes]:
    """Return what well-behaved clients send, one of each kind."""
    raw = REQUEST.SerializeToString()
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, header_block([("x-last", "1")]))
    return [
        greeting() + unary(1, raw) + frame(SETTINGS, ACK) + unary(3, raw) + unary(5, raw),
        greeting((INITIAL_WINDOW_SIZE, 1 << 20))
        + window_update(0, 1 << 20)
        + unary(1, RAW_BATCH, "DecideBatch")
        + unary(3, RAW_REPORT, "ReportExecution"),
        greeting()
        + open_call(1, "DecideStream")
        + b"".join(data(1, message(RAW_ITEM)) for _ in range(4))
        + unary(3, b"", "/grpc.health.v1.Health/Check")
        + data(1, message(RAW_ITEM), end=True),
        greeting((INITIAL_WINDOW_SIZE, 10))
        + unary(1, b"", "/grpc.health.v1.Health/Watch")
        + unary(3, raw, grpc_timeout="1S")
        + window_update(3, 1_000)
        + reset(1),
        greeting()
        + frame(PING, payload=b"12345678")
        + open_call(1, x_metadata="v" * 300)
        + data(1, message(raw))
        + trailers
        + unary(3, raw, "SyncAccount")
        + unary(5, raw, "AckDirective"),
    ]


def damage_bytes(source: random.Random, raw: bytes, most: int = 4) -> bytes:
    """Return bytes with a few of them changed, cut out, doubled or put in."""
    found = bytearray(raw)
    for _ in range(source.randint(1, most)):
        at = source.randrange(len(found) + 1)
        size = source.choice((1, 1, 1, 2, 4, 9, 40))
        kind = source.randrange(5)
        if kind == 0 and at < len(found):
            found[at] ^= 1 << source.randrange(8)
        elif kind == 1 and at < len(found):
            found[at] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))
        elif kind == 2:
            del found[at : at + size]
        elif kind == 3:
            found[at:at] = found[at : at + size]
        else:
            found[at:at] = source.randbytes(size)
    return bytes(found)


def damage_session(source: random.Random, raw: bytes) -> bytes:
    """Return a session with frames lost, doubled, moved, cut or damaged, or raw bytes damaged."""
    if source.random() < 0.4:
        return damage_bytes(source, raw)
    parts = split_frames(raw)
    for _ in range(source.randint(1, 3)):
        at, other = source.randrange(len(parts)), source.randrange(len(parts))
        kind = source.randrange(6)
        if kind == 0 and len(parts) > 1:
            del parts[at]
        elif kind == 1:
            parts.insert(other, parts[at])
        elif kind == 2:
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 3:
            parts = [*parts[:at], parts[at][: source.randrange(len(parts[at]) + 1)]]
        elif kind == 4 and len(parts[at]) >= 9:
            # Only the header of the frame: its length, kind, flags or stream.
            parts[at] = damage_bytes(source, parts[at][:9], 1) + parts[at][9:]
        else:
            parts[at] = damage_bytes(source, parts[at])
        parts = parts or [b""]
    return b"".join(parts)
