"""One router as a process of its own: places orders without pause and tells what became of them.

`python -m tests.reservations.router ADDRESS INDEX REQUESTS SEED`; the last line it writes is JSON
with what it counted. It behaves as a router should: an order is acknowledged before it is filled,
and where the acknowledgement says that nothing is held any more the order is given up.
"""

import json
import random
import sys
import threading
import time
from collections import Counter, deque
from itertools import count
from typing import Any, Final, NamedTuple

import grpc

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types

SERVICE: Final = "/riskgate.v1.DecisionService"
THREADS: Final = 6
DEADLINE_S: Final = 60.0
ACCOUNT: Final = "near"
HEDGED: Final = ("EURUSD", "GBPUSD")
NETTED: Final = "XAUUSD"
# Symbol → price in ticks around which orders are placed, and the size of a tick.
PRICES: Final = {
    "EURUSD": (110_000, 100_000),
    "GBPUSD": (130_000, 100_000),
    "XAUUSD": (200_000, 100),
}
TICKS_PER_PIP: Final = 10
STRATEGIES: Final = 3
# One in so many orders has an id that both routers use.
SHARED_EVERY: Final = 40
# Opened positions and doubtful orders of one thread before it gets rid of the oldest.
OPEN_MAX: Final = 4
DOUBTFUL_MAX: Final = 2


class Order(NamedTuple):
    """An order that may go.

    Attributes:
        lots: That it was given.
        lot_loss: What a lot of it loses at most at its stop, account currency.
    """

    request: pb.DecideRequest
    lots: float
    lot_loss: float

    @property
    def id(self) -> str:
        return self.request.client_order_id

    @property
    def is_hedged(self) -> bool:
        return self.request.symbol in HEDGED


def make_order(name: str, chance: random.Random) -> pb.DecideRequest:
    """Return an order that depends on nothing but the numbers it is drawn with."""
    symbol = chance.choice((*HEDGED, NETTED))
    centre, scale = PRICES[symbol]
    side = chance.choice((types.SIDE_BUY, types.SIDE_SELL))
    entry = centre + chance.randrange(-500, 501)
    distance = chance.randrange(50, 400) * (1 if side == types.SIDE_BUY else -1)
    steps = chance.randrange(1, 8) if chance.random() < 0.6 else chance.randrange(10, 500)
    return pb.DecideRequest(
        client_order_id=name,
        account_id=ACCOUNT,
        provider_id="channel_12345",
        provider_type=types.PROVIDER_TYPE_CHANNEL_SOURCE,
        symbol=symbol,
        side=side,
        entry_price=entry / scale,
        stop_loss=(entry - distance) / scale,
        requested_lots=steps / 100,
        atr=100 / scale,
        strategy_id=f"strategy-{chance.randrange(STRATEGIES)}",
    )


