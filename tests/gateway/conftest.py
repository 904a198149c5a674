"""One control process in plaintext for the tests of what the gateway does."""

from collections.abc import Iterator

import pytest

from tests.gateway_process import GatewayProcess, gateway_process


@pytest.fixture(scope="module")
def gateway(
    database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("gateway")
    with gateway_process(database_url, redis_url, folder) as running:
        running.put_account()
        yield running
