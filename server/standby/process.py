"""The standby process: it follows, says how far behind it is, and becomes the engine when asked.

Its decision port is not bound before that. A standby that was promoted earlier has a journal of its
own and starts as the engine that it is.
"""

import json
import logging
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

from server.engine_process import run_engine
from server.engine_start import Started
from server.errors import RiskgateError
from server.loaders.redis_epoch import RedisEpoch
from server.loaders.redis_journal import RedisJournal
from server.security.feed_seal import FeedSeal
from server.settings import Settings
from server.shards import JOURNAL_FOLDER, SNAPSHOT_FOLDER, Shard
from server.snapshots import newest_snapshot
from server.standby.journal_stream import JournalCopy, Receiver
from server.standby.promotion_port import PromotionPort, Request, socket_path
from server.standby.standby import Promotion, Standby, has_begun
from server.warming import warm_kernels

log = logging.getLogger(__name__)

# Below the data directory, what has arrived of another machine's.
REPLICA_FOLDER: Final = "replica"
# How long a look at the end of the journal is put off when nothing has come.
_PAUSE_S: Final = 0.002
_REPORT_INTERVAL_S: Final = 1.0
_LOG_INTERVAL_S: Final = 60.0


def run_standby(settings: Settings, primary: Path | None) -> None:
    """Follow an engine until SIGTERM or SIGINT; once promoted, serve decisions until then.

    Args:
        settings: Of the engine that this one may become.
        primary: Data directory of the engine that is followed; None: what it ships to Redis.

    Raises:
        ConfigurationError: The data directory is in use, or no Redis is named.
        JournalError: The other journal is damaged, or goes on elsewhere.
    """
    shard = Shard.parse(settings.shard)
    if has_begun(shard.folder(settings.data_dir, JOURNAL_FOLDER)):
        log.warning("this standby was promoted before: it goes on as the engine")
        run_engine(settings)
        return
    process = StandbyProcess(settings, primary)
    started = process.run()
    if started is None:
        return

    def hand_over(_settings: Settings) -> Started:
        # The engine listens to signals by now; one that came a moment ago is its own.
        if process.was_told_to_stop:
            os.kill(os.getpid(), signal.SIGTERM)
        return started

    run_engine(settings, hand_over)


def _open_receiver(settings: Settings, replica: Path, shard: Shard, seal: FeedSeal) -> Receiver:
    snapshot = newest_snapshot(shard.folder(replica, SNAPSHOT_FOLDER))
    copy = JournalCopy(
        shard.folder(replica, JOURNAL_FOLDER), after=snapshot[1].entry_number if snapshot else 0
    )
    return Receiver(RedisJournal(settings.redis_url_text(), shard, seal), copy)


class StandbyProcess:
    """The life of a standby up to its end or its promotion."""

    def __init__(self, settings: Settings, primary: Path | None) -> None:
        shard = Shard.parse(settings.shard)
        self._settings = settings
        self._primary = primary or settings.data_dir / REPLICA_FOLDER
        self._stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        keys = settings.data_dir / "keys"
        # The engine that we become reads it there.
        seal = FeedSeal.share(primary / "keys", keys) if primary else FeedSeal.load(keys)
        self._epochs = RedisEpoch(settings.redis_url_text(), shard, seal)
        self._receiver = None if primary else _open_receiver(settings, self._primary, shard, seal)
        self._standby = Standby(settings, self._primary, self._epochs, self._receiver)
        path = socket_path(settings.data_dir, shard)
        self._port = PromotionPort(path)
        self._lag = Lag(path.with_suffix(".json"), self._primary)

    @property
    def was_told_to_stop(self) -> bool:
        """Whether SIGTERM or SIGINT has come."""
        return self._stop.is_set()

    def run(self) -> Started | None:
        """Return the engine that we have become; None when we were told to stop."""
        # Now, not when the port is waited for.
        warm_kernels()
        self._port.start()
        if self._receiver is not None:
            self._receiver.start()
        log.info("following %s", self._primary)
        started = None
        try:
            while started is None and not self._stop.is_set():
                if self._receiver is not None and self._receiver.failure is not None:
                    raise self._receiver.failure
                is_at_end = self._standby.follow()
                if self._lag.note(self._standby, is_at_end=is_at_end):
                    self._standby.copy_models()
                request = self._port.next_request(_PAUSE_S if is_at_end else 0)
                if request is not None:
                    started = self._promote(request)
        finally:
            if started is None:
                self._standby.close()
            self._port.close()
            self._epochs.close()
            if self._receiver is not None:
                self._receiver.stop()
                self._receiver.close()
        return started

    def _promote(self, request: Request) -> Started | None:
        log.warning("asked to take over by %s", request.asked_by)
        try:
            started, promotion = self._standby.promote(
                request.asked_by, primary_is_dead=request.primary_is_dead, stop=self._stop
            )
        except RiskgateError as error:
            log.exception("not promoted")
            request.answer({"error": str(error)})
            return None
        self._lag.end(promotion)
        request.answer({**promotion._asdict(), "decision_listen": self._settings.decision_listen})
        return started

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()


class Lag:
    """Says how far behind the standby is: in a file each second, in the log each minute.

    What was at the end of the journal at one look is behind at most since then, so the time since
    the last look that reached the end bounds the age of every entry that is still missing here.

    Args:
        path: Of the file.
        primary: Data directory that is followed.
    """

    def __init__(self, path: Path, primary: Path) -> None:
        self._path = path
        self._primary = primary
        self._at_end_s = self._said_s = self._logged_s = time.monotonic()
        self._number_at_end = 0
        self._has_been_at_end = False
        self._entries_max = 0
        self._ms_max = 0.0

    def note(self, standby: Standby, *, is_at_end: bool) -> bool:
        """Take in one look; tell whether it is time for what is done each second."""
        now_s = time.monotonic()
        behind_ms = (now_s - self._at_end_s) * 1_000
        behind = standby.followed_number - self._number_at_end
        self._ms_max = max(self._ms_max, behind_ms)
        self._entries_max = max(self._entries_max, behind)
        if is_at_end:
            self._at_end_s, self._number_at_end = now_s, standby.followed_number
            self._has_been_at_end = True
        if now_s - self._said_s < _REPORT_INTERVAL_S:
            return False
        self._write(
            {
                "state": "following" if self._has_been_at_end else "catching up",
                "primary": str(self._primary),
                "epoch": standby.epoch,
                "entry_number": standby.followed_number,
                "behind_entries_max": self._entries_max,
                "behind_ms_max": round(self._ms_max, 3),
                "differences": standby.difference_count,
                "missing_entries": standby.missing_entries,
            }
        )
        if now_s - self._logged_s >= _LOG_INTERVAL_S:
            self._logged_s = now_s
            log.info(
                "at entry %d; in the last second at most %d entries and %.1f ms behind",
                *(standby.followed_number, self._entries_max, self._ms_max),
            )
        self._said_s, self._entries_max, self._ms_max = now_s, 0, 0.0
        return True

    def end(self, promotion: Promotion) -> None:
        """Say that the standby is one no more."""
        self._write({"state": "promoted", "primary": str(self._primary), **promotion._asdict()})

    def _write(self, said: dict[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        aside = self._path.with_suffix(".new")
        aside.write_text(
            json.dumps({**said, "at": at, "pid": os.getpid()}, indent=2) + "\n", encoding="utf-8"
        )
        aside.replace(self._path)
