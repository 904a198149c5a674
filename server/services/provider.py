"""ProviderService: signal providers, their figures and scores."""

from datetime import UTC, datetime
from typing import Any, Final

from riskgate.v1 import provider_pb2 as pb
from riskgate.v1 import provider_pb2_grpc, state_pb2
from server import feed
from server.changes import provider_rows
from server.entities import Provider, ProviderFigures
from server.errors import InvalidFieldError, NotFoundError
from server.forms import fields
from server.forms.provider import read_key, read_metric, read_provider, write_provider
from server.record.admin_change import AdminChange, admin_change
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import connection
from server.record.provider_metrics import ProviderMetricRepository
from server.record.providers import ProviderRepository
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts, outcome_word

_METRICS_MAX: Final = 1_000


class ProviderService(provider_pb2_grpc.ProviderServiceServicer):
    """Providers; see protos/riskgate/v1/provider.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._providers = ProviderRepository()
        self._metrics = ProviderMetricRepository()

    async def PutProvider(
        self, request: pb.PutProviderRequest, context: Any
    ) -> pb.PutProviderResponse:
        """Create or replace a provider."""
        message = fields.require(request, "provider")
        provider_id, provider_type = read_key(message, "provider")
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            old = await self._providers.get(change.database, provider_id, provider_type)
            provider = read_provider(message, old, datetime.now(UTC))
            outcome = CREATED if old is None else UPDATED
            if old == provider:
                outcome = UNCHANGED
            else:
                await self._write(change, outcome_word(outcome), old, provider)
        self._parts.publisher.wake()
        return pb.PutProviderResponse(
            provider=write_provider(provider), outcome=outcome, state_version=change.version
        )

    async def GetProvider(
        self, request: pb.GetProviderRequest, context: Any
    ) -> pb.GetProviderResponse:
        """Return one provider."""
        provider_id, provider_type = read_key(request)
        async with connection(self._parts.pool) as database:
            provider = await self._providers.get(database, provider_id, provider_type)
        if provider is None:
            raise NotFoundError("provider", provider_id)
        return pb.GetProviderResponse(provider=write_provider(provider))

    async def ListProviders(
        self, request: pb.ListProvidersRequest, context: Any
    ) -> pb.ListProvidersResponse:
        """Return a page of providers."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        async with connection(self._parts.pool) as database:
            found = await self._providers.page(database, after=after, limit=limit)
        last = found[-1] if len(found) == limit else None
        return pb.ListProvidersResponse(
            providers=map(write_provider, found),
            next_page_token=encode_token([last.provider_id, last.provider_type]) if last else "",
        )

    async def PutProviderMetrics(
        self, request: pb.PutProviderMetricsRequest, context: Any
    ) -> pb.PutProviderMetricsResponse:
        """Store metrics of whole periods, all or none, and move the scores they give."""
        if not 0 < len(request.metrics) <= _METRICS_MAX:
            raise InvalidFieldError("metrics", f"must have 1 to {_METRICS_MAX} entries")
        metrics = [
            read_metric(metric, f"metrics[{position}]")
            for position, metric in enumerate(request.metrics)
        ]
        response = pb.PutProviderMetricsResponse()
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            touched: set[tuple[str, str]] = set()
            for metric in metrics:
                if await self._metrics.put(change.database, metric):
                    response.written += 1
                    touched.add((metric.provider_id, metric.provider_type))
                else:
                    response.unchanged += 1
            for provider_id, provider_type in sorted(touched):
                response.scores_moved += await self._move_score(change, provider_id, provider_type)
            if touched:
                counts = {"written": response.written, "unchanged": response.unchanged}
                await change.audit("put", "provider_metric", "batch", new=counts)
        self._parts.publisher.wake()
        response.state_version = change.version
        return response

    async def _move_score(self, change: AdminChange, provider_id: str, provider_type: str) -> bool:
        """Give a provider the score of its newest period; False when it has it."""
        points = await self._metrics.newest_score(change.database, provider_id, provider_type)
        old = await self._providers.get(change.database, provider_id, provider_type)
        if points is None or (old is not None and old.performance_score == points):
            return False
        provider = Provider(
            provider_id=provider_id,
            provider_type=provider_type,
            performance_score=points,
            score_as_of=datetime.now(UTC),
            figures=ProviderFigures() if old is None else old.figures,
        )
        await self._write(change, "create" if old is None else "update", old, provider)
        return True

    async def _write(
        self, change: AdminChange, action: str, old: Provider | None, provider: Provider
    ) -> None:
        key = feed.provider_key(provider.provider_id, provider.provider_type)
        with fields.inside("provider"):
            rows = provider_rows(provider)
        await self._providers.put(change.database, provider)
        await change.publish(state_pb2.CHANGE_KIND_PROVIDER, key, rows)
        await change.audit(action, "provider", key, old=old, new=provider)
