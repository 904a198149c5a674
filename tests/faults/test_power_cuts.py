"""The power goes under load: everything that was promised to be on disk is there."""

import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from riskgate.v1 import types_pb2 as types
from server.engine_start import capacity_in
from server.loaders.model_source import ModelSource
from server.replays.restoring import restore_engine
from server.settings import load_settings
from server.shards import JOURNAL_FOLDER, SNAPSHOT_FOLDER
from tests.faults.orders import PADDING_BYTES, Orders, Told
from tests.faults.power import (
    after_power_cut,
    new_disk,
    skip_without_loop_devices,
    write_some_pages,
)
from tests.faults.promises import check_journal, check_numbering, read_kept
from tests.faults.source import feeding
from tests.faults.victim import SETTINGS, victim_in

LIFE_S_MAX: Final = 0.5
ANOTHER_BOOT: Final = "another"


class Cut(NamedTuple):
    """What one power cut has cost.

    Attributes:
        told: Decisions that were answered before.
        lost: How many of them are gone.
        cut_entries: Whole entries that had arrived without those before them.
    """

    told: int
    lost: int
    cut_entries: int


@pytest.mark.parametrize("durability", ["disk", "process"])
def test_after_a_power_cut_what_was_promised_is_there(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    cut_again_and_again(redis_url, monkeypatch, durability, cuts=2, seed=1)


@pytest.mark.campaign
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("durability", ["disk", "process"])
def test_after_fifty_power_cuts_what_was_promised_is_there(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    cut_again_and_again(redis_url, monkeypatch, durability, cuts=50, seed=time.time_ns())


def cut_again_and_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, durability: str, *, cuts: int, seed: int
) -> None:
    """Take the power away again and again, and start on what is left each time."""
    skip_without_loop_devices()
    # Power that was off means that the system has booted since.
    monkeypatch.setattr("server.replays.restoring.read_boot", lambda: ANOTHER_BOOT)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"RISKGATE_{name.upper()}", str(value))
    dice = random.Random(seed)
    found: list[Cut] = []
    # In memory: the image is the disk, and copied each time.
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as folder,
        new_disk(Path(folder)) as disk,
        feeding(redis_url),
        victim_in(disk.folder / "data", redis_url, durability=durability) as victim,
    ):
        orders = Orders(victim.address)
        for _ in range(cuts):
            if not found or victim.is_dead:
                victim.serve()
            orders.start(padding_bytes=PADDING_BYTES)
            orders.wait_for_answers(30)
            time.sleep(dice.uniform(0, LIFE_S_MAX))
            victim.process.send_signal(signal.SIGSTOP)
            told = {name: orders.told[name] for name in list(orders.told)}
            if durability == "process" or dice.random() < 0.5:
                write_some_pages(victim.journal, dice)
            with after_power_cut(disk) as cut_folder:
                victim.process.send_signal(signal.SIGCONT)
                orders.stop()
                found.append(look_at(cut_folder / "data", told))
            if dice.random() < 0.3:
                victim.kill()
        assert not orders.barred, orders.barred[0]
        check_numbering(list(orders.told.values()))
        promised = {"disk": types.DURABILITY_DISK, "process": types.DURABILITY_PROCESS}[durability]
        assert {told.decision.durability for told in orders.told.values()} == {promised}
        victim.kill()
        check_journal(orders, read_kept(victim.journal))
    _say(durability, found)
    if durability == "disk":
        assert sum(cut.lost for cut in found) == 0


def look_at(data_dir: Path, told: dict[str, Told]) -> Cut:
    """Start an engine on what is left, and count what is not there any more."""
    journal = data_dir / JOURNAL_FOLDER
    restored = restore_engine(
        journal,
        data_dir / SNAPSHOT_FOLDER,
        capacity_in(load_settings(data_dir=data_dir)),
        ModelSource(data_dir).find,
    )
    kept = read_kept(journal)
    lost = [name for name in told if name not in kept.decisions]
    return Cut(len(told), len(lost), restored.recovered.cut_entries)


def _say(durability: str, found: list[Cut]) -> None:
    figures = {
        "cuts": len(found),
        "decisions": found[-1].told,
        "lost": sum(cut.lost for cut in found),
        "lost at most": max(cut.lost for cut in found),
        "entries that had come without those before": sum(cut.cut_entries for cut in found),
    }
    print(f"\npower cuts with durability {durability}: {figures}")  # noqa: T201 - to read
