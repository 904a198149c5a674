"""The blocking client of the decision port; `riskgate/aio.py` is the same for asyncio.

`riskgate/calls.py` builds the requests, decides about the retry and reads the answers; this class
only waits. Every failure is a `NoDecisionError`. One channel serves all calls of a client, which
may be used from many threads.
"""

import os
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self, Unpack

import grpc

from riskgate import calls
from riskgate.channel import open_channel, read_address
from riskgate.errors import NoDecisionError
from riskgate.fields import DecideFields, ReportFields, SyncFields
from riskgate.v1 import decision_pb2, decision_pb2_grpc

DEADLINE_S: Final = calls.DEADLINE_S


class Client:
    """Blocking client.

    Args:
        address: HOST:PORT of the decision port, or unix:PATH.
        credentials: TLS credentials; None: plaintext, to this machine only.
        deadline_s: Default deadline of a call, retry included, seconds, > 0.

    Raises:
        ValueError: The address is on another machine and there are no credentials.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
        self._channel = open_channel(address, "decision", credentials)
        self._stub: Any = decision_pb2_grpc.DecisionServiceStub(self._channel)

    @classmethod
    def from_data_dir(
        cls, data_dir: str | os.PathLike[str] | None = None, *, deadline_s: float = DEADLINE_S
    ) -> Self:
        """Return a client of the stack that runs in a data directory of this machine.

        Args:
            data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.
            deadline_s: As in the constructor.

        Raises:
            StackNotFoundError: No stack runs there.
        """
        return cls(read_address("decision", data_dir), deadline_s=deadline_s)

    def decide(
        self,
        request: decision_pb2.DecideRequest | None = None,
        /,
        *,
        deadline_s: float | None = None,
        idempotent: bool = True,
        **fields: Unpack[DecideFields],
    ) -> decision_pb2.DecideResponse:
        """Ask whether an order may go, how large and with which stop.

        Args:
            request: A ready request; keywords are set over a copy of it.
            deadline_s: Deadline of this call, seconds; None: the client's.
            idempotent: Give the request a new client_order_id when it has none. Without one the
                call is not retried.
            fields: Fields of the request by name; enumerations also as words, as in side="buy".

        Raises:
            NoDecisionError: No decision was made: do not trade.
        """
        call = calls.build_decide(request, fields, idempotent=idempotent)
        answer: decision_pb2.DecideResponse = self._run(call, deadline_s)
        return answer

    def decide_batch(
        self,
        requests: Iterable[decision_pb2.DecideRequest],
        *,
        all_or_none: bool = False,
        deadline_s: float | None = None,
        idempotent: bool = True,
    ) -> list[calls.Outcome]:
        """Ask about up to 1,000 orders at once; each sees the holds of those before it.

        Returns:
            Per request, in order, its answer, or the error that left it without a decision.

        Raises:
            NoDecisionError: There is no decision about any of them.
        """
        call = calls.build_batch(requests, all_or_none=all_or_none, idempotent=idempotent)
        return calls.read_batch(call.request, self._run(call, deadline_s))

    def stream(
        self,
        requests: Iterable[decision_pb2.DecideRequest],
        *,
        lifetime_s: float | None = None,
        idempotent: bool = True,
    ) -> Iterator[calls.Outcome]:
        """Ask about many orders over one stream and yield the outcomes in the same order.

        Args:
            requests: Sent as they come.
            lifetime_s: End of the whole stream, seconds from now; None: when the requests end.
            idempotent: As in `decide`. A broken stream is never retried.

        Raises:
            NoDecisionError: The stream broke; requests without an outcome have no decision.
        """
        items = (
            calls.build_stream_item(tag, request, idempotent=idempotent)
            for tag, request in enumerate(requests)
        )
        try:
            for tag, answer in enumerate(self._stub.DecideStream(items, timeout=lifetime_s)):
                yield calls.read_stream_item(tag, answer)
        except grpc.RpcError as error:
            raise NoDecisionError.from_rpc(error) from error

    def report(
        self,
        report: decision_pb2.ExecutionReport | None = None,
        /,
        *,
        deadline_s: float | None = None,
        **fields: Unpack[ReportFields],
    ) -> decision_pb2.ReportExecutionResponse:
        """Tell what became of an order; the same report_id is applied once.

        Raises:
            NoDecisionError: The report was not taken, or it is unknown whether it was.
        """
        answer: decision_pb2.ReportExecutionResponse = self._run(
            calls.build_report(report, fields), deadline_s
        )
        return answer

    def sync_account(
        self,
        request: decision_pb2.SyncAccountRequest | None = None,
        /,
        *,
        deadline_s: float | None = None,
        **fields: Unpack[SyncFields],
    ) -> decision_pb2.SyncAccountResponse:
        """Replace the engine's view of an account by the broker's and return the differences.

        Raises:
            NoDecisionError: The account was not replaced, or it is unknown whether it was.
        """
        answer: decision_pb2.SyncAccountResponse = self._run(
            calls.build_sync(request, fields), deadline_s
        )
        return answer

    def close(self) -> None:
        """Close the channel; running calls end with an error."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, call: calls.Call, deadline_s: float | None) -> Any:
        attempts = calls.Attempts(call, self._deadline_s if deadline_s is None else deadline_s)
        method = getattr(self._stub, call.method)
        while True:
            try:
                return method(
                    call.request,
                    timeout=attempts.remaining_s(),
                    wait_for_ready=attempts.is_retry,
                )
            except grpc.RpcError as error:
                time.sleep(attempts.admit_retry(error))
