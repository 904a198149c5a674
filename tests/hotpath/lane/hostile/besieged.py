"""A compiled lane under attack, and the well-behaved neighbour who must not notice.

The lane is real, over the small engine of the worked example. What an attack may leave behind is
nothing: `assert_nothing_is_left` walks calls, connections, buffers, queues and descriptors.
"""

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import state_pb2 as kinds
from riskgate.v1 import types_pb2 as types
from server import changes
from server.engine import Engine
from server.entities import Account, RiskConfiguration
from server.hotpath.lane.lane_record import POOL, POOLS
from server.hotpath.lane.memory import LaneBounds
from server.hotpath.lane.structs import CALL_FREE
from server.intake import Intake
from server.lane import Errands, Lane
from server.security.grants import Grants
from tests.decision_harness import good_request, new_engine, submit
from tests.hotpath.lane.raw_http2 import DECISION_SERVICE, RawClient

# Nothing is held, so the answer stays the same however often it is asked for.
REQUEST: Final = good_request(dry_run=True)
RAW_REQUEST: Final = REQUEST.SerializeToString()
NEIGHBOUR: Final = "neighbour"
_RAW_OF_NEIGHBOUR: Final = good_request(account_id=NEIGHBOUR, dry_run=True).SerializeToString()
_STATE_VERSION: Final = 7
_BEAT_INTERVAL_S: Final = 0.2
_SETTLE_S: Final = 20.0


def populous_engine() -> Engine:
    """Return the engine of the worked example with a second account, the neighbour's.

    Both hold risk for a millisecond only, so tables do not fill up; and no damaged report of an
    attacker, who knows the first account, moves the neighbour's books.
    """
    engine = new_engine(reservations=1 << 17)
    versions = count(_STATE_VERSION - 2)
    for account_id in ("A", NEIGHBOUR):
        account = Account(
            account_id=account_id,
            currency="USD",
            equity=Decimal(10_000),
            equity_as_of=datetime.now(UTC),
            reservation_ttl_ms=1,
        )
        rows = changes.account_rows(account)
        submit(engine, kinds.CHANGE_KIND_ACCOUNT, account_id, rows, version=next(versions))
    wide = changes.risk_configuration_rows(_wide_configuration(NEIGHBOUR))
    kind = kinds.CHANGE_KIND_RISK_CONFIGURATION
    submit(engine, kind, NEIGHBOUR, wide, version=next(versions))
    assert engine.drain(time.time_ns()) == 3
    return engine


def _wide_configuration(account_id: str) -> RiskConfiguration:
    return RiskConfiguration(
        config_id="wide",
        account_id=account_id,
        position_max_drawdown_fraction=Decimal(1),
        position_trailing_stop_multiplier=Decimal(2),
        daily_max_drawdown_fraction=Decimal(1),
        weekly_max_drawdown_fraction=Decimal(1),
        monthly_max_drawdown_fraction=Decimal(1),
        max_position_size_fraction=Decimal(1000),
        max_correlated_exposure_fraction=Decimal(1000),
        risk_per_trade_fraction=Decimal("0.005"),
        volatility_adjustment_factor=Decimal(0),
        cooling_off_period_minutes=0,
        consecutive_loss_threshold=0,
    )


