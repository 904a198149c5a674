"""Rows for the trainer's tests: simulated ones always, real ones where they lie beside the repository."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from psycopg.conninfo import make_conninfo

from server.record.migrate import migrate
from trainer.evaluate import select_stop_losses
from trainer.release import ReleasePlan, release_slippage
from trainer.rows import StopFill
from trainer.simulate import SimulatedMarket, simulate_market
from trainer.source import DataFolder, open_folder

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def market() -> SimulatedMarket:
    return simulate_market(seed=11, trade_count=1_600)


@pytest.fixture(scope="session")
def stop_losses(market: SimulatedMarket) -> list[StopFill]:
    return select_stop_losses(market.fills)


@pytest.fixture(scope="session")
def author_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def release_dir(
    market: SimulatedMarket, author_key: Ed25519PrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("release") / "artifact"
    release_slippage(market.fills, out, author_key, ReleasePlan())
    return out


@pytest.fixture(scope="session")
def real_data() -> DataFolder:
    if not REAL_DATA.is_dir():
        pytest.skip("the recorded data (../shared/data beside the repository) are not here")
    return open_folder(REAL_DATA)


@pytest.fixture
def record_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated, empty database of its own in a real PostgreSQL."""
    server = os.environ.get("RISKGATE_TEST_DATABASE_URL") or _ask_for_database(request)
    name = sql.Identifier(database := f"trainer_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    url = make_conninfo(server, dbname=database)
    migrate(url)
    yield url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _ask_for_database(request: pytest.FixtureRequest) -> str:
    try:
        return str(request.getfixturevalue("database_url"))
    except pytest.FixtureLookupError:
        pytest.skip("no PostgreSQL: set RISKGATE_TEST_DATABASE_URL")