class Port:
    """Calls of the decision port, each for itself."""

    def __init__(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(address, options)

    def call(self, method: str, request: Any, answer_type: Any) -> Any:
        # Any: the stubs demand serializers, and these calls are about raw bytes.
        channel: Any = self.channel
        ask = channel.unary_unary(f"{SERVICE}/{method}")
        raw = ask(request.SerializeToString(), timeout=DEADLINE_S)
        return answer_type.FromString(raw)

    def decide(self, request: pb.DecideRequest) -> Any:
        return self.call("Decide", request, pb.DecideResponse)


class Desk:
    """One thread of a router with the orders that it answers for."""

    def __init__(self, port: Port, index: int, thread: int, chance: random.Random) -> None:
        self.port, self.index, self.chance = port, index, chance
        self.name = f"r{index}t{thread}"
        self.counts = Counter[str]()
        self.reports = count()
        self.open = deque[Order]()
        self.resting = deque[Order]()
        self.doubtful = deque[tuple[Order, float]]()
        self.is_denied = False

    # --- Decisions ---

    def place_shared(self, number: int) -> None:
        """Ask with an id that the other router asks with too; one of the two goes on with it."""
        request = make_order(f"shared-{number}", random.Random(number))
        if self.chance.random() < 0.1:
            request.requested_lots += 0.01
        try:
            answer = self.port.decide(request)
        except grpc.RpcError as error:
            self.counts[f"shared {error.code().name}"] += 1
            return
        self.counts["shared"] += 1
        if number // SHARED_EVERY % 2 == self.index:
            self.take_over(request, answer)

    def place(self, number: int) -> None:
        request = make_order(f"{self.name}-{number}", self.chance)
        kind = self.chance.random()
        if kind < 0.02:
            request.dry_run = True
        replaced = self.resting.popleft() if kind > 0.97 and self.resting else None
        if replaced is not None:
            request.replaces_client_order_id = replaced.id
        answer = self.port.decide(request)
        if kind > 0.9 and not request.dry_run:
            self.counts["asked again"] += 1
            if self.port.decide(request) != answer:
                self.counts["answered otherwise"] += 1
        if replaced is not None and not answer.lot_size:
            self.resting.append(replaced)
        self.take_over(request, answer)

    def place_batch(self, first: int, size: int) -> None:
        """Ask for several legs at once, sometimes for all or none of them."""
        requests = [make_order(f"{self.name}-{first + leg}", self.chance) for leg in range(size)]
        together = self.chance.random() < 0.5
        message = pb.DecideBatchRequest(requests=requests, all_or_none=together)
        answer = self.port.call("DecideBatch", message, pb.DecideBatchResponse)
        for request, result in zip(requests, answer.results, strict=True):
            self.take_over(request, result.response)

    # --- What becomes of them ---

    def take_over(self, request: pb.DecideRequest, answer: pb.DecideResponse) -> None:
        self.counts[types.Verdict.Name(answer.verdict)] += 1
        self.counts[f"binding {types.Reason.Name(answer.binding_limit)}"] += 1
        self.is_denied = not answer.lot_size
        if request.dry_run or self.is_denied:
            return
        _, scale = PRICES[request.symbol]
        ticks = abs(round(request.entry_price * scale) - round(answer.stop_price * scale))
        order = Order(request, answer.lot_size, float(ticks))
        fate = self.chance.random()
        if fate < 0.08:
            self.counts["forgotten"] += 1
        elif fate < 0.3:
            self.report(order, "REJECT")
        elif self.report(order, "UNKNOWN" if fate < 0.38 else "ACK").held_lots == 0:
            self.counts["given up"] += 1
        elif fate < 0.38:
            self.counts["doubtful"] += 1
            self.doubtful.append((order, time.monotonic()))
        elif fate < 0.5:
            self.report(order, self.chance.choice(("CANCEL", "EXPIRE")))
        elif fate < 0.6:
            self.resting.append(order)
        else:
            self.fill(order)

    def fill(self, order: Order) -> None:
        """Fill an order that is known to be held, in one piece or two, and maybe not whole."""
        steps = round(order.lots * 100)
        if steps < 2 or self.chance.random() < 0.5:
            self.report(order, "FILL", lots=order.lots)
            self.open.append(order)
            return
        part = self.chance.randrange(1, steps)
        self.report(order, "PARTIAL_FILL", cumulative_lots=part / 100)
        if self.chance.random() < 0.5:
            self.report(order, "FILL", cumulative_lots=order.lots)
            self.open.append(order)
        else:
            self.report(order, "CANCEL")
            self.open.append(order._replace(lots=part / 100))

    def close(self, order: Order) -> None:
        """Close what was filled: the broker by the stop, or an exit that is asked for.

        What is netted is made smaller by the next order on the other side, and by nothing else.
        """
        if not order.is_hedged:
            return
        fields: dict[str, Any] = {"realised_pnl": self.draw_profit(order)}
        if self.chance.random() < 0.4:
            request = pb.DecideRequest(
                client_order_id=f"{order.id}-x",
                account_id=ACCOUNT,
                symbol=order.request.symbol,
                side=3 - order.request.side,  # type: ignore[arg-type]
                strategy_id=order.request.strategy_id,
                requested_lots=order.lots,
                reduce_only=True,
                position_id=order.id,
            )
            answer = self.port.decide(request)
            self.counts["exits"] += 1
            if answer.lot_size != order.lots:
                self.counts["exits cut"] += 1
            # The broker's name of the position stays that of the order that opened it.
            leaving = Order(request, answer.lot_size, 0.0)
            self.report(leaving, "FILL", lots=answer.lot_size, position_id=order.id, **fields)
            return
        self.report(order, "CLOSE", lots=order.lots, **fields)

    def draw_profit(self, order: Order) -> float:
        """Return profit or loss in cents; a loss is never larger than the stop allows."""
        bound = min(int(order.lot_loss * order.lots * 100), 5_000)
        return self.chance.randint(-bound, bound) / 100

    def settle(self) -> None:
        """Get rid of the oldest, so that there is headroom again that everybody wants."""
        likely = 0.3 if self.is_denied else 0.02
        while len(self.open) > OPEN_MAX or (self.open and self.chance.random() < likely):
            self.close(self.open.popleft())
        while len(self.resting) > OPEN_MAX:
            self.report(self.resting.popleft(), "CANCEL")
        while len(self.doubtful) > DOUBTFUL_MAX or (
            len(self.doubtful) == DOUBTFUL_MAX and self.chance.random() < 0.02
        ):
            order, _ = self.doubtful.popleft()
            if self.chance.random() < 0.5:
                self.fill(order)
            else:
                self.report(order, "REJECT")

    def end(self) -> None:
        """Close and cancel all, but leave some orders in doubt, and ask after these in the end."""
        while self.open:
            self.close(self.open.popleft())
        while self.resting:
            self.report(self.resting.popleft(), "CANCEL")

    def report(self, order: Order, kind: str, **fields: Any) -> Any:
        request = order.request
        report = pb.ExecutionReport(
            report_id=f"{self.name}-{next(self.reports)}",
            account_id=ACCOUNT,
            client_order_id=order.id,
            kind=f"REPORT_KIND_{kind}",
            symbol=request.symbol,
            side=request.side,
        )
        if kind in {"FILL", "PARTIAL_FILL"}:
            report.price = (
                request.entry_price or PRICES[request.symbol][0] / PRICES[request.symbol][1]
            )
        if order.is_hedged:
            report.position_id = order.id
        for name, value in fields.items():
            setattr(report, name, value)
        message = pb.ReportExecutionRequest(report=report)
        answer = self.port.call("ReportExecution", message, pb.ReportExecutionResponse)
        if self.chance.random() < 0.02:
            again = self.port.call("ReportExecution", message, pb.ReportExecutionResponse)
            self.counts[f"reported again {again.outcome}"] += 1
        self.counts[kind] += 1
        return answer


class Router:
    """All threads of one process."""

    def __init__(self, address: str, index: int, requests: int, seed: int) -> None:
        self.port = Port(address)
        self.index, self.requests = index, requests
        self.numbers = iter(range(requests))
        self.lock = threading.Lock()
        self.desks = [
            Desk(self.port, index, thread, random.Random(f"{seed}-{index}-{thread}"))
            for thread in range(THREADS)
        ]
        self.faults: list[str] = []

    def run(self) -> None:
        for what in (self._trade, Desk.end):
            threads = [
                threading.Thread(target=self._guard, args=(what, desk)) for desk in self.desks
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _guard(self, what: Any, desk: Desk) -> None:
        try:
            what(desk)
        except Exception as error:  # noqa: BLE001 - told by the process that waits
            self.faults.append(repr(error))

    def _trade(self, desk: Desk) -> None:
        while not self.faults and (number := self._take(1)) is not None:
            if number % SHARED_EVERY == 0:
                desk.place_shared(number)
            elif number % 16 == 7 and (first := self._take(3)) is not None:
                desk.place_batch(first, 3)
                desk.place(number)
            else:
                desk.place(number)
            desk.settle()

    def _take(self, size: int) -> int | None:
        """Return the first of so many numbers that nobody else has; None at the end."""
        with self.lock:
            taken = [number for _, number in zip(range(size), self.numbers, strict=False)]
        return taken[0] if len(taken) == size else None

    def ask_after_the_doubtful(self) -> None:
        for desk in self.desks:
            for order, _ in desk.doubtful:
                desk.report(order, "UNKNOWN")


def main() -> None:
    address, *numbers = sys.argv[1:]
    index, requests, seed = map(int, numbers)
    router = Router(address, index, requests, seed)
    router.run()
    # Until the test says that every hold that can end by itself has ended.
    sys.stdout.write("TRADED\n")
    sys.stdout.flush()
    sys.stdin.readline()
    if not router.faults:
        router.ask_after_the_doubtful()
    counts: Counter[str] = sum((desk.counts for desk in router.desks), Counter())
    doubtful = [order.id for desk in router.desks for order, _ in desk.doubtful]
    sys.stdout.write(json.dumps({"faults": router.faults, "counts": counts, "doubtful": doubtful}))


if __name__ == "__main__":
    main()
