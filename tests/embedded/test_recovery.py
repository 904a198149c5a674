"""Kills, restarts and sharing: the services come back, with everything that was committed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import psycopg
import redis as redis_client

from server.embedded.postgres import EmbeddedPostgres
from server.embedded.process import wait_until
from server.embedded.redis import EmbeddedRedis

_OWNER = """
    import sys, time
    from pathlib import Path
    from server.embedded.postgres import EmbeddedPostgres
    from server.embedded.redis import EmbeddedRedis
    postgres, redis = EmbeddedPostgres(Path(sys.argv[1])), EmbeddedRedis(Path(sys.argv[1]))
    postgres.start()
    redis.start()
    sys.stdout.write(f"{postgres.pid} {redis.pid}\\n")
    sys.stdout.flush()
    time.sleep(600)
"""


def _write_rows(url: str, count: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS mark (n int)")
        for n in range(count):
            connection.execute("INSERT INTO mark VALUES (%s)", [n])


def _count_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM mark").fetchone()
    assert row is not None
    return int(row[0])


def test_postgres_when_every_process_is_killed_then_starts_again_with_all_commits(
    data_dir: Path,
) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        _write_rows(postgres.url, 20)
        assert postgres.pid is not None
        family = [psutil.Process(postgres.pid), *psutil.Process(postgres.pid).children()]
        for process in family:
            process.kill()
        assert wait_until(lambda: not postgres.is_running(), timeout_s=5)
        assert (postgres.place.root / "postgres" / "postmaster.pid").exists()
        postgres.start()
        assert _count_rows(postgres.url) == 20


def test_postgres_when_only_the_postmaster_is_killed_then_starts_again(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        _write_rows(postgres.url, 3)
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        assert wait_until(lambda: not postgres.is_running(), timeout_s=5)
        postgres.start()
        assert _count_rows(postgres.url) == 3


def test_postgres_when_its_pid_file_names_a_stranger_then_the_stranger_lives(
    data_dir: Path,
) -> None:
    with EmbeddedPostgres(data_dir) as postgres:
        pid_file = postgres.place.root / "postgres" / "postmaster.pid"
        lines = pid_file.read_text(encoding="ascii").splitlines()
    stranger = subprocess.Popen(["/bin/sleep", "60"])
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n", encoding="ascii")
        with EmbeddedPostgres(data_dir) as again:
            assert again.is_running()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_redis_when_killed_then_starts_again_with_its_keys(data_dir: Path) -> None:
    with EmbeddedRedis(data_dir) as service:
        client = redis_client.Redis.from_url(service.url, socket_timeout=5)
        client.set("mark", "kept")
        client.close()
        assert service.pid is not None
        os.kill(service.pid, signal.SIGKILL)
        assert wait_until(lambda: not service.is_running(), timeout_s=5)
        service.start()
        client = redis_client.Redis.from_url(service.url, socket_timeout=5)
        assert client.get("mark") == b"kept"
        client.close()


def test_services_when_their_owner_is_killed_then_end_and_can_be_started_by_another(
    data_dir: Path,
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_OWNER), str(data_dir)],
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 2
        owner.kill()
    assert wait_until(lambda: not any(_lives(pid) for pid in pids), timeout_s=10)
    with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir) as service:
        assert postgres.pid not in pids
        assert service.pid not in pids


def test_services_when_another_owner_runs_them_then_are_shared_and_left_alone(
    data_dir: Path,
) -> None:
    with EmbeddedPostgres(data_dir) as owner, EmbeddedRedis(data_dir) as redis_owner:
        with EmbeddedPostgres(data_dir) as guest, EmbeddedRedis(data_dir) as redis_guest:
            assert guest.pid is None
            assert redis_guest.pid is None
            assert guest.url == owner.url
            assert redis_guest.url == redis_owner.url
            assert guest.is_running()
            assert redis_guest.is_running()
        assert owner.is_running()
        assert redis_owner.is_running()
        _write_rows(owner.url, 1)


def test_stop_when_started_then_leaves_no_process_behind(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir) as service:
        assert postgres.pid is not None
        pids = [child.pid for child in psutil.Process(postgres.pid).children(recursive=True)]
        pids += [postgres.pid, service.pid or 0]
        assert all(_lives(pid) for pid in pids)
    assert not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    # An orphan whose new parent does not collect it stays visible, but is gone.
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
