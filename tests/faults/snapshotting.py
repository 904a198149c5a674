"""The program of a process that writes snapshots of the engine of its settings, until killed."""

import logging
import sys
import time

from server.engine_start import capacity_in
from server.loaders.model_source import ModelSource
from server.replays.follower import Follower
from server.replays.replayer import NUMBER_MAX
from server.settings import Settings, load_settings
from server.shards import JOURNAL_FOLDER, SNAPSHOT_FOLDER

_PAUSE_S = 0.05


def open_follower(settings: Settings, interval_entries: int) -> Follower:
    """Return a follower of the journal of these settings."""
    return Follower(
        settings.data_dir / JOURNAL_FOLDER,
        settings.data_dir / SNAPSHOT_FOLDER,
        capacity_in(settings),
        ModelSource(settings.data_dir).find,
        interval_entries=interval_entries,
    )


def write_snapshots(interval_entries: int) -> None:
    """Follow the journal for ever."""
    follower = open_follower(load_settings(), interval_entries)
    while True:
        follower.advance(NUMBER_MAX)
        assert follower.difference_count == 0
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    write_snapshots(int(sys.argv[1]))
