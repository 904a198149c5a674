"""Around each call of the grpcio port: who calls, whether it may, and one way out for failures."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

import grpc
import grpc.aio

from server.security.grants import METHOD_PATHS
from server.services.call_access import CallAccess
from server.services.refusal import INTERRUPTED, NOT_READY, TOO_LATE, Refusal, refusal_of
from server.telemetry.decision_counts import DecisionCounts

Context = grpc.aio.ServicerContext[bytes, bytes]
Outcome = bytes | Refusal


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call, or one message of a stream, as it came.

    Attributes:
        received_ns: When, Unix nanoseconds.
        seconds_left: Until the caller gives up; infinite without a deadline.
        grant: Address of the GRANT of the caller.
        method: METHOD_* of the lane.
    """

    received_ns: int
    seconds_left: float
    grant: int
    method: int


class Answering:
    """What every call of a port goes through.

    Args:
        counts: Receives every outcome.
        access: Tells who calls, and whether that call may be made.
        is_ready: Whether the state is current; until then calls are UNAVAILABLE.
    """

    def __init__(
        self, counts: DecisionCounts, access: CallAccess, is_ready: Callable[[], bool]
    ) -> None:
        self.counts = counts
        self._access = access
        self.is_ready = is_ready

    def single(
        self, method: int, behaviour: Callable[[bytes, Arrival], Awaitable[Outcome]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """Wrap a call: clock, caller, readiness, deadline, and one way out for every failure."""
        name = METHOD_PATHS[method].rpartition("/")[2]

        async def answer(raw: bytes, context: Context) -> bytes:
            received_ns = time.time_ns()
            try:
                grant = self._access.find_grant(context)
                call = Arrival(received_ns, seconds_left(context), grant, method)
                denied = self._access.find_refusal(grant, method)
                if denied is not None:
                    refusal = denied
                elif not self.is_ready():
                    refusal = NOT_READY
                elif call.seconds_left <= 0.0:
                    refusal = TOO_LATE
                else:
                    outcome = await behaviour(raw, call)
                    if isinstance(outcome, bytes):
                        self.counts.add_call(name, time.time_ns() - received_ns)
                        return outcome
                    refusal = outcome
            except asyncio.CancelledError:
                await self.end_interrupted(context)
            except Exception as error:  # noqa: BLE001 - nothing unexpected may leave as it is
                refusal = refusal_of(error)
            return await self.abort(refusal, context)

        return answer

    async def abort(self, refusal: Refusal, context: Context) -> NoReturn:
        """End a call with a refusal, and count it."""
        self.counts.add_error(refusal.code.name)
        await refusal.abort(context)

    async def end_interrupted(self, context: Context) -> NoReturn:
        """End a call that was cancelled from our side; one that its caller gave up just ends."""
        # An escaping cancellation would leave a caller that still listens waiting for ever.
        if context.cancelled():
            raise asyncio.CancelledError
        await self.abort(INTERRUPTED, context)


def seconds_left(context: Context) -> float:
    """Return how long a caller still waits; infinite without a deadline."""
    # The stubs do not know that there may be no deadline.
    left: float | None = context.time_remaining()
    return float("inf") if left is None else left
