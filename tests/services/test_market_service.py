"""MarketService: of a stream of measurements the newest of each part wins; kept ones stay."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from riskgate.v1 import admin_pb2, reference_pb2, state_pb2
from riskgate.v1 import market_pb2 as pb
from server import feed
from server.hotpath import layout
from tests.control_harness import Control, eurusd, play, refusal

CREATED = admin_pb2.CHANGE_OUTCOME_CREATED
UPDATED = admin_pb2.CHANGE_OUTCOME_UPDATED
UNCHANGED = admin_pb2.CHANGE_OUTCOME_UNCHANGED


def context(*, keep: bool = False, **values: Any) -> pb.MarketServicePutRequest:
    measured = pb.MarketContext(**({"symbol": "EURUSD"} | values))
    return pb.MarketServicePutRequest(context=measured, keep=keep)


def rate(*, keep: bool = False, **values: Any) -> pb.MarketServicePutRequest:
    given: dict[str, Any] = {"from_currency": "EUR", "to_currency": "USD", "rate": 1.1} | values
    return pb.MarketServicePutRequest(rate=pb.ConversionRate(**given), keep=keep)


def ago(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.now(UTC) - timedelta(seconds=seconds))
    return stamp


async def put(parts: Control, *requests: pb.MarketServicePutRequest) -> Any:
    async def stream() -> AsyncIterator[pb.MarketServicePutRequest]:
        for request in requests:
            yield request

    return await parts.market.Put(stream())


async def row(parts: Control, key: str) -> Any:
    field = feed.state_field(state_pb2.CHANGE_KIND_MARKET, key)
    data: Any = await parts.redis.hget(feed.STATE_KEY, field)
    message = state_pb2.StateChange.FromString(data)
    assert message.version == 0
    return np.frombuffer(message.rows, dtype=layout.CHANGE_MARKET)[0]


def test_put_when_parts_come_apart_then_each_keeps_its_newest(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        answer = await put(
            parts,
            context(atr=0.001, volatility_index=40),
            context(bid=1.1, ask=1.1001),
            context(atr=0.5, as_of=ago(3_600)),
            context(regime="ranging"),
            rate(),
            rate(rate=9, as_of=ago(3_600)),
        )
        assert (answer.accepted, answer.superseded) == (4, 2)
        assert not answer.outcomes
        assert (await row(parts, "EURUSD/atr"))["atr"] == 0.001
        assert (await row(parts, "EURUSD/quote"))["ask"] == 1.1001
        assert (await row(parts, "EURUSD/volatility"))["volatility_index"] == 40
        assert layout.text((await row(parts, "EURUSD/regime"))["regime"]) == "ranging"
        listed = await parts.market.ListMarketContexts(pb.ListMarketContextsRequest())
        assert not listed.contexts

    play(database_url, redis_url, tmp_path, scenario)


def test_put_when_kept_then_recorded_with_the_time_of_each_part_and_without_a_version(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        await parts.reference.PutInstrument(reference_pb2.PutInstrumentRequest(instrument=eurusd()))
        await parts.published(1)
        old = ago(600)
        first = await put(parts, context(keep=True, volatility_index=0, as_of=old), rate(keep=True))
        assert list(first.outcomes) == [CREATED, CREATED]
        second = await put(
            parts, context(keep=True, atr=0.002), rate(keep=True), rate(keep=True, rate=1.2)
        )
        assert list(second.outcomes) == [UPDATED, UNCHANGED, UPDATED]
        same = await put(parts, context(keep=True, atr=0.002))
        assert list(same.outcomes) == [UNCHANGED]
        (listed,) = (await parts.market.ListMarketContexts(pb.ListMarketContextsRequest())).contexts
        assert (listed.atr, listed.volatility_index, listed.HasField("bid")) == (0.002, 0, False)
        assert abs(listed.as_of.ToMicroseconds() - old.ToMicroseconds()) < 2
        (kept,) = (await parts.market.ListConversionRates(pb.ListConversionRatesRequest())).rates
        assert kept.rate == 1.2
        assert parts.publisher.published_version == 1

    play(database_url, redis_url, tmp_path, scenario)


BAD = [
    (pb.MarketServicePutRequest(), "item"),
    (context(), "context"),
    (context(symbol="", atr=1), "context.symbol"),
    (context(atr=0), "context.atr"),
    (context(atr=float("nan")), "context.atr"),
    (context(volatility_index=101), "context.volatility_index"),
    (context(bid=1.0), "context.ask"),
    (context(bid=1.2, ask=1.1), "context.bid"),
    (context(regime="r" * 33), "context.regime"),
    (context(atr=1, as_of=Timestamp(seconds=2**40)), "context.as_of"),
    (rate(rate=0), "rate.rate"),
    (rate(rate=None), "rate.rate"),
    (rate(to_currency="EUR"), "rate.to_currency"),
    (rate(from_currency="eur"), "rate.from_currency"),
]


def test_put_when_one_is_bad_then_named_and_those_before_stay(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async def scenario(parts: Control) -> None:
        for number, (bad, field) in enumerate(BAD, start=1):
            good = context(volatility_index=number)
            code, text, named = await refusal(put(parts, good, bad))
            assert (code, named) == (grpc.StatusCode.INVALID_ARGUMENT, field), text
            assert (await row(parts, "EURUSD/volatility"))["volatility_index"] == number
        code, _, _ = await refusal(put(parts, context(keep=True, symbol="NOPE", atr=1)))
        assert code == grpc.StatusCode.FAILED_PRECONDITION

    play(database_url, redis_url, tmp_path, scenario)
