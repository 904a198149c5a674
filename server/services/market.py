"""MarketService: measurements straight to the engines.

Those that the caller wants kept go into the record as well, so that they outlive Redis.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from riskgate.v1 import admin_pb2, market_pb2_grpc
from riskgate.v1 import market_pb2 as pb
from server.entities import ConversionRate, MarketContext
from server.errors import InvalidFieldError
from server.forms.market import read_context, read_rate, write_context, write_rate
from server.measurement import Measurement
from server.record.audit import AuditEntry, record
from server.record.market import MarketRepository, joined
from server.record.measurements import context_measurements, rate_measurement
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import connection
from server.security.caller import current_call
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts


class MarketService(market_pb2_grpc.MarketServiceServicer):
    """Market context and conversion rates; see protos/riskgate/v1/market.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._market = MarketRepository()

    async def Put(
        self, request_iterator: AsyncIterator[pb.MarketServicePutRequest], context: Any
    ) -> pb.MarketServicePutResponse:
        """Take measurements until the caller ends the stream.

        Its row in the audit log stands before the first of them is handed on.
        """
        response = pb.MarketServicePutResponse()
        await record(self._parts.pool, current_call(), AuditEntry(action="put", subject="market"))
        async for request in request_iterator:
            measured = _read(request)
            if request.keep:
                response.outcomes.append(await self._keep(measured))
            parts = (
                context_measurements(measured)
                if isinstance(measured, MarketContext)
                else [rate_measurement(measured)]
            )
            newest = await self._parts.publisher.measure([Measurement(*part) for part in parts])
            if newest:
                response.accepted += 1
            else:
                response.superseded += 1
        return response

    async def ListMarketContexts(
        self, request: pb.ListMarketContextsRequest, context: Any
    ) -> pb.ListMarketContextsResponse:
        """Return a page of kept contexts."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        async with connection(self._parts.pool) as database:
            found = await self._market.contexts(database, after=after, limit=limit)
        contexts = [joined(parts) for parts in found]
        return pb.ListMarketContextsResponse(
            contexts=map(write_context, contexts),
            next_page_token=encode_token([contexts[-1].symbol]) if len(found) == limit else "",
        )

    async def ListConversionRates(
        self, request: pb.ListConversionRatesRequest, context: Any
    ) -> pb.ListConversionRatesResponse:
        """Return a page of kept rates."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        async with connection(self._parts.pool) as database:
            found = await self._market.rates(database, after=after, limit=limit)
        last = found[-1] if len(found) == limit else None
        return pb.ListConversionRatesResponse(
            rates=map(write_rate, found),
            next_page_token=encode_token([last.from_currency, last.to_currency]) if last else "",
        )

    async def _keep(self, measured: MarketContext | ConversionRate) -> admin_pb2.ChangeOutcome:
        async with connection(self._parts.pool) as database:
            if isinstance(measured, MarketContext):
                changed = await self._market.keep_context(database, measured)
            else:
                changed = await self._market.keep_rate(database, measured)
        if changed is None:
            return CREATED
        return UPDATED if changed else UNCHANGED


def _read(request: pb.MarketServicePutRequest) -> MarketContext | ConversionRate:
    now = datetime.now(UTC)
    match request.WhichOneof("item"):
        case "context":
            return read_context(request.context, now)
        case "rate":
            return read_rate(request.rate, now)
        case _:
            raise InvalidFieldError("item", "is required")