class Besieged:
    """One lane.

    Attributes:
        address: Host and port.
        lane: The lane, running.
        pools: POOL[POOLS], the lane's own memory.
    """

    def __init__(self, bounds: LaneBounds, engine: Engine | None = None) -> None:
        self.engine = engine or populous_engine()
        self.credentials: grpc.ChannelCredentials | None = None  # of the neighbour
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4_096)
        self.listener.setblocking(False)
        self.address: tuple[str, int] = self.listener.getsockname()
        self.grants = Grants("riskgate")
        self.lane = Lane(
            self.engine,
            self.listener,
            bounds,
            Errands(lambda raw, *_: raw, lambda raw, *_: raw),
            open_grant=self.grants.open_address,
        )
        memory: Any = (ctypes.c_char * (POOLS * POOL.itemsize)).from_address(self.count("pools"))
        self.pools: Any = np.frombuffer(memory, POOL)
        self._intake = Intake(self.engine, self.lane.wake)
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat_on, daemon=True)

    def start(self, *, within_s: float = 170) -> None:
        """Serve, with fresh state; compiles when nobody has yet."""
        self.lane.start()
        self.wait_until(lambda: self.lane.turns > 0, within_s=within_s)
        self._beat()  # loading the lane may have taken longer than a feed stays fresh
        self._beating.start()
        self.lane.say(ready=True, serving=True)

    def stop(self) -> None:
        self._over.set()
        self._beating.join()
        self.lane.stop(at_once=True)
        self.lane.close()
        self.listener.close()
        assert self.lane.failure is None

    def count(self, name: str) -> int:
        """Return a number of the lane's record."""
        return int(self.lane.record[name][0])

    def dial(self, *, receive_bytes: int = 0) -> RawClient:
        return RawClient(self.address, receive_bytes=receive_bytes)

    def wait_until(self, condition: Callable[[], bool], *, within_s: float = _SETTLE_S) -> None:
        limit = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < limit, "it never happened"
            assert self.lane.is_running or self.lane.turns == 0, self.lane.failure
            time.sleep(0.002)

    def what_is_left(self) -> dict[str, int]:
        """Return what is in use, by name; empty when nothing is."""
        found = {name: self.count(name) for name in ("connections_now", "calls_now", "errand")}
        found |= {f"pool {number}": int(pool["used"]) for number, pool in enumerate(self.pools)}
        found["touched"] = self.count("touched_first")
        found |= {f"queue {n}": int(self.lane.record["queue_first"][0][n]) for n in range(3)}
        calls = self.lane._memory.calls[: self.count("calls_fresh")]
        found["calls not free"] = int(np.count_nonzero(calls["state"] != CALL_FREE))
        return {name: number for name, number in found.items() if number}

    def assert_nothing_is_left(self, descriptors: int) -> None:
        """Wait for closed sockets to be noticed; then every slot and descriptor must be back."""
        limit = time.monotonic() + _SETTLE_S
        while (self.what_is_left() or descriptors_now() > descriptors) and (
            time.monotonic() < limit
        ):
            time.sleep(0.01)
        assert self.lane.is_running, self.lane.failure
        assert self.what_is_left() == {}
        assert descriptors_now() <= descriptors

    def _beat(self) -> None:
        rows = changes.heartbeat_rows(_STATE_VERSION, record_away=False)
        beat = changes.state_change(kinds.CHANGE_KIND_HEARTBEAT, "publisher", rows)
        self._intake.put(beat.SerializeToString())

    def _beat_on(self) -> None:
        while not self._over.wait(_BEAT_INTERVAL_S):
            self._beat()


class Neighbour:
    """A gRPC client that asks one call after the other and checks every answer.

    Attributes:
        answers: Right answers so far.
        took_ns: How long each took.
        complaint: The first wrong answer or failed call; None: all is well.
    """

    def __init__(
        self, address: tuple[str, int], credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = "{}:{}".format(*address)
        # Any: the stubs demand serializers, and these calls are about raw bytes.
        channel: Any = grpc.insecure_channel(target, options)
        if credentials is not None:
            channel = grpc.secure_channel(target, credentials, options)
        self._channel = channel
        self._decide = self._channel.unary_unary(f"{DECISION_SERVICE}/Decide")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.took_ns: list[int] = []
        self.complaint: str | None = None
        self.ask()

    @property
    def answers(self) -> int:
        return len(self.took_ns)

    def start(self) -> None:
        self._thread.start()

    def ask(self) -> None:
        """Ask once; the answer must be the one of the worked example."""
        began_ns = time.perf_counter_ns()
        answer = pb.DecideResponse.FromString(self._decide(_RAW_OF_NEIGHBOUR, timeout=10))
        self.took_ns.append(time.perf_counter_ns() - began_ns)
        assert is_right(answer), str(answer)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._channel.close()

    def _ask_on(self) -> None:
        try:
            while not self._over.wait(0.001):
                self.ask()
        except (grpc.RpcError, AssertionError) as error:
            self.complaint = repr(error)


def is_right(answer: pb.DecideResponse) -> bool:
    """Tell whether an answer is that of the worked example."""
    return (
        answer.verdict == types.VERDICT_ALLOW
        and answer.lot_size == 0.32
        and answer.stop_price == 1.09795
    )


def resident_bytes() -> int:
    """Return the memory of this process, client and server together."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def descriptors_now() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@contextmanager
def under_siege(besieged: Besieged) -> Iterator[Neighbour]:
    """Let a neighbour be served during an attack; it must get right answers all the time."""
    descriptors = descriptors_now()
    neighbour = Neighbour(besieged.address, besieged.credentials)
    neighbour.start()
    before = neighbour.answers
    try:
        yield neighbour
        besieged.wait_until(lambda: neighbour.answers > before or neighbour.complaint is not None)
    finally:
        neighbour.stop()
    assert neighbour.complaint is None
    besieged.assert_nothing_is_left(descriptors)
