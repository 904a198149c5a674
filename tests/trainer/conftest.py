"""Rows for the trainer's tests: simulated always, real where they lie beside the repository."""

from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.record.migrate import migrate
from trainer.evaluate import select_stop_losses
from trainer.release import ReleasePlan, release_slippage
from trainer.rows import StopFill
from trainer.simulate import SimulatedMarket, simulate_market, write_market
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
def market_dir(market: SimulatedMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    write_market(market, folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> DataFolder:
    if not REAL_DATA.is_dir():
        pytest.skip("the recorded data (../shared/data beside the repository) are not here")
    return open_folder(REAL_DATA)


@pytest.fixture
def record_url(database_url: str) -> str:
    """A migrated record in a real PostgreSQL, with none of the trainer's rows in it."""
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "TRUNCATE riskgate.trade, riskgate.stop_fill, riskgate.bar, riskgate.provider_metric"
        )
    return database_url
