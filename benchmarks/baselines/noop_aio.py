"""The Python baseline: a grpc.aio server of riskgate.v1.DecisionService that does no work.

`python -m benchmarks.baselines.noop_aio HOST:PORT`. Bytes in, the same bytes out each time; neither
parses nor encodes. A stream answers with the tag of the question.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import grpc
import grpc.aio

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2

SERVICE_NAME: Final = "riskgate.v1.DecisionService"
_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

Context = grpc.aio.ServicerContext[bytes, bytes]


def _fixed_answer() -> pb.DecideResponse:
    """Return an answer as large as one of the engine."""
    answer = pb.DecideResponse(
        decision_id=1_234_567,
        epoch=1,
        verdict=types_pb2.VERDICT_ALLOW,
        lot_size=0.25,
        sl_buffer_pips=0.5,
        stop_price=1.09795,
        trailing_stop_distance=0.0015,
        predicted_slippage_pips=0.2,
        sizing_slippage_pips=0.7,
        performance_score=87.5,
        score_multiplier=1.35,
        largest_passing_lots=3.21,
        model_version="1.0.0",
        model_digest=b"m" * 32,
        policy_version="1.0.0",
        policy_digest=b"p" * 32,
        mode=types_pb2.MODE_NORMAL,
        durability=types_pb2.DURABILITY_MEMORY,
        state_version=4_711,
        input_ages=pb.InputAges(heartbeat_ms=120, equity_ms=60_000, score_ms=60_000),
        server_ns=1_500,
        session=types_pb2.TRADING_SESSION_LONDON,
    )
    answer.reservation_expires_at.FromNanoseconds(1_800_000_000_123_456_789)
    return answer


ANSWER: Final = _fixed_answer()
_ANSWER_BYTES: Final = ANSWER.SerializeToString()


async def _decide(_raw: bytes, _context: Context) -> bytes:
    return _ANSWER_BYTES


async def _decide_batch(raw: bytes, _context: Context) -> bytes:
    count = len(pb.DecideBatchRequest.FromString(raw).requests)
    item = pb.BatchResult(response=ANSWER)
    return pb.DecideBatchResponse(results=[item] * count).SerializeToString()


async def _decide_stream(requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
    async for raw in requests:
        tag = pb.DecideStreamRequest.FromString(raw).tag
        yield pb.DecideStreamResponse(tag=tag, response=ANSWER).SerializeToString()


async def _serve(address: str) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    options = [
        ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
        ("grpc.so_reuseport", 0),
    ]
    server = grpc.aio.server(options=options)
    handlers = {
        "Decide": grpc.unary_unary_rpc_method_handler(_decide),
        "DecideBatch": grpc.unary_unary_rpc_method_handler(_decide_batch),
        "DecideStream": grpc.stream_stream_rpc_method_handler(_decide_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))
    server.add_insecure_port(address)
    await server.start()
    await stop.wait()
    await server.stop(1.0)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
