"""The engines of a stack that was split, or split into another number, since the last start."""

from pathlib import Path
from typing import Any

import pytest

from server.engine_start import start_engine
from server.settings import load_settings


def start(data_dir: Path, shard: str, durability: str) -> tuple[int, bool]:
    """Start an engine for a moment; return its epoch, and whether it denies new risk at first."""
    capacities: dict[str, Any] = {
        name: 16 for name in load_settings().model_dump() if name.startswith("capacity_")
    }
    settings = load_settings(
        data_dir=data_dir,
        shard=shard,
        durability=durability,
        journal_segment_bytes=1 << 20,
        **capacities,
    )
    started = start_engine(settings)
    try:
        engine = started.engine.state.engine[0]
        return int(engine["epoch"]), bool(engine["restarted"])
    finally:
        started.close()


@pytest.mark.parametrize("durability", ["memory", "process"])
def test_start_when_the_stack_is_split_anew_then_no_hold_of_before_is_overlooked(
    tmp_path: Path, durability: str
) -> None:
    assert start(tmp_path, "0/1", durability) == (1, False)
    # Account by account, the two do not know what the one has let go.
    assert start(tmp_path, "0/2", durability) == (1, True)
    assert start(tmp_path, "1/2", durability) == (1, True)
    assert {path.name for path in tmp_path.glob("epoch*")} == {"epoch", "epoch-0of2", "epoch-1of2"}
    if durability == "process":
        folders = {path.name for path in tmp_path.glob("journal*")}
        assert folders == {"journal", "journal-0of2", "journal-1of2"}


def test_start_when_the_stack_was_split_from_the_beginning_then_all_is_known(
    tmp_path: Path,
) -> None:
    assert start(tmp_path, "0/2", "process") == (1, False)
    assert start(tmp_path, "1/2", "process") == (1, False)
    assert start(tmp_path, "1/2", "process") == (2, False)
