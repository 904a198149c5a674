"""Rows S0-82, S0-84, T17: encrypted columns show nothing, cannot be swapped, outlive their keys."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.record import sealed_fields
from server.record.migrate import migrate
from server.record.pool import Pool, connection, open_pool
from server.record.sealed_fields import (
    COLUMNS,
    KEY_AGE_S_MIN,
    MODEL_PARAMETERS,
    SECOND_FACTOR_SECRET,
    rotate_keys,
)
from server.security.field_encryption import KeyRing, Place
from server.trust_errors import SealedValueError

MARKER = b"planted marker"
URIS = tuple(f"spiffe://riskgate/admin/person-{number:04d}" for number in range(1_200))
MODEL = ("slippage", "1.0.0")


@pytest.fixture
def migrated(database_url: str) -> str:
    with psycopg.connect(database_url, autocommit=True) as opened:
        opened.execute("DROP SCHEMA IF EXISTS riskgate CASCADE")
    migrate(database_url)
    return database_url


def run(url: str, scenario: Callable[[Pool], Awaitable[Any]]) -> Any:
    async def with_pool() -> Any:
        async with open_pool(url) as pool:
            return await scenario(pool)

    return asyncio.run(with_pool())


def write(url: str, ring: KeyRing, uris: tuple[str, ...] = URIS) -> None:
    """Write a secret for each, and a model with parameters."""
    secrets = [
        (uri, ring.seal(SECOND_FACTOR_SECRET.place(uri), MARKER + uri.encode())) for uri in uris
    ]
    with psycopg.connect(url, autocommit=True) as opened, opened.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO riskgate.second_factor (uri, secret, last_step) VALUES (%s, %s, 0)",
            secrets,
        )
        cursor.execute(
            "INSERT INTO riskgate.model_version (purpose, version, algorithm, digest, author,"
            " manifest, sealed_parameters) VALUES (%s, %s, 'x', %s, 'anna', '{}', %s)",
            [*MODEL, bytes(32), ring.seal(MODEL_PARAMETERS.place(*MODEL), MARKER)],
        )


def read(url: str) -> dict[Place, bytes]:
    """Return every sealed value as it stands."""
    found = {}
    with psycopg.connect(url) as opened:
        for column in COLUMNS:
            # Names of our own code.
            keys = ", ".join(column.key)
            query: Any = f"SELECT {keys}, {column.column} FROM riskgate.{column.table}"  # noqa: S608
            for *key, sealed in opened.execute(query).fetchall():
                found[column.place(*key)] = bytes(sealed)
    return found


def test_the_columns_named_are_all_that_the_migrations_say_are_encrypted(migrated: str) -> None:
    with psycopg.connect(migrated) as opened:
        rows = opened.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE"
            " table_schema = 'riskgate' AND data_type = 'bytea'"
            " AND (column_name LIKE '%secret%' OR column_name LIKE '%sealed%')"
        ).fetchall()
    assert sorted(rows) == sorted((column.table, column.column) for column in COLUMNS)


def test_all_old_values_are_read_after_two_new_keys(migrated: str, tmp_path: Path) -> None:
    ring = KeyRing.ensure(tmp_path)
    write(migrated, ring)
    first = ring.list_keys()[0].key_id

    async def rotate(pool: Pool) -> Any:
        return await rotate_keys(pool, ring, now_s=time.time())

    before = read(migrated)
    done = run(migrated, rotate)
    after = read(migrated)
    assert done.values == len(URIS) + 1
    assert done.newest == ring.list_keys()[0].key_id.hex() != first.hex()
    assert before.keys() == after.keys()
    for place, sealed in after.items():
        assert sealed != before[place]
        assert ring.open(place, sealed) == ring.open(place, before[place])
    # Another process may just have sealed with the first key: it is still there.
    assert done.forgotten == ()
    assert first in {key.key_id for key in ring.list_keys()}

    async def rotate_later(pool: Pool) -> Any:
        return await rotate_keys(pool, ring, now_s=time.time() + KEY_AGE_S_MIN + 1)

    later = run(migrated, rotate_later)
    assert first.hex() in later.forgotten
    assert first not in {key.key_id for key in ring.list_keys()}
    for place, sealed in read(migrated).items():
        assert ring.open(place, sealed).startswith(MARKER)


def test_a_value_that_comes_with_an_old_key_during_a_rotation_keeps_its_key(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = KeyRing.ensure(tmp_path)
    first = ring.list_keys()[0].key_id
    late = ring.seal(SECOND_FACTOR_SECRET.place(URIS[0]), MARKER)
    forget = sealed_fields._forget_unused

    async def forget_after_it_came(pool: Pool, ring: KeyRing, now_s: float) -> tuple[str, ...]:
        async with connection(pool) as database:
            await database.execute(
                "INSERT INTO riskgate.second_factor (uri, secret, last_step) VALUES (%s, %s, 0)",
                [URIS[0], late],
            )
        return await forget(pool, ring, now_s)

    async def rotate_twice(pool: Pool) -> None:
        # However long ago the key was replaced.
        later_s = time.time() + KEY_AGE_S_MIN + 1
        with monkeypatch.context() as patch:
            patch.setattr(sealed_fields, "_forget_unused", forget_after_it_came)
            assert (await rotate_keys(pool, ring, now_s=later_s)).forgotten == ()
        done = await rotate_keys(pool, ring, now_s=later_s)
        assert (done.values, first.hex() in done.forgotten) == (1, True)

    run(migrated, rotate_twice)
    ((place, sealed),) = read(migrated).items()
    assert ring.open(place, sealed) == MARKER


def test_rotations_at_once_lose_nothing(migrated: str, tmp_path: Path) -> None:
    write(migrated, KeyRing.ensure(tmp_path), URIS[:20])

    async def rotate(pool: Pool) -> None:
        rings = [KeyRing.load(tmp_path) for _ in range(4)]
        await asyncio.gather(*(rotate_keys(pool, each, now_s=time.time()) for each in rings))

    run(migrated, rotate)
    ring = KeyRing.load(tmp_path)
    assert len(ring.list_keys()) == 5
    for place, sealed in read(migrated).items():
        assert ring.open(place, sealed).startswith(MARKER)


def test_a_damaged_value_stops_a_rotation_that_then_changes_no_row(
    migrated: str, tmp_path: Path
) -> None:
    ring = KeyRing.ensure(tmp_path)
    write(migrated, ring, URIS[:5])
    with psycopg.connect(migrated, autocommit=True) as opened:
        opened.execute(
            "UPDATE riskgate.second_factor SET secret = set_byte(secret, 30,"
            " (get_byte(secret, 30) + 1) %% 256) WHERE uri = %s",
            [URIS[2]],
        )
    before = read(migrated)

    async def rotate(pool: Pool) -> None:
        with pytest.raises(SealedValueError, match="was changed"):
            await rotate_keys(pool, ring, now_s=time.time())

    run(migrated, rotate)
    assert read(migrated) == before


def test_values_swapped_between_rows_and_tables_are_refused(migrated: str, tmp_path: Path) -> None:
    ring = KeyRing.ensure(tmp_path)
    write(migrated, ring, URIS[:3])
    values = read(migrated)
    swapped = [(place, values[other]) for place in values for other in values if place != other]
    assert len(swapped) == 12
    for place, sealed in swapped:
        with pytest.raises(SealedValueError, match="another place"):
            ring.open(place, sealed)


def test_no_table_holds_the_plain_text(migrated: str, tmp_path: Path) -> None:
    write(migrated, KeyRing.ensure(tmp_path), URIS[:5])
    shown = re.compile(b"|".join([re.escape(MARKER), MARKER.hex().encode()]))
    with psycopg.connect(migrated) as opened:
        tables = opened.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'riskgate'"
            " AND table_type = 'BASE TABLE'"
        ).fetchall()
        for (table,) in tables:
            dump: Any = f"COPY (SELECT * FROM riskgate.{table}) TO STDOUT"  # noqa: S608
            with opened.cursor() as cursor, cursor.copy(dump) as rows:
                assert not any(shown.search(bytes(row)) for row in rows), table
