"""Admin changes: versions without gaps, nothing left behind by a failure, outages named."""

import asyncio

import psycopg
import pytest

from riskgate.v1 import state_pb2
from server.errors import (
    AlreadyExistsError,
    InvalidFieldError,
    PreconditionError,
    UnavailableError,
)
from server.record.admin_change import Note, admin_change
from server.record.migrate import migrate
from server.record.outbox import Outbox
from server.record.pool import connection, open_pool

WRITERS = 8
CHANGES_EACH = 25
KIND = state_pb2.CHANGE_KIND_ACCOUNT


@pytest.fixture
def migrated(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


def test_admin_change_when_eight_write_at_once_then_versions_have_no_gaps(migrated: str) -> None:
    async def run() -> tuple[list[int], list[int]]:
        async with open_pool(migrated) as pool:
            outbox = Outbox(pool)
            seen: list[int] = []

            async def write(writer: int) -> None:
                for number in range(CHANGES_EACH):
                    try:
                        async with admin_change(pool, Note(actor=f"w{writer}")) as change:
                            await change.publish(KIND, f"{writer}-{number}", b"row")
                            if number % 5 == writer % 5:
                                raise RuntimeError("changed my mind")
                    except RuntimeError:
                        continue

            async def read() -> None:
                # What a publisher sees while others commit: never a version before its predecessor.
                while len(seen) < WRITERS * CHANGES_EACH * 4 // 5:
                    found = await outbox.after(seen[-1] if seen else 0, 7)
                    seen.extend(entry.version for entry in found)

            async with asyncio.timeout(60):
                await asyncio.gather(read(), *(write(writer) for writer in range(WRITERS)))
            stored = [entry.version for entry in await outbox.after(0, 1_000)]
        return seen, stored

    seen, stored = asyncio.run(run())
    expected = list(range(1, WRITERS * CHANGES_EACH * 4 // 5 + 1))
    assert seen == expected
    assert stored == expected


def test_admin_change_when_block_raises_then_leaves_nothing(migrated: str) -> None:
    async def run() -> tuple[int, int]:
        async with open_pool(migrated) as pool:
            try:
                async with admin_change(pool, Note()) as change:
                    await change.audit("create", "account", "A", new={"a": 1})
                    await change.publish(KIND, "A", b"row")
                    raise RuntimeError("no")
            except RuntimeError:
                pass
            async with connection(pool) as database:
                cursor = await database.execute("SELECT count(*) AS n FROM riskgate.audit_log")
                row = await cursor.fetchone()
            return row["n"] if row else -1, await Outbox(pool).newest_version()

    assert asyncio.run(run()) == (0, 0)


def test_outbox_when_entity_changed_twice_then_latest_of_each_has_the_last(migrated: str) -> None:
    async def run() -> list[tuple[int, str]]:
        async with open_pool(migrated) as pool:
            for key in ("A", "B", "A"):
                async with admin_change(pool, Note()) as change:
                    await change.publish(KIND, key, b"row")
            found = await Outbox(pool).latest_of_each(KIND, "", 10)
            return [(entry.version, entry.key) for entry in found]

    assert asyncio.run(run()) == [(3, "A"), (2, "B")]


def test_connection_when_postgres_is_not_there_then_unavailable() -> None:
    async def run() -> None:
        async with (
            open_pool("postgresql://nobody@127.0.0.1:1/none") as pool,
            connection(pool),
        ):
            pass

    with pytest.raises(UnavailableError):
        asyncio.run(run())


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        (
            """INSERT INTO riskgate.policy (version, digest, body)
            VALUES ('1.0.0', decode(repeat('00', 32), 'hex'), '{}'),
            ('1.0.0', decode(repeat('01', 32), 'hex'), '{}')""",
            AlreadyExistsError,
        ),
        (
            "INSERT INTO riskgate.market_context (symbol) VALUES ('NOPE')",
            PreconditionError,
        ),
        ("UPDATE riskgate.state_version SET version = -1", InvalidFieldError),
        ("SELECT 1 / 0", InvalidFieldError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", UnavailableError),
    ],
)
def test_connection_when_database_refuses_then_our_error_without_its_text(
    migrated: str, statement: str, error: type[Exception]
) -> None:
    async def run() -> None:
        async with open_pool(migrated) as pool, connection(pool) as database:
            await database.execute(statement)

    with pytest.raises(error) as refused:
        asyncio.run(run())
    assert "riskgate." not in refused.value.public_message()  # type: ignore[attr-defined]
