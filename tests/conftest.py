"""What all tests share: one real PostgreSQL and one real Redis for the whole session.

They are the product's own embedded services, started at most once (by the controlling process when
tests run in parallel); every worker gets a database and a Redis index of its own. Services that
already run can be named by RISKGATE_TEST_DATABASE_URL (a role that may create databases) and
RISKGATE_TEST_REDIS_URL; they are then used, and only databases of the name below are touched.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import redis
from hypothesis import settings
from psycopg import sql

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.redis import EmbeddedRedis

# A first call may compile, and machines are busy: time decides no test.
settings.register_profile("riskgate", deadline=None)
settings.load_profile("riskgate")

# What is not about trust is tested without certificates, as the demo runs; processes inherit it.
os.environ.setdefault("RISKGATE_INSECURE_LOOPBACK", "true")

_REDIS_INDEXES = 16
_services_key = pytest.StashKey["SessionServices"]()


class SessionServices:
    """Starts each service when it is first needed, and stops both at the end."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None

    def database_urls(self) -> tuple[str, str]:
        """URLs of a role that may create databases, and of the role that tests act as."""
        named = os.environ.get("RISKGATE_TEST_DATABASE_URL")
        if named:
            return named, named
        if self._postgres is None:
            self._postgres = EmbeddedPostgres(self._data_dir())
            self._postgres.start()
        return self._postgres.admin_url, self._postgres.url

    def redis_url(self) -> str:
        named = os.environ.get("RISKGATE_TEST_REDIS_URL")
        if named:
            return named
        if self._redis is None:
            self._redis = EmbeddedRedis(self._data_dir())
            self._redis.start()
        return self._redis.url

    def stop(self) -> None:
        for service in (self._redis, self._postgres):
            if service is not None:
                service.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _data_dir(self) -> Path:
        # Not below pytest's own folder: that is closed to the account the services run as.
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="riskgate-test-"))
        return self._folder


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_services_key] = SessionServices()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_services_key].stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("RISKGATE_CAMPAIGN") == "1":
        return
    skip = pytest.mark.skip(reason="long campaign: runs with RISKGATE_CAMPAIGN=1 (make test-all)")
    for item in items:
        if item.get_closest_marker("campaign") is not None:
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    # Only in the controlling process of a parallel run: start once, tell every worker where.
    services = node.config.stash[_services_key]
    node.workerinput["database_urls"] = services.database_urls()
    node.workerinput["redis_url"] = services.redis_url()


@pytest.fixture(scope="session")
def database_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of an empty database that belongs to this test process alone."""
    shared = getattr(pytestconfig, "workerinput", {}).get("database_urls")
    admin_url, role_url = shared or pytestconfig.stash[_services_key].database_urls()
    name_text = f"riskgate_test_{_worker_name(pytestconfig)}"
    name = sql.Identifier(name_text)
    owner = sql.Identifier(urlsplit(role_url).username or "")
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name)
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(drop)
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    yield urlunsplit(urlsplit(role_url)._replace(path=f"/{name_text}"))
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(drop)


@pytest.fixture(scope="session")
def redis_url(pytestconfig: pytest.Config) -> str:
    """URL of an empty Redis database that belongs to this test process alone."""
    shared = getattr(pytestconfig, "workerinput", {}).get("redis_url")
    base = shared or pytestconfig.stash[_services_key].redis_url()
    digits = re.sub(r"\D", "", _worker_name(pytestconfig)) or "0"
    index = 1 + int(digits)
    assert index < _REDIS_INDEXES, "more workers than Redis databases"
    # Joined by hand: urlunsplit would drop the empty host of unix:///path.
    url = f"{base.partition('?')[0]}?db={index}"
    client = redis.Redis.from_url(url, socket_timeout=5)
    client.flushdb()
    client.close()
    return url


def _worker_name(config: pytest.Config) -> str:
    return str(getattr(config, "workerinput", {}).get("workerid", "main"))
