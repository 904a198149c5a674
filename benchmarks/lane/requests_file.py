"""Random requests with the answers they must get, in a file that the C++ clients read.

Little endian: b"RGREQ001", uint64 count, then for each request uint32 bytes, uint32 offset of the
20 bytes of its client_order_id, uint32 verdict, float64 lots, and the serialised DecideRequest. The
clients replace the id before they send. What must come back is asked of an engine in this process;
where the size was asked for and nothing may cut it, it is known without one.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.lane import world
from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2
from server.journal.calls import CallJournal
from server.services.judge import Judge, Judged
from server.telemetry.decision_counts import DecisionCounts

MAGIC: Final = b"RGREQ001"
ID_WIDTH: Final = 20
_ID_OFFSET: Final = 2  # field 1 comes first: its tag and its length, then the text
_RECORD: Final = struct.Struct("<IIId")
_SMALL, _BY_RISK, _LARGE = range(3)
_SHARES: Final = (0.7, 0.2, 0.1)
_BEATS_AFTER: Final = 1_024
LARGE_LOTS: Final = 9_000.0


def new_requests(count: int, seed: int) -> list[pb.DecideRequest]:
    """Return requests over uniformly random accounts, providers and symbols.

    Seven in ten ask for a small size, two for what the risk money pays, one for too much.
    """
    chance = np.random.default_rng(seed)
    symbols = list(world.PRICES)
    kinds = chance.choice(3, count, p=_SHARES).tolist()
    accounts = chance.integers(0, world.ACCOUNTS, count).tolist()
    providers = chance.integers(0, world.PROVIDERS, count).tolist()
    picks = chance.integers(0, len(symbols), count).tolist()
    sides = chance.integers(1, 3, count).tolist()
    entries = chance.integers(-2_000, 2_001, count).tolist()
    distances = chance.integers(100, 1_000, count).tolist()
    steps = chance.integers(1, 51, count).tolist()
    atrs = chance.uniform(50, 200, count).tolist()
    volatilities = chance.uniform(20, 80, count).tolist()
    made = []
    for index in range(count):
        symbol = symbols[picks[index]]
        tick = world.tick_of(symbol)
        centre = round(world.PRICES[symbol] / float(tick))
        sign = 1 if sides[index] == types_pb2.SIDE_BUY else -1
        entry = centre + entries[index]
        request = pb.DecideRequest(
            client_order_id="0" * ID_WIDTH,
            account_id=world.account_id(accounts[index]),
            connection_id="router-1",
            provider_id=world.provider_id(providers[index]),
            provider_type=types_pb2.PROVIDER_TYPE_CHANNEL_SOURCE,
            symbol=symbol,
            side=sides[index],
            order_type=types_pb2.ORDER_TYPE_LIMIT,
            time_in_force=types_pb2.TIME_IN_FORCE_GTC,
            entry_price=float(entry * tick),
            stop_loss=float((entry - sign * distances[index]) * tick),
            take_profit=float((entry + sign * 2 * distances[index]) * tick),
            atr=atrs[index] * float(tick),
            volatility_index=volatilities[index],
            session=types_pb2.TRADING_SESSION_LONDON,
            signal_id=f"signal-{index:08d}",
            strategy_id="breakout",
        )
        if kinds[index] == _SMALL:
            request.requested_lots = steps[index] / 100
        elif kinds[index] == _LARGE:
            request.requested_lots = LARGE_LOTS
        made.append(request)
    return made


def write_requests(path: Path, count: int, seed: int) -> None:
    """Write `count` requests and what must be answered.

    Raises:
        SystemExit: the engine of this process gave an answer that cannot be right.
    """
    engine = world.new_engine()
    judge = Judge(engine, DecisionCounts(), CallJournal(engine))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(MAGIC + struct.pack("<Q", count))
        for number, request in enumerate(new_requests(count, seed)):
            if number % _BEATS_AFTER == 0:
                engine.submit(world.heartbeat())
                engine.drain(time.time_ns())
            verdict, lots = _expect(judge, request)
            raw = request.SerializeToString()
            if raw[_ID_OFFSET:][:ID_WIDTH] != b"0" * ID_WIDTH:
                raise SystemExit("the client_order_id is not where it should be")
            file.write(_RECORD.pack(len(raw), _ID_OFFSET, verdict, lots) + raw)


def write_h2load_body(path: Path, seed: int) -> None:
    """Write one dry run with its gRPC frame header: h2load sends the same bytes each time."""
    [request] = new_requests(1, seed)
    request.dry_run = True
    raw = request.SerializeToString()
    path.write_bytes(struct.pack(">BI", 0, len(raw)) + raw)


def _expect(judge: Judge, request: pb.DecideRequest) -> tuple[int, float]:
    """Return verdict and lots that a request must get, by a dry run of it.

    Raises:
        SystemExit: the answer cannot be right.
    """
    asked = pb.DecideRequest()
    asked.CopyFrom(request)
    asked.dry_run = True
    judged = judge.judge(asked, time.time_ns())
    if not isinstance(judged, Judged) or judged.response is None:
        raise SystemExit(f"not judged: {judged}")
    answer = judged.response
    if not _is_sound(request, answer):
        raise SystemExit(f"not what was planned:\n{request}\nis answered\n{answer}")
    return answer.verdict, answer.lot_size


def _is_sound(request: pb.DecideRequest, answer: pb.DecideResponse) -> bool:
    if not answer.model_version or answer.mode != types_pb2.MODE_NORMAL:
        return False
    if not request.HasField("requested_lots"):
        return answer.verdict == types_pb2.VERDICT_ALLOW and answer.lot_size > 0
    if request.requested_lots == LARGE_LOTS:
        return answer.verdict == types_pb2.VERDICT_REDUCE and 0 < answer.lot_size < LARGE_LOTS
    return answer.verdict == types_pb2.VERDICT_ALLOW and answer.lot_size == request.requested_lots
