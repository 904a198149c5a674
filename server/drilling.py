"""An exercise of the kill switch: a flood of orders at every engine, a kill, and what came after.

Orders are dry runs: they are judged like any other and hold nothing. An approval counts at the time
at which its answer arrives here, so the figures hold the way back too.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import riskgate
from riskgate.v1 import kill_pb2 as pb
from server.flooding import Answers, Flood, credentials_for
from server.kill_calls import Confirmation
from server.known_engines import KnownEngine

# How long orders flow before the kill, and after the last confirmation.
BEFORE_S: Final = 0.3
AFTER_S: Final = 0.3
_DEADLINE_S: Final = 1.0

# Kills accounts everywhere, and returns what everybody said.
Kill = Callable[[Sequence[str]], Sequence[Confirmation]]


@dataclass(frozen=True, slots=True)
class Sortie:
    """Where the orders of one sandbox account go.

    Attributes:
        data_dir: Of the stack.
        account_id: Of the sandbox.
        engine: That decides about it.
        order: Complete, approved as things stand.
    """

    data_dir: Path
    account_id: str
    engine: KnownEngine
    order: riskgate.DecideRequest

    def open_client(self) -> riskgate.Client:
        """Return a client of this engine alone."""
        way = self.engine.decision
        credentials = credentials_for(self.data_dir, way)
        return riskgate.Client(way.address, credentials=credentials, deadline_s=_DEADLINE_S)


def exercise(sorties: Sequence[Sortie], kill: Kill) -> pb.DrillReport:
    """Send orders, kill their accounts, and return what each engine did; nothing is re-armed.

    Args:
        sorties: One per sandbox account.
        kill: Kills their accounts everywhere.

    Raises:
        UnavailableError: Orders could not be sent.
    """
    with ExitStack() as stack:
        floods = [
            stack.enter_context(Flood(each.data_dir, each.engine.decision, each.order))
            for each in sorties
        ]
        for flood in floods:
            flood.begin()
        time.sleep(BEFORE_S)
        commanded_at_ns, commanded_ns = time.time_ns(), time.perf_counter_ns()
        said = {each.who: each for each in kill([sortie.account_id for sortie in sorties])}
        time.sleep(AFTER_S)
        answers = [flood.end() for flood in floods]
    replicas = [
        _sum_up(sortie, answered, said.get(f"engine {sortie.engine.shard}"), commanded_ns)
        for sortie, answered in zip(sorties, answers, strict=True)
    ]
    return pb.DrillReport(commanded_at_ns=commanded_at_ns, replicas=replicas)


def _sum_up(
    sortie: Sortie, answers: Answers, said: Confirmation | None, commanded_ns: int
) -> pb.DrillReplica:
    is_confirmed = said is not None and said.confirmed
    confirmed_ns = said.at_ns if said is not None and is_confirmed else None
    after = [(sent, got) for sent, got in answers.approvals if got >= commanded_ns]
    late = [sent for sent, _ in after if confirmed_ns is not None and sent > confirmed_ns]
    return pb.DrillReplica(
        shard=sortie.engine.shard,
        address=sortie.engine.decision.address,
        account_id=sortie.account_id,
        confirmed=is_confirmed,
        confirmation_ns=0 if confirmed_ns is None else confirmed_ns - commanded_ns,
        last_approval_ns=max((got - commanded_ns for _, got in after), default=0),
        approvals_before=len(answers.approvals) - len(after),
        approvals_after_command=len(after),
        approvals_after_confirmation=len(late),
        denials_by_kill=answers.denials,
    )


def is_passed(report: pb.DrillReport) -> bool:
    """Tell whether orders flowed, every engine confirmed, and nothing was approved behind that."""
    return all(
        each.confirmed
        and each.approvals_before > 0
        and each.denials_by_kill > 0
        and each.approvals_after_confirmation == 0
        for each in report.replicas
    )
