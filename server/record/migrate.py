"""Bring a database to the form this release needs: plain SQL files, in order, each exactly once.

An advisory lock keeps two processes from migrating at once; each file runs in its own transaction
together with the row that says so. A file that changed after it was applied is refused, because
nobody can know what the database has.
"""

import re
from hashlib import sha256
from importlib.resources import files
from typing import Final

import psycopg

from server.errors import PreconditionError

# Any constant works; it only has to be the same in every process that migrates.
_ADVISORY_LOCK: Final = 0x7269736B67617465
_CONNECT_TIMEOUT_S: Final = 5
_FOLDER: Final = "migrations"
_LEDGER: Final = """
CREATE SCHEMA IF NOT EXISTS riskgate;
CREATE TABLE IF NOT EXISTS riskgate.schema_migration (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""
_CREATED_TABLE: Final = re.compile(
    r"^CREATE TABLE (?:IF NOT EXISTS )?riskgate\.(\w+)", re.MULTILINE
)


def migrate(database_url: str) -> list[str]:
    """Apply every migration that is missing.

    Returns:
        Names of the files applied now, in order; empty when there was nothing to do.

    Raises:
        PreconditionError: a file that was applied before has changed since.
        psycopg.Error: the database cannot be reached or refuses a statement.
    """
    applied_now: list[str] = []
    with psycopg.connect(
        database_url, connect_timeout=_CONNECT_TIMEOUT_S, autocommit=True
    ) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        connection.execute(_LEDGER)
        rows = connection.execute("SELECT name, sha256 FROM riskgate.schema_migration").fetchall()
        applied: dict[str, str] = dict(rows)
        for name, text in _sources().items():
            digest = sha256(text.encode()).hexdigest()
            if name in applied:
                if applied[name] != digest:
                    raise PreconditionError(f"migration {name} changed after it was applied")
                continue
            with connection.transaction():
                # The files are part of this package, not input.
                connection.execute(text)
                connection.execute(
                    "INSERT INTO riskgate.schema_migration (name, sha256) VALUES (%s, %s)",
                    [name, digest],
                )
            applied_now.append(name)
    return applied_now


def check(database_url: str) -> list[str]:
    """Compare the database with what this release needs; change nothing.

    Returns:
        One sentence per problem: migrations not applied or altered, tables that are missing.
        Empty: all is well.

    Raises:
        psycopg.Error: the database cannot be reached.
    """
    with psycopg.connect(database_url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        found = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'riskgate'"
        ).fetchall()
        tables = {name for (name,) in found}
        applied: dict[str, str] = {}
        if "schema_migration" in tables:
            rows = connection.execute("SELECT name, sha256 FROM riskgate.schema_migration")
            applied = dict(rows.fetchall())
    problems = []
    for name, text in _sources().items():
        if name not in applied:
            problems.append(f"migration {name} is not applied")
        elif applied[name] != sha256(text.encode()).hexdigest():
            problems.append(f"migration {name} changed after it was applied")
        problems += [
            f"table riskgate.{table} is missing"
            for table in _CREATED_TABLE.findall(text)
            if name in applied and table not in tables
        ]
    unknown = sorted(set(applied) - set(_sources()))
    problems += [f"migration {name} is not part of this release" for name in unknown]
    return problems


def _sources() -> dict[str, str]:
    folder = files("server.record").joinpath(_FOLDER)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}
