"""No space for the journal: new risk is denied, exits and reports go on, and it recovers."""

import resource
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from riskgate.v1 import decision_pb2 as pb
from riskgate.v1 import types_pb2 as types
from server.embedded.process import wait_until
from tests.faults.mounts import resize_disk, skip_without_mount, small_disk
from tests.faults.orders import Client, Orders, client_of, report_bytes
from tests.faults.promises import check_journal, check_memory, read_kept
from tests.faults.source import feeding
from tests.faults.victim import SEGMENT_BYTES, Victim, victim_in

# One segment in use, one that lies ready, and not enough for a third one.
DISK_BYTES: Final = 2 * SEGMENT_BYTES + (4 << 20)
PADDING_BYTES: Final = 32_000
BARRED: Final = 50
EXITS: Final = 20


class Shortage(NamedTuple):
    """How space goes away, and how it comes back."""

    begin: Callable[[Victim], None]
    end: Callable[[Victim], None]


def limit_files(size_bytes: int) -> Callable[[Victim], None]:
    """Let the engine make no file that is larger."""

    def limit(victim: Victim) -> None:
        limits = (size_bytes, resource.RLIM_INFINITY)
        resource.prlimit(victim.process.pid, resource.RLIMIT_FSIZE, limits)

    return limit


SHORTAGES: Final = {
    "the disk is full": Shortage(
        lambda _: None, lambda victim: resize_disk(victim.journal, 8 * SEGMENT_BYTES)
    ),
    "files may not be that large": Shortage(
        limit_files(SEGMENT_BYTES // 2), limit_files(resource.RLIM_INFINITY)
    ),
}


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("how", SHORTAGES)
def test_without_space_no_new_risk_is_taken_but_exits_and_reports_go_on(
    tmp_path: Path, redis_url: str, how: str, durability: str
) -> None:
    shortage = SHORTAGES[how]
    with ExitStack() as stack:
        if how == "the disk is full":
            skip_without_mount()
            (tmp_path / "data").mkdir()
            stack.enter_context(small_disk(tmp_path / "data" / "journal", DISK_BYTES))
        stack.enter_context(feeding(redis_url))
        victim = stack.enter_context(victim_in(tmp_path / "data", redis_url, durability=durability))
        victim.serve()
        orders = Orders(victim.address)
        client = stack.enter_context(client_of(victim.address))
        open_position(orders, client)
        shortage.begin(victim)
        orders.start(padding_bytes=PADDING_BYTES)
        orders.wait_until(lambda: orders.barred_alone >= BARRED)
        place_exits(orders, client)
        orders.stop()
        check_barred(orders.barred)
        barred = len(orders.barred)
        assert probe(orders, client, "too-early").decision_id == 0
        shortage.end(victim)
        recovery_s = wait_for_recovery(orders, client)
        orders.start()
        orders.wait_for_answers(50)
        orders.stop()
        assert len(orders.barred) == barred
        check_memory(victim.address, orders, list(orders.told))
        assert victim.stop() == 0, victim.read_log()
        kept = read_kept(victim.journal)
        check_journal(orders, kept)
        unknown = set(kept.decisions) - set(orders.told)
        assert unknown <= {name for each in orders.open for name, _ in each}
        assert "no space left" in victim.read_log() or how != "the disk is full"
    print(  # noqa: T201 - figures to read
        f"\n{how}, {durability}: {len(orders.told)} decisions, {barred} barred, "
        f"unjournaled approvals 0, recovered after {recovery_s:.2f} s"
    )


def open_position(orders: Orders, client: Client) -> None:
    """Buy something, so that there is something to leave."""
    assert orders.place(client, "entry", requested_lots=0.3).lot_size == 0.3
    fill = report_bytes("fill", "entry", types.REPORT_KIND_FILL, lots=0.3, price=1.1)
    assert client.report(fill).position_lots == 0.3
    orders.reports["fill"] = fill


def place_exits(orders: Orders, client: Client) -> None:
    """Leave the position step by step, while the clients still try to enter."""
    for number in range(EXITS):
        name = f"exit-{number}"
        answer = probe(orders, client, name, side=2, stop_loss=None, reduce_only=True)
        assert (answer.verdict, answer.lot_size) == (types.VERDICT_ALLOW, 0.01), str(answer)
        assert answer.decision_id > 0
        report = report_bytes(f"report-{name}", name, types.REPORT_KIND_FILL, lots=0.01, price=1.1)
        assert client.report(report).outcome == pb.REPORT_OUTCOME_APPLIED
        orders.reports[f"report-{name}"] = report


def probe(orders: Orders, client: Client, name: str, **fields: Any) -> pb.DecideResponse:
    """Place an order as large as those of the load: a small one may just fit where they do not."""
    return orders.place(client, name, padding_bytes=PADDING_BYTES, **fields)


def check_barred(barred: list[pb.DecideResponse]) -> None:
    """What could not be journaled let nothing go, and says why."""
    for answer in barred:
        assert answer.reasons[0] == types.REASON_JOURNAL_FULL, str(answer)
        assert (answer.verdict, answer.mode) == (types.VERDICT_DENY, types.MODE_REFUSE)
        assert (answer.decision_id, answer.lot_size) == (0, 0.0)
        assert not answer.HasField("reservation_expires_at")


def wait_for_recovery(orders: Orders, client: Client) -> float:
    """Try until an order is decided again; return how long that took."""
    begun_s = time.monotonic()
    tries = iter(range(1_000_000))
    assert wait_until(
        lambda: probe(orders, client, f"probe-{next(tries)}").decision_id > 0, timeout_s=60
    )
    return time.monotonic() - begun_s
