"""Where things go: long paths, closed parents, foreign folders, lost passwords."""

import shutil
import stat
from pathlib import Path

import psycopg
import pytest

from server.embedded.place import OUTSIDE_ROOT, choose_place, prepare_data_dir
from server.embedded.postgres import EmbeddedPostgres
from server.embedded.redis import EmbeddedRedis
from server.errors import ConfigurationError, EmbeddedServiceError
from tests.embedded.conftest import needs_root


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_start_when_the_path_is_too_long_for_a_socket_then_uses_a_short_private_folder(
    data_dir: Path,
) -> None:
    deep = data_dir / ("x" * 60) / ("y" * 60)
    with EmbeddedPostgres(deep) as postgres, EmbeddedRedis(deep) as service:
        folder = Path(str(psycopg.conninfo.conninfo_to_dict(postgres.url)["host"]))
        assert not folder.is_relative_to(deep)
        assert _mode(folder) == 0o700
        assert service.is_running()
        url = postgres.url
        assert EmbeddedPostgres(deep).url == url, "a guest finds the folder by its record"
    assert not folder.exists()


def test_start_when_the_password_file_was_lost_then_the_application_role_gets_a_new_one(
    data_dir: Path,
) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "keys" / "riskgate.password").unlink()
    with EmbeddedPostgres(data_dir) as postgres, psycopg.connect(postgres.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_start_when_the_superuser_password_was_lost_then_names_the_mend(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "keys" / "postgres.password").unlink()
    with pytest.raises(EmbeddedServiceError) as caught:
        EmbeddedPostgres(data_dir).start()
    assert "postgres.password" in caught.value.mend


def test_prepare_when_the_folder_is_somebody_elses_then_refuses_and_changes_nothing(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="not Riskgate's"):
        prepare_data_dir(tmp_path)
    assert _mode(tmp_path) == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o700])
def test_prepare_when_an_empty_folder_is_open_then_closes_it(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    prepare_data_dir(tmp_path)
    assert _mode(tmp_path) == 0o700


@needs_root
def test_start_when_a_parent_is_closed_then_stands_in_below_var_lib(closed_parent: Path) -> None:
    data_dir = closed_parent / "data"
    with EmbeddedPostgres(data_dir) as postgres, EmbeddedRedis(data_dir) as service:
        root = postgres.place.root
        assert root.parent == OUTSIDE_ROOT
        assert service.place.root == root
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE mark (n int)")
    assert _mode(closed_parent) == 0o700
    assert _mode(data_dir) == 0o700
    closed_parent.chmod(0o755)
    with EmbeddedPostgres(data_dir) as again, psycopg.connect(again.url) as connection:
        assert again.place.root == root, "a stack stays where it was first made"
        assert connection.execute("SELECT count(*) FROM mark").fetchone() == (0,)


@needs_root
def test_start_when_the_data_directory_was_removed_then_never_meets_the_old_database(
    closed_parent: Path,
) -> None:
    data_dir = closed_parent / "data"
    first = choose_place(data_dir, "nobody").root
    shutil.rmtree(data_dir)
    assert choose_place(data_dir, "nobody").root != first


@needs_root
def test_start_when_the_data_directory_is_a_copy_then_refuses_to_share_its_database(
    closed_parent: Path,
) -> None:
    data_dir, copy = closed_parent / "data", closed_parent / "copy"
    root = choose_place(data_dir, "nobody").root
    shutil.copytree(data_dir, copy)
    with pytest.raises(EmbeddedServiceError, match="is a copy"):
        choose_place(copy, "nobody")
    shutil.rmtree(data_dir)
    assert choose_place(copy, "nobody").root == root, "a moved one takes its database along"


@needs_root
def test_start_when_the_service_account_is_missing_or_root_then_refuses(data_dir: Path) -> None:
    for account in ("root", "no-such-account"):
        with pytest.raises(EmbeddedServiceError, match=account):
            EmbeddedPostgres(data_dir, service_user=account).start()


@needs_root
def test_start_when_a_database_became_unreachable_then_names_the_closed_folder(
    data_dir: Path,
) -> None:
    with EmbeddedPostgres(data_dir):
        pass
    data_dir.parent.chmod(0o700)
    with pytest.raises(EmbeddedServiceError) as caught:
        EmbeddedPostgres(data_dir).start()
    assert str(data_dir.parent) in caught.value.problem
    assert _mode(data_dir.parent) == 0o700
