"""Rows of signal providers with the figures behind their scores."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Final

from psycopg.rows import DictRow

from server.entities import Provider, ProviderFigures
from server.record import rows
from server.record.pool import Database

_TABLE: Final = "provider"


class ProviderRepository:
    """Providers by id and type: one id of two types is two providers."""

    async def get(
        self, database: Database, provider_id: str, provider_type: str
    ) -> Provider | None:
        """Return the provider, or None."""
        key = {"provider_id": provider_id, "provider_type": provider_type}
        row = await rows.find(database, _TABLE, key)
        return None if row is None else _provider(row)

    async def page(
        self, database: Database, *, after: Sequence[str] | None, limit: int
    ) -> list[Provider]:
        """Return providers ordered by id and type."""
        order = ["provider_id", "provider_type"]
        found = await rows.page(database, _TABLE, order, after=after, limit=limit)
        return [_provider(row) for row in found]

    async def put(self, database: Database, provider: Provider) -> None:
        """Create or replace the provider."""
        key = {"provider_id": provider.provider_id, "provider_type": provider.provider_type}
        values = {
            "performance_score": provider.performance_score,
            "score_as_of": provider.score_as_of,
            **asdict(provider.figures),
            "updated_at": datetime.now(UTC),
        }
        await rows.upsert(database, _TABLE, key, values)


def _provider(row: DictRow) -> Provider:
    figures = ProviderFigures(**{field.name: row[field.name] for field in fields(ProviderFigures)})
    return Provider(
        provider_id=row["provider_id"],
        provider_type=row["provider_type"],
        performance_score=row["performance_score"],
        score_as_of=row["score_as_of"],
        figures=figures,
    )
