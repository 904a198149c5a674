"""WatchDirectives and AckDirective of the grpcio port."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from riskgate.v1 import decision_pb2 as pb
from server.engine import Engine
from server.errors import InvalidFieldError, NotFoundError
from server.hotpath.clock import take_reading_nb
from server.hotpath.events import acknowledge_event_nb
from server.hotpath.layout import ID_BYTES_MAX, ID_WORDS, words
from server.hotpath.table import find_nb
from server.journal.calls import CallJournal
from server.services.convert import check_text, read_unsigned
from server.services.directives import find_event, read_directive
from server.services.parse import parse
from server.services.refusal import (
    DIRECTIVE_DONE,
    DIRECTIVE_UNKNOWN,
    JOURNAL_AWAY,
    NOT_YOURS,
    SLOW_READER,
    STOPPING,
    WRONG_SHARD,
    Refusal,
)
from server.shards import Shard

_DETAIL_BYTES_MAX: Final = 256
# Events that changes have made are looked for this often; those of calls are announced.
_LOOK_S: Final = 0.05


class DirectiveCalls:
    """Directives of one engine, for the owner of that engine.

    Args:
        engine: The engine.
        calls: Journal of the port.
        shard: Which accounts are decided here.
    """

    def __init__(self, engine: Engine, calls: CallJournal, shard: Shard) -> None:
        self._engine = engine
        self._calls = calls
        self._shard = shard
        self._news = asyncio.Event()
        self._announced = self.newest
        self.is_stopping = False

    @property
    def newest(self) -> int:
        """Id of the newest directive; 0: none was made yet."""
        return int(self._engine.state.engine[0]["event_count"])

    def announce(self) -> None:
        """Wake the watchers when something is new; cheap when nothing is."""
        if self._announced != self.newest or self.is_stopping:
            self._announced = self.newest
            self._news.set()
            self._news = asyncio.Event()

    def stop(self) -> None:
        """Let every watch end."""
        self.is_stopping = True
        self.announce()

    def warm(self) -> None:
        """Compile, or load from the cache, what only these calls need."""
        self._write(0, success=False, detail=b"", received_ns=1)
        self._calls.may_see(0, words("").ctypes.data)

    # --- Acknowledgements ---

    def acknowledge(self, message: pb.AckDirectiveRequest, received_ns: int) -> bytes | Refusal:
        """Acknowledge one directive; what was said first of it stands.

        Raises:
            InvalidFieldError: A field is absent or wrong.
        """
        directive_id = read_unsigned("directive_id", message.directive_id)
        if not directive_id:
            raise InvalidFieldError("directive_id", "is required")
        detail = check_text("detail", message.detail, _DETAIL_BYTES_MAX)
        check_text("account_id", message.account_id, ID_BYTES_MAX)
        if not self._shard.owns(message.account_id):
            return WRONG_SHARD
        event = find_event(self._engine.state, directive_id)
        if event is None or not self._is_theirs(event, message.account_id):
            return DIRECTIVE_UNKNOWN
        if event["acknowledged_at_ns"]:
            if bool(event["succeeded"]) != message.success:
                return DIRECTIVE_DONE
        elif self._calls.find_bar(is_exit=True) is not None:
            return JOURNAL_AWAY
        else:
            self._write(
                directive_id, success=message.success, detail=detail, received_ns=received_ns
            )
        return pb.AckDirectiveResponse(directive=read_directive(event)).SerializeToString()

    def _is_theirs(self, event: Any, account_id: str) -> bool:
        account = event["account_id"]
        if account_id and not np.array_equal(account, words(account_id)):
            return False
        return self._calls.may_use(account.ctypes.data)

    def _write(self, number: int, *, success: bool, detail: bytes, received_ns: int) -> None:
        memory = self._engine.state.memory[0]
        now_ns = take_reading_nb(memory, received_ns)
        place = np.frombuffer(detail or b"\0", np.uint8).ctypes.data
        acknowledge_event_nb(memory, number, success, place, len(detail), now_ns)
        self._calls.note_applied()

    # --- Watches ---

    def open_watch(self, raw: bytes, grant: int) -> "Watch | Refusal":
        """Begin a watch of the caller with this grant.

        Raises:
            InvalidFieldError: A field is wrong.
            NotFoundError: The account does not exist.
        """
        message = parse(pb.WatchDirectivesRequest, raw)
        check_text("account_id", message.account_id, ID_BYTES_MAX)
        after = read_unsigned("after_directive_id", message.after_directive_id)
        account = words(message.account_id)
        if not self._calls.may_use_alone(grant, account.ctypes.data):
            return NOT_YOURS
        if not self._shard.owns(message.account_id):
            return WRONG_SHARD
        accounts = self._engine.state.accounts
        if message.account_id and not find_nb(accounts.record[0], account, ID_WORDS):
            raise NotFoundError("account", message.account_id)
        return Watch(self, grant, account if message.account_id else None, after)

    def take(self, watch: "Watch") -> Iterator[bytes]:
        """Yield what a watcher has not looked at yet."""
        state = self._engine.state
        while watch.seen < self.newest:
            watch.seen += 1
            event = find_event(state, watch.seen)
            if event is None or (watch.seen <= watch.begun and event["acknowledged_at_ns"]):
                continue
            account = event["account_id"]
            if watch.account is not None and not np.array_equal(account, watch.account):
                continue
            if self._calls.may_see(watch.grant, account.ctypes.data):
                response = pb.WatchDirectivesResponse(directive=read_directive(event))
                yield response.SerializeToString()

    def find_end(self, watch: "Watch") -> Refusal | None:
        """Return why a watch has to end now; None: it may go on."""
        if self.is_stopping:
            return STOPPING
        if watch.seen < self.newest - (len(self._engine.state.events) - 1):
            return SLOW_READER
        if watch.seen < self.newest and not self._calls.settle():
            return JOURNAL_AWAY
        return None

    async def wait_for_news(self) -> None:
        """Wait until something may be new."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _LOOK_S)


class Watch:
    """One watcher.

    Attributes:
        grant: Address of the GRANT of the caller.
        account: Id in words; None: every account that it may see.
        begun: Newest directive at the beginning; later ones are told whatever became of them.
        seen: Newest directive that was looked at.
    """

    def __init__(self, feed: DirectiveCalls, grant: int, account: Any, after: int) -> None:
        self.grant = grant
        self.account = account
        self.begun = feed.newest
        self.seen = after if after <= self.begun else 0
