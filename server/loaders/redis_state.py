"""Follows the shared state in Redis and hands every change on, in order and without a gap.

Loading reads the whole hash, following reads the stream from where the load began. Whatever does
not fit (another generation, a version that is not the next one, entries trimmed away, a heartbeat
that knows more than was seen) leads to a new load, never to a guess. A state older than what the
engine has is waited out: the publisher rebuilds it. Until then no heartbeat passes, so the engine
sees the feed grow old by itself. Every Redis call has a timeout; nothing here is on the way of a
decision.

A hash is not read in the order of the versions, so the engine's state gets its number when the load
is over: whoever asks for a version, or restarts in the middle, is never told more than is there.
What an engine that was recovered from its journal has already stays out of a load, because a
journal must not grow by the whole state at each start. What is not sealed by control is dropped,
and nothing of a load reaches the engine before it is known to be the newest of all (see
`completeness.py`). Deleted entities stay in the hash as changes without rows, so what was deleted
meanwhile is deleted then. Measurements have no version; the engine keeps the newest of each by its
time.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from redis.exceptions import RedisError

from riskgate.v1 import state_pb2
from server import feed
from server.hotpath.layout import CHANGE_HEARTBEAT, CHANGE_ROWS, LAYOUT_VERSION, text
from server.loaders.activation_change import KINDS as ACTIVATIONS
from server.loaders.activation_change import read_activation
from server.loaders.completeness import Completeness
from server.loaders.feed_entry import Entry, MalformedEntryError, read_entry, read_number
from server.loaders.redis_connection import SOCKET_TIMEOUT_S, open_connection
from server.loaders.state_receiver import StateReceiver
from server.security.feed_seal import FeedSeal, FeedSealError

log = logging.getLogger(__name__)

BLOCK_MS: Final = 500
BATCH_LENGTH: Final = 512
RETRY_PAUSE_S: Final = 0.2
_SCAN_LENGTH: Final = 1_000
_BEGINNING: Final = b"0-0"

# Kinds that refer to others, in the order in which they follow those; the rest goes in as it comes.
_LATER_KINDS: Final = (
    state_pb2.CHANGE_KIND_RISK_CONFIGURATION,
    state_pb2.CHANGE_KIND_BREAKER,
    state_pb2.CHANGE_KIND_MARKET,
    state_pb2.CHANGE_KIND_EQUITY,
    *ACTIVATIONS,
)
_ACCOUNT: Final = state_pb2.CHANGE_KIND_ACCOUNT
_INSTRUMENT: Final = state_pb2.CHANGE_KIND_INSTRUMENT
_IDENTITY: Final = state_pb2.CHANGE_KIND_IDENTITY
# What is kept beside the engine's own state and begins anew with each start.
_NEEDED_ANYWAY: Final = (_ACCOUNT, _INSTRUMENT, _IDENTITY)
# Whose days the engine must know before it can use a row: the column with the time zone.
_TIMEZONE_COLUMNS: Final = {_ACCOUNT: "timezone", _INSTRUMENT: "hours_timezone"}


class OutOfStepError(Exception):
    """Stream and loaded state do not fit together: load anew."""


class RedisStateLoader:
    """Keeps one engine in step with Redis, in a thread of its own.

    Args:
        url: Of the Redis that the publisher writes.
        receiver: Takes what was read.
        seal: Tells what control has written.
        block_ms: Longest wait for the next change before the ground is checked.
        known_version: Version of the engine's state; it has every entity up to it.
        may_beat: Asked for each heartbeat, after it was read, whether it may be handed on.

    Attributes:
        version: Newest version that the engine was given; never goes back.
        is_current: Whether a whole state was loaded and is being followed.
        loads: Whole loads so far.
        dropped: Entries that were malformed, of another layout, forged or repeated.
        forged: Those of them that control has not written, and loads that were not whole.
        outages: Failed Redis calls.
    """

    def __init__(
        self,
        url: str,
        receiver: StateReceiver,
        seal: FeedSeal,
        *,
        block_ms: int = BLOCK_MS,
        known_version: int = 0,
        may_beat: Callable[[], bool] = lambda: True,
    ) -> None:
        self._redis: Any = open_connection(url)
        self._receiver = receiver
        self._seal = seal
        self._block_ms = block_ms
        self._may_beat = may_beat
        self._generation: int | None = None
        self._newest_generation: int | None = None
        # Newest stream entry that was read; everything after it is still to come.
        self._last_id = _BEGINNING
        # Entities that the hash had newer than the version it was loaded at.
        self._ahead: dict[tuple[int, str], int] = {}
        # Whether the engine has everything up to `version`, so that a load may leave that out.
        self._is_whole = True
        self._beaten_at_ns = 0
        self._said = ""
        self._is_away = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-state", daemon=True)
        self.version = known_version
        self.is_current = False
        self.loads = 0
        self.dropped = 0
        self.forged = 0
        self.outages = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; waits for at most one blocking read."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(SOCKET_TIMEOUT_S + self._block_ms / 1_000)
        self._redis.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.is_current:
                    self.is_current = self._load()
                if self.is_current:
                    self._follow()
                    self._note_return()
                    continue
            except OutOfStepError as error:
                self.is_current = False
                self._say(f"loading the state anew: {error}")
            except (RedisError, OSError) as error:
                self.outages += 1
                self._is_away = True
                self._say(f"redis is away: {type(error).__name__}")
                self._look_again_after_outage()
            except Exception:
                # A defect must not end the feed: the engine sees its age, the log says why.
                log.exception("the state feed failed")
                self.is_current = False
            self._stop.wait(RETRY_PAUSE_S)

    # --- Loading -------------------------------------------------------------------------------

    def _load(self) -> bool:
        """Hand on what the engine lacks; False when there is no state that may be used yet."""
        last_id = self._newest_id()
        head = self._read_head()
        if head is None:
            return False
        generation, version = head
        if version < self.version:
            # The record may have gone back too, and then the same versions mean something else.
            self._is_whole = False
            self._say(f"redis is behind: version {version}, the engine has {self.version}")
            return False
        known_version = self.version if self._is_whole else 0
        dropped = self.dropped
        ahead: dict[tuple[int, str], int] = {}
        first: list[bytes] = []
        later: dict[int, list[Entry]] = {kind: [] for kind in _LATER_KINDS}
        completeness = Completeness(version)
        # Of two of one name the first was counted; nobody knows whether the second is the newest.
        for entry in filter(lambda each: completeness.note(each.message), self._scan()):
            message = entry.message
            if message.version > version:
                ahead[message.kind, message.key] = message.version
            if message.kind in later:
                later[message.kind].append(entry)
            elif not _is_known(message, known_version) or message.kind in _NEEDED_ANYWAY:
                first.append(entry.change)  # their bytes alone: there may be a million
        self._check_whole(completeness, last_id)
        for change in first:
            self._load_entity(read_entry(change), known_version)
        for kind in _LATER_KINDS:
            for entry in later[kind]:
                self._load_entity(entry, known_version)
        if self._read_head(quiet=True) is None or self._newest_generation != generation:
            raise OutOfStepError("it was replaced while it was read")
        if not self._receiver.complete(version):
            raise OutOfStepError("the engine is stopping")
        self._generation, self.version, self._ahead = generation, version, ahead
        self._last_id = last_id
        self._is_whole = self.dropped == dropped
        self.loads += 1
        self._say(f"state of version {version} loaded")
        return True

    def _check_whole(self, completeness: Completeness, last_id: bytes) -> None:
        """Refuse a hash that lacks an entity or holds an earlier content of one."""
        while not completeness.is_settled:
            entries = self._redis.xrange(feed.STREAM_KEY, b"(" + last_id, count=BATCH_LENGTH)
            if not entries:
                break
            for _, fields in entries:
                entry = self._read(fields.get(feed.FIELD_CHANGE.encode(), b""))
                if entry is not None:
                    completeness.settle(entry.message)
            last_id = entries[-1][0]
        if not completeness.is_whole:
            self.forged += 1
            self._redis.set(feed.DOUBT_KEY, 1)
            raise OutOfStepError("entities in redis are missing or of an earlier time")

    def _read_head(self, *, quiet: bool = False) -> tuple[int, int] | None:
        """Return generation and version; None when Redis holds no state of our layout."""
        keys = (feed.GENERATION_KEY, feed.VERSION_KEY, feed.LAYOUT_KEY)
        generation, version, layout = map(read_number, self._redis.mget(*keys))
        self._newest_generation = generation
        if generation is None or version is None or layout is None:
            if not quiet:
                self._say("redis holds no state: waiting for the publisher")
            return None
        if layout != LAYOUT_VERSION:
            if not quiet:
                self._say(f"redis holds layout {layout}, this engine needs {LAYOUT_VERSION}")
            return None
        return generation, version

    def _scan(self) -> Iterator[Entry]:
        for field, change in self._redis.hscan_iter(feed.STATE_KEY, count=_SCAN_LENGTH):
            if self._stop.is_set():
                raise OutOfStepError("stopping")
            entry = self._read(change)
            if entry is None:
                continue
            name = feed.state_field(entry.message.kind, entry.message.key)
            if name.encode() == field:
                yield entry
            else:
                self._drop("under the name of another entity")

    def _newest_id(self) -> bytes:
        newest = self._redis.xrevrange(feed.STREAM_KEY, count=1)
        return bytes(newest[0][0]) if newest else _BEGINNING

    # --- Following -----------------------------------------------------------------------------

    def _follow(self) -> None:
        """Read what comes next, waiting for it at most half a second."""
        answer = self._redis.xread(
            {feed.STREAM_KEY: self._last_id}, count=BATCH_LENGTH, block=self._block_ms
        )
        entries = _entries_of(answer)
        if len(entries) in {0, BATCH_LENGTH}:
            # Nothing, or far behind: is it still the state that we follow, and is it all there?
            self._check_ground()
        for entry_id, fields in entries:
            self._take(fields)
            self._last_id = entry_id

    def _check_ground(self) -> None:
        head = self._read_head(quiet=True)
        if head is None or head[0] != self._generation:
            raise OutOfStepError("redis was emptied or rebuilt")
        if head[1] < self.version:
            self._is_whole = False
            raise OutOfStepError("redis went back in time")
        kept = self._last_id == _BEGINNING or self._redis.xrange(
            feed.STREAM_KEY, self._last_id, self._last_id, count=1
        )
        if not kept:
            raise OutOfStepError("the stream was trimmed")

    def _look_again_after_outage(self) -> None:
        """Go on following if Redis came back as it was, else load anew."""
        if not self.is_current:
            return
        try:
            self._check_ground()
        except OutOfStepError as error:
            self.is_current = False
            self._say(f"loading the state anew: {error}")
        except (RedisError, OSError):
            return

    def _take(self, fields: dict[bytes, bytes]) -> None:
        """Hand one stream entry on, if it is the next one of the state that was loaded."""
        generation = read_number(fields.get(feed.FIELD_GENERATION.encode()))
        version = read_number(fields.get(feed.FIELD_VERSION.encode()))
        change = fields.get(feed.FIELD_CHANGE.encode())
        if generation is None or version is None or change is None:
            self._drop("a stream entry without its fields")
            return
        if generation != self._generation:
            raise OutOfStepError("redis was rebuilt")
        entry = self._read(change)
        if entry is None:
            return
        if entry.message.version != version:
            self._drop("a version that contradicts its entry")
            return
        if version == 0:
            self._take_unversioned(entry)
            return
        if version <= self.version:
            return
        if version != self.version + 1:
            raise OutOfStepError(f"version {version} came after {self.version}")
        name = (entry.message.kind, entry.message.key)
        if self._ahead.get(name, 0) <= version:
            self._ahead.pop(name, None)
            self._hand_on(entry)
        self.version = version

    def _take_unversioned(self, entry: Entry) -> None:
        if entry.message.kind == state_pb2.CHANGE_KIND_HEARTBEAT and entry.message.rows:
            if entry.message.made_at_ns <= self._beaten_at_ns:
                self._drop("a heartbeat of an earlier time")
                return
            self._beaten_at_ns = entry.message.made_at_ns
            newest = int(np.frombuffer(entry.message.rows, CHANGE_HEARTBEAT)[0]["version"])
            if newest > self.version:
                raise OutOfStepError(f"the feed is at version {newest}, not {self.version}")
            if newest < self.version:
                # Beaten while the state was loaded: it vouches for an older one.
                return
            if not self._may_beat():
                return
        self._hand_on(entry)

    def _load_entity(self, entry: Entry, known_version: int) -> None:
        """Hand an entity of the hash on, unless the engine has it."""
        self._hand_on(entry, is_partial=True, is_known=_is_known(entry.message, known_version))

    def _hand_on(self, entry: Entry, *, is_partial: bool = False, is_known: bool = False) -> None:
        message = entry.message
        if message.kind in ACTIVATIONS and message.rows:
            # Also a known one: it may have been refused, or on its way, when the engine ended.
            activation = read_activation(message, entry.change)
            self._receiver.activate(activation._replace(is_partial=is_partial, is_known=is_known))
            return
        if message.kind in _TIMEZONE_COLUMNS and message.rows:
            # Also of a known one: the calendar begins anew with each start.
            self._announce_timezone(message)
        if message.kind == _IDENTITY:
            self._receiver.put_identity(message.key, message.rows)
        if not is_known and not self._receiver.put(entry.change, is_partial=is_partial):
            raise OutOfStepError("the engine is stopping")

    def _announce_timezone(self, message: state_pb2.StateChange) -> None:
        row = np.frombuffer(message.rows, CHANGE_ROWS[message.kind])[0]
        try:
            timezone = text(row[_TIMEZONE_COLUMNS[message.kind]])
        except UnicodeDecodeError:
            return
        if timezone:
            self._receiver.add_timezone(timezone)

    def _read(self, change: bytes) -> Entry | None:
        try:
            self._seal.open(change)
            return read_entry(change)
        except FeedSealError as error:
            self.forged += 1
            self._drop(str(error))
        except MalformedEntryError as error:
            self._drop(str(error))
        return None

    def _drop(self, problem: str) -> None:
        self.dropped += 1
        self._say(f"dropped from redis: {problem}")

    def _note_return(self) -> None:
        if self._is_away:
            self._is_away = False
            self._say("redis is back")

    def _say(self, line: str) -> None:
        # The same trouble ten times a second is one line.
        if line != self._said:
            self._said = line
            log.warning("%s", line)


def _is_known(message: state_pb2.StateChange, known_version: int) -> bool:
    """Tell whether an engine of that version has the change."""
    return 0 < message.version <= known_version


def _entries_of(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return the entries of the one stream that XREAD was asked for."""
    return list(answer[0][1]) if answer else []
