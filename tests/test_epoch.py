"""The counter of engine starts never repeats and never guesses."""

from pathlib import Path

import pytest

from server.epoch import EPOCH_FILE, take_epoch
from server.errors import ConfigurationError


def test_take_epoch_when_started_again_then_it_rises_by_one(tmp_path: Path) -> None:
    assert [take_epoch(tmp_path) for _ in range(3)] == [1, 2, 3]
    path = tmp_path / EPOCH_FILE
    assert path.read_text() == "3\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [EPOCH_FILE]


def test_take_epoch_when_an_earlier_start_was_killed_then_its_leftover_does_no_harm(
    tmp_path: Path,
) -> None:
    (tmp_path / f"{EPOCH_FILE}.new").write_text("half")
    assert take_epoch(tmp_path) == 1


@pytest.mark.parametrize("content", ["", "-1", "1.5", "x", "9" * 30, "1 2"])
def test_take_epoch_when_the_file_is_damaged_then_it_refuses(tmp_path: Path, content: str) -> None:
    path = tmp_path / EPOCH_FILE
    path.write_text(content)
    with pytest.raises(ConfigurationError):
        take_epoch(tmp_path)
    assert path.read_text() == content


def test_take_epoch_when_the_directory_is_missing_then_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        take_epoch(tmp_path / "missing")
