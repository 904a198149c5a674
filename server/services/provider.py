"""ProviderService: signal providers, their figures and scores."""

from collections.abc import Container
from datetime import UTC, date, datetime
from typing import Any, Final

from riskgate.v1 import provider_pb2 as pb
from riskgate.v1 import provider_pb2_grpc, state_pb2
from server import feed
from server.changes import provider_rows
from server.entities import Provider
from server.errors import InvalidFieldError, NotFoundError
from server.forms import fields
from server.forms.provider import (
    follow_metric,
    read_key,
    read_metric,
    read_provider,
    write_provider,
)
from server.policy import DEFAULT_POLICY, policy_row
from server.record.admin_change import AdminChange, admin_change
from server.record.paging import decode_token, encode_token, page_size
from server.record.policies import PolicyRepository
from server.record.pool import Database, connection
from server.record.provider_metrics import ProviderMetricRepository
from server.record.providers import ProviderRepository
from server.security.caller import current_call
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts, outcome_word

_METRICS_MAX: Final = 1_000


class ProviderService(provider_pb2_grpc.ProviderServiceServicer):
    """Providers; see protos/riskgate/v1/provider.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._providers = ProviderRepository()
        self._metrics = ProviderMetricRepository()
        self._policies = PolicyRepository()

    async def PutProvider(
        self, request: pb.PutProviderRequest, context: Any
    ) -> pb.PutProviderResponse:
        """Create or replace a provider."""
        message = fields.require(request, "provider")
        provider_id, provider_type = read_key(message, "provider")
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            old = await self._providers.get(change.database, provider_id, provider_type)
            policy = await self._policy_row(change.database)
            provider = read_provider(message, old, datetime.now(UTC), policy)
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
        """Return one provider, of those that the caller may name."""
        provider_id, provider_type = read_key(request)
        current_call().caller.require_provider(provider_id)
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
        response = pb.PutProviderMetricsResponse()
        async with admin_change(self._parts.pool, fields.note(request)) as change:
            policy = await self._policy_row(change.database)
            metrics = [
                read_metric(metric, policy, f"metrics[{position}]")
                for position, metric in enumerate(request.metrics)
            ]
            touched: dict[tuple[str, str], set[tuple[date, date]]] = {}
            for message, stated in zip(request.metrics, metrics, strict=True):
                before = await self._metrics.before(change.database, stated)
                metric = follow_metric(message, stated, before, policy)
                if await self._metrics.put(change.database, metric):
                    response.written += 1
                    key = (metric.provider_id, metric.provider_type)
                    touched.setdefault(key, set()).add((metric.period_start, metric.period_end))
                else:
                    response.unchanged += 1
            for key, periods in sorted(touched.items()):
                response.scores_moved += await self._move_score(change, key, periods)
            if touched:
                counts = {"written": response.written, "unchanged": response.unchanged}
                await change.audit("put", "provider_metric", "batch", new=counts)
        self._parts.publisher.wake()
        response.state_version = change.version
        return response

    async def _policy_row(self, database: Database) -> Any:
        return policy_row(await self._policies.active(database) or DEFAULT_POLICY)[0]

    async def _move_score(
        self, change: AdminChange, key: tuple[str, str], written: Container[tuple[date, date]]
    ) -> bool:
        """Give a provider score and figures of its newest period, if that was written just now.

        Returns:
            Whether the score is another than before.
        """
        newest = await self._metrics.newest(change.database, *key)
        if newest is None or (newest.period_start, newest.period_end) not in written:
            return False
        old = await self._providers.get(change.database, *key)
        provider = Provider(
            provider_id=newest.provider_id,
            provider_type=newest.provider_type,
            performance_score=newest.performance_score,
            score_as_of=datetime.now(UTC),
            figures=newest.figures,
        )
        await self._write(change, "create" if old is None else "update", old, provider)
        return old is None or old.performance_score != provider.performance_score

    async def _write(
        self, change: AdminChange, action: str, old: Provider | None, provider: Provider
    ) -> None:
        key = feed.provider_key(provider.provider_id, provider.provider_type)
        with fields.inside("provider"):
            rows = provider_rows(provider)
        await self._providers.put(change.database, provider)
        await change.publish(state_pb2.CHANGE_KIND_PROVIDER, key, rows)
        await change.audit(action, "provider", key, old=old, new=provider)
