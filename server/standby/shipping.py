"""The process that ships one engine's journal to Redis, for a standby on another machine."""

import json
import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

from server.errors import UnavailableError
from server.loaders.redis_journal import RedisJournal
from server.security.feed_seal import FeedSeal
from server.settings import Settings
from server.shards import JOURNAL_FOLDER, Shard
from server.standby.journal_stream import Shipper, Window
from server.standby.promotion_port import RUN_FOLDER

log = logging.getLogger(__name__)

_PAUSE_S: Final = 0.002
_RETRY_S: Final = 0.5
_REPORT_INTERVAL_S: Final = 1.0
_LOG_INTERVAL_S: Final = 60.0


def run_shipping(settings: Settings) -> None:
    """Ship until SIGTERM or SIGINT; an absent Redis is waited for.

    Raises:
        ConfigurationError: No Redis is named, or there is no key of the feed.
        JournalError: The journal is damaged, or the stream is another one's.
    """
    shard = Shard.parse(settings.shard)
    stop = threading.Event()

    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    sink = RedisJournal(settings.redis_url_text(), shard, FeedSeal.load(settings.data_dir / "keys"))
    folder = shard.folder(settings.data_dir, JOURNAL_FOLDER)
    report = Report(shard.folder(settings.data_dir / RUN_FOLDER, "shipping").with_suffix(".json"))
    shipper: Shipper | None = None
    is_away = False
    while not stop.is_set():
        try:
            shipper = shipper or Shipper(folder, sink)
            count = shipper.ship()
        except UnavailableError as error:
            if not is_away:
                log.warning("nothing is shipped: %s", error)
            is_away = True
            stop.wait(_RETRY_S)
            continue
        is_away = False
        report.note(shipper.shipped, shipper.window)
        if not count:
            stop.wait(_PAUSE_S)
    if shipper is not None:
        shipper.close()
    sink.close()


class Report:
    """Says how large the window is: in a file each second, in the log each minute.

    Args:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said_s = self._logged_s = time.monotonic()
        self._largest = Window(0, 0.0)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def note(self, shipped: int, window: Window) -> None:
        """Take in what is under way now."""
        self._largest = Window(
            max(self._largest.entries, window.entries), max(self._largest.age_ms, window.age_ms)
        )
        now_s = time.monotonic()
        if now_s - self._said_s < _REPORT_INTERVAL_S:
            return
        said = {
            "entry_number": shipped,
            "window_entries_max": self._largest.entries,
            "window_ms_max": round(self._largest.age_ms, 3),
            "pid": os.getpid(),
        }
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
        aside.replace(self._path)
        if now_s - self._logged_s >= _LOG_INTERVAL_S:
            self._logged_s = now_s
            log.info(
                "shipped entry %d; in the last second at most %d entries and %.1f ms under way",
                *(shipped, *self._largest),
            )
        self._said_s, self._largest = now_s, Window(0, 0.0)
