"""KillService.Kill of an engine, from bytes to bytes.

On the decision port it is an errand: `kill_errand` runs on the thread that owns the engine. Over
`kill.sock` another thread asks (`server/kill_port.py`), with the same pieces.
"""

import time
from typing import Final, NamedTuple

from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import state_pb2
from riskgate.v1.decision_pb2 import RequestError
from server.engine import Engine
from server.errors import UnavailableError
from server.forms import fields
from server.forms.kill import read_killed_at, read_mode, read_note, read_target
from server.kill_rows import Target, Times, engine_kill, kill_name, read_kill_times
from server.services.parse import parse
from server.services.refusal import Refusal, refusal_of
from server.shards import WHOLE, Shard

LOCAL_CALLER: Final = "local"


class WantedKill(NamedTuple):
    """A kill that was read and not yet applied."""

    target: Target
    mode: int
    at_ns: int
    change: bytes


def read_kill(engine: Engine, request: pb.KillRequest, caller: str, shard: Shard) -> WantedKill:
    """Check a request and make the change that carries it. Any thread.

    Args:
        engine: Tells the newest re-arming, when the request names no time.
        request: As it came.
        caller: Identity; LOCAL_CALLER for the Unix socket.
        shard: Of the engine.

    Raises:
        InvalidFieldError: The request is wrong.
    """
    target, mode = read_target(fields.require(request, "target")), read_mode(request.mode)
    note = read_note(request)
    at_ns = read_killed_at(request, find_times(engine, target).rearmed_at(mode))
    reason = state_pb2.KillReason(
        caller=caller, actor=note.actor, reason=note.reason, said_to=engine_name(shard)
    )
    change = engine_kill(target, mode, at_ns, reason).SerializeToString()
    return WantedKill(target, mode, at_ns, change)


def find_times(engine: Engine, target: Target) -> Times:
    """Return what an engine knows of a target. Any thread: a row never moves, times only grow."""
    rows = engine.state.kills.rows[1:]  # row 0 is none: it counts the others
    same = (rows["scope"] == target.scope) & (rows["provider_type"] == target.provider_type)
    same &= (rows["name"] == kill_name(target)).all(axis=1)
    found = rows[same]
    return read_kill_times(found[0]) if len(found) else Times()


def confirm(engine: Engine, wanted: WantedKill, shard: Shard) -> pb.KillResponse:
    """Return the answer to a kill whose change was applied and journaled. Any thread."""
    row = engine.state.engine[0]
    times = find_times(engine, wanted.target)
    # Without room for a row everything is killed, which is more than was asked for.
    is_all_killed = int(row["kills_lost"]) > 0
    return pb.KillResponse(
        confirmed_by=engine_name(shard),
        sequence=int(row["sequence"]),
        latched=is_all_killed or times.stops(wanted.mode),
        killed_at_ns=max(times.killed_at(wanted.mode), wanted.at_ns * is_all_killed),
        epoch=int(row["epoch"]),
    )


def engine_name(shard: Shard) -> str:
    """Return how an engine calls itself when it confirms."""
    return f"engine {shard}"


def kill(engine: Engine, raw: bytes, received_ns: int, caller: str, shard: Shard = WHOLE) -> bytes:
    """Apply and journal a kill; returns the encoded answer. Owner only.

    What waits in the ring is applied before it, in its order.

    Args:
        engine: Owned by the caller.
        raw: KillRequest.
        received_ns: When it came, Unix nanoseconds.
        caller: Identity of the caller.
        shard: Of the engine.

    Raises:
        RiskgateError: The request is wrong, or the journal takes nothing: nothing is confirmed.
    """
    wanted = read_kill(engine, parse(pb.KillRequest, raw), caller, shard)
    if not engine.submit(wanted.change):  # the ring is full: make room
        engine.drain(max(received_ns, time.time_ns()))
        if not engine.submit(wanted.change):
            raise UnavailableError("journal", "a kill found no room in the ring")
    number = engine.submitted_changes
    engine.drain(max(received_ns, time.time_ns()))
    if engine.taken_changes < number:
        # It stays in the ring and counts as soon as the journal has room again.
        raise UnavailableError("journal", "a kill found no room in the journal")
    return confirm(engine, wanted, shard).SerializeToString()


def kill_errand(
    engine: Engine, raw: bytes, received_ns: int, caller: str, shard: Shard = WHOLE
) -> bytes | Refusal:
    """Do the same, with every failure as what the caller is told."""
    try:
        return kill(engine, raw, received_ns, caller, shard)
    except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
        return refusal_of(error)


def try_kill(
    engine: Engine, raw: bytes, received_ns: int, caller: str, shard: Shard = WHOLE
) -> bytes | RequestError:
    """Do the same for the compiled lane."""
    outcome = kill_errand(engine, raw, received_ns, caller, shard)
    return outcome.to_error() if isinstance(outcome, Refusal) else outcome
