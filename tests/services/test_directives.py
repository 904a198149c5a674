"""Directives on the decision port: the same from both lanes, from a trip to its acknowledgement."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

import grpc
import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import identity_pb2
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1 import types_pb2 as types
from server import changes
from server.embedded.process import wait_until
from server.journal.calls import CallJournal
from server.services.decision import SERVICE_NAME
from server.services.directive_calls import DirectiveCalls, Watch
from server.services.refusal import SLOW_READER
from server.shards import WHOLE
from tests.decision_harness import PortCalls, drawdown_breaker, good_request, new_engine, submit
from tests.hotpath.lane.raw_http2 import (
    INITIAL_WINDOW_SIZE,
    RawClient,
    greeting,
    unary,
    window_update,
)
from tests.lane_harness import OPENERS, open_lane
from tests.port_calls import Code, refused
from tests.trusted_port import LANES, TrustedPort, open_trusted

_WATCH: Final = f"/{SERVICE_NAME}/WatchDirectives"
TRADER: Final = "spiffe://riskgate/trader/desk"
OTHER: Final = "spiffe://riskgate/trader/other"
EVENTS: Final = 16
# More than one buffer and all that is kept.
TRIPS: Final = 240


def tripping_engine(**capacity: int) -> Any:
    """Return the engine of the worked example with a breaker that trips at 10 percent."""
    engine = new_engine(**{"events": EVENTS, **capacity})
    submit(engine, kinds.CHANGE_KIND_BREAKER, "breaker-1", drawdown_breaker(), version=5)
    return engine


@pytest.fixture(params=OPENERS)
def port(request: pytest.FixtureRequest) -> Iterator[PortCalls]:
    with OPENERS[request.param](tripping_engine()) as opened:
        yield opened


def fall(call: Callable[[str, bytes], Any], equity: float = 8_800.0) -> None:
    """Let the broker say what the account is worth."""
    message = pb.SyncAccountRequest(account_id="A", equity=equity)
    call("SyncAccount", message.SerializeToString())


def trip(port: PortCalls, times: int = 1) -> None:
    """Let the breaker trip so often, and leave it tripped."""
    for number in range(times):
        if number:
            fall(port.call, 10_000.0)
        fall(port.call)


def acknowledge(port: PortCalls, directive_id: int, **fields: Any) -> pb.Directive:
    message = pb.AckDirectiveRequest(directive_id=directive_id, **fields)
    raw = port.call("AckDirective", message.SerializeToString())
    return pb.AckDirectiveResponse.FromString(raw).directive


class Watcher:
    """Listens to a watch until it ends; `code` says how."""

    def __init__(self, channel: Any, account_id: str = "", after: int = 0) -> None:
        message = pb.WatchDirectivesRequest(account_id=account_id, after_directive_id=after)
        self._call = channel.unary_stream(_WATCH)(message.SerializeToString())
        self._heard: queue.Queue[pb.Directive | None] = queue.Queue()
        self.code: Code | None = None
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        # Whoever is heard of from here on was told because the watch was there.
        self._call.initial_metadata()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._call.cancel()
        self._thread.join()

    def next(self) -> pb.Directive | None:
        """Return the next directive; None: the watch has ended."""
        return self._heard.get(timeout=20)

    def numbers(self, count: int) -> list[int]:
        """Return the ids of the next directives."""
        found = [self.next() for _ in range(count)]
        return [each.directive_id for each in found if each is not None]

    def is_quiet(self) -> bool:
        """Whether nothing was told that was not asked for."""
        return self._heard.empty()

    def _listen(self) -> None:
        try:
            for raw in self._call:
                self._heard.put(pb.WatchDirectivesResponse.FromString(raw).directive)
        except grpc.RpcError:
            pass
        self.code = self._call.code()
        self._heard.put(None)


# --- In answers ---


def test_a_fall_by_12_percent_trips_a_breaker_of_10_percent_once(port: PortCalls) -> None:
    assert not port.decide(good_request()).directives
    trip(port)
    fall(port.call, 8_700.0)
    answer = port.decide(good_request())
    assert answer.verdict == types.VERDICT_DENY
    assert [each.directive_id for each in answer.directives] == [1]
    (one,) = answer.directives
    assert one.kind == types.DIRECTIVE_KIND_BLOCK
    assert (one.account_id, one.breaker_id) == ("A", "breaker-1")
    assert one.breaker_name == "max_drawdown_10_percent"


def test_a_dry_run_and_an_exit_carry_them_too(port: PortCalls) -> None:
    trip(port)
    assert port.decide(good_request(dry_run=True)).directives
    assert port.decide(good_request(reduce_only=True)).directives


def test_what_is_acknowledged_leaves_the_answers(port: PortCalls) -> None:
    trip(port)
    done = acknowledge(port, 1, success=True, detail="nothing was open")
    assert (done.outcome.success, done.outcome.detail) == (True, "nothing was open")
    assert not port.decide(good_request()).directives


# --- Watches ---


def test_a_watch_begins_with_what_is_not_acknowledged_and_goes_on(port: PortCalls) -> None:
    trip(port, 3)
    acknowledge(port, 2, success=False)
    with Watcher(port.channel) as watcher:
        assert watcher.numbers(2) == [1, 3]
        trip(port, 2)
        assert watcher.numbers(1) == [4]


def test_a_watch_begins_behind_the_id_that_it_names(port: PortCalls) -> None:
    trip(port, 3)
    with Watcher(port.channel, after=2) as watcher:
        assert watcher.numbers(1) == [3]


def test_an_id_that_is_not_reached_yet_counts_as_none(port: PortCalls) -> None:
    trip(port, 2)
    with Watcher(port.channel, after=1_000) as watcher:
        assert watcher.numbers(2) == [1, 2]


def test_every_watch_hears_what_comes(port: PortCalls) -> None:
    watchers = [Watcher(port.channel, account) for account in ("", "A", "", "A")]
    try:
        trip(port)
        assert [watcher.numbers(1) for watcher in watchers] == [[1]] * 4
    finally:
        for watcher in watchers:
            watcher.__exit__()


def test_a_watch_of_an_account_that_does_not_exist_is_refused(port: PortCalls) -> None:
    with Watcher(port.channel, "nobody") as watcher:
        assert watcher.next() is None
        assert watcher.code == Code.NOT_FOUND


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"\x0a\x41" + b"x" * 65, "account_id"),
        (b"\x0a\x01\xff", "account_id"),
        (b"\x0a\x02a\x00", "account_id"),
        (b"\x10" + b"\xff" * 9 + b"\x01", "after_directive_id"),
        (b"\x0a", "request"),
    ],
)
def test_a_watch_with_a_wrong_field_names_it(port: PortCalls, raw: bytes, field: str) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        list(port.channel.unary_stream(_WATCH)(raw, timeout=20))
    error: Any = failure.value
    assert error.code() == Code.INVALID_ARGUMENT
    assert dict(error.trailing_metadata())["riskgate-field"] == field


def test_a_watch_while_the_engine_is_not_ready_is_refused(port: PortCalls) -> None:
    port.is_ready = False
    with Watcher(port.channel) as watcher:
        assert watcher.next() is None
        assert watcher.code == Code.UNAVAILABLE
    port.is_ready = True


def test_a_reader_that_falls_behind_by_all_that_is_kept_is_told_so() -> None:
    with (
        open_lane(tripping_engine()) as port,
        RawClient(port.tcp_address) as reader,
    ):
        reader.send(greeting((INITIAL_WINDOW_SIZE, 0)), unary(1, b"", "WatchDirectives"))
        while not (1 in reader.answers and reader.answers[1].headers):
            assert reader.read()
        # It opens no window, and its buffer is full long before.
        trip(port, TRIPS)
        reader.send(window_update(1, 1 << 20))
        answer = reader.answer(1)
    assert (answer.status, answer.text) == (
        Code.RESOURCE_EXHAUSTED.value[0],
        "directives were lost: the reader was too slow",
    )
    heard = [pb.WatchDirectivesResponse.FromString(raw).directive for raw in answer.messages]
    numbers = [each.directive_id for each in heard]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) < TRIPS


def test_the_grpcio_port_ends_a_watch_that_has_fallen_behind() -> None:
    engine = tripping_engine()
    engine.drain(time.time_ns())
    directives = DirectiveCalls(engine, CallJournal(engine), WHOLE)
    watch = directives.open_watch(b"", 0)
    assert isinstance(watch, Watch)
    for number in range(2 * EVENTS + 2):
        assert (directives.find_end(watch) is None) == (number <= 2 * EVENTS)
        equity = 10_000_000_000 if number % 2 else 8_800_000_000
        engine.sync("A", equity, time.time_ns(), [], [], time.time_ns())
    assert directives.find_end(watch) == SLOW_READER


# --- Acknowledgements ---


def test_saying_it_again_is_answered_alike_and_the_other_outcome_is_refused(
    port: PortCalls,
) -> None:
    trip(port)
    first = acknowledge(port, 1, success=True, detail="closed")
    assert acknowledge(port, 1, success=True, detail="again") == first
    raw = pb.AckDirectiveRequest(directive_id=1).SerializeToString()
    assert refused(port, "AckDirective", raw)[:2] == (Code.ALREADY_EXISTS, "directive_id")


def test_a_directive_that_is_not_there_is_not_found(port: PortCalls) -> None:
    raw = pb.AckDirectiveRequest(directive_id=1, success=True).SerializeToString()
    assert refused(port, "AckDirective", raw)[:2] == (Code.NOT_FOUND, "directive_id")


# --- Who may ---


@pytest.fixture(params=LANES)
def trusted(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrustedPort]:
    with open_trusted(request.param, tmp_path, tripping_engine()) as opened:
        yield opened


def dial(trusted: TrustedPort, uri: str, *accounts: str) -> Any:
    trusted.put(uri, *accounts)
    return trusted.dial(trusted.pki.authority.issue_client(uri))


def call_on(channel: Any) -> Callable[[str, bytes], Any]:
    return lambda method, raw: channel.unary_unary(f"/{SERVICE_NAME}/{method}")(raw, timeout=20)


def test_a_watch_hears_of_the_callers_own_accounts_alone(trusted: TrustedPort) -> None:
    with dial(trusted, TRADER, "A") as own, dial(trusted, OTHER, "B") as foreign:
        with Watcher(own) as watcher, Watcher(foreign) as stranger:
            fall(call_on(own))
            assert watcher.numbers(1) == [1]
            assert stranger.is_quiet()
        with Watcher(foreign, "A") as refused_one:
            assert refused_one.next() is None
            assert refused_one.code == Code.PERMISSION_DENIED


def test_a_foreign_directive_is_not_found_like_one_that_is_not_there(trusted: TrustedPort) -> None:
    with dial(trusted, TRADER, "A") as own, dial(trusted, OTHER, "B") as foreign:
        fall(call_on(own))
        found = []
        for directive_id in (1, 2):
            raw = pb.AckDirectiveRequest(directive_id=directive_id).SerializeToString()
            with pytest.raises(grpc.RpcError) as failure:
                call_on(foreign)("AckDirective", raw)
            error: Any = failure.value
            found.append((error.code(), error.details()))
        assert found[0] == found[1] == (Code.NOT_FOUND, "directive_id: no such directive")


def test_a_watch_of_an_identity_that_is_frozen_meanwhile_hears_no_more(
    trusted: TrustedPort,
) -> None:
    own, other = dial(trusted, TRADER, "A"), dial(trusted, OTHER, "A")
    with own, other, Watcher(own) as watcher:
        fall(call_on(other))
        assert watcher.numbers(1) == [1]
        trusted.put(TRADER, "A", status=identity_pb2.IDENTITY_STATUS_REVOKED)
        fall(call_on(other), 10_000.0)
        fall(call_on(other))
        assert watcher.next() is None
        assert watcher.code == Code.PERMISSION_DENIED


# --- The end ---


@pytest.mark.parametrize("lane", LANES)
def test_a_watch_ends_with_the_server_and_its_caller_may_come_again(
    lane: str, tmp_path: Path
) -> None:
    with open_trusted(lane, tmp_path, tripping_engine()) as trusted:
        watcher = Watcher(dial(trusted, TRADER, "A"))
        fall(call_on(dial(trusted, OTHER, "A")))
        assert watcher.numbers(1) == [1]
    with watcher:
        assert watcher.next() is None
        assert wait_until(lambda: watcher.code is not None, timeout_s=20)
        assert watcher.code == Code.UNAVAILABLE


def test_a_change_trips_a_breaker_and_its_watchers_hear(port: PortCalls) -> None:
    fall(port.call, 10_000.0)
    with Watcher(port.channel) as watcher:
        change = changes.state_change(
            kinds.CHANGE_KIND_BREAKER, "breaker-1", drawdown_breaker(enabled=False), version=6
        )
        port.intake.put(change.SerializeToString())
        fall(port.call)
        change = changes.state_change(
            kinds.CHANGE_KIND_BREAKER, "breaker-1", drawdown_breaker(), version=7
        )
        port.intake.put(change.SerializeToString())
        assert watcher.numbers(1) == [1]
