"""The blocking client of the decision port; `riskgate/aio.py` is the same for asyncio.

`riskgate/calls.py` builds the requests, decides about the retry and reads the answers; this class
only waits. Every failure is a `NoDecisionError`. One channel to each engine serves all calls of a
client, which may be used from many threads.
"""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self, Unpack

import grpc

from riskgate import calls, directives
from riskgate.batches import Part, join_batch, split_batch
from riskgate.channel import (
    Credentials,
    RunningStack,
    list_addresses,
    merge_credentials,
    open_channel,
)
from riskgate.credentials import FilePath
from riskgate.errors import NoDecisionError
from riskgate.fields import DecideFields, ReportFields, SyncFields
from riskgate.shards import find_shard
from riskgate.streams import decide_split
from riskgate.v1 import decision_pb2, decision_pb2_grpc

DEADLINE_S: Final = calls.DEADLINE_S


class Client:
    """Blocking client.

    Args:
        address: HOST:PORT of the decision port, or unix:PATH. Of several engines those of all, in
            the order of the shards: each call goes to the engine of its account.
        credentials: TLS credentials; "plaintext": none, to this machine only; None: those of the
            three files, else of the environment (riskgate/credentials.py), else plaintext.
        certificate: PEM file that says who calls; needs key and ca.
        key: PEM file of its private key.
        ca: PEM file of the authority that vouches for the server.
        deadline_s: Default deadline of a call, retry included, seconds, > 0.

    Raises:
        ValueError: No address, or it is on another machine and there are no credentials.
        CredentialsError: A file is missing or cannot be read.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        credentials: Credentials = None,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._deadline_s = deadline_s
        addresses = list_addresses(address)
        shown = merge_credentials(credentials, certificate, key, ca)
        self._channels = [open_channel(each, "decision", shown) for each in addresses]
        self._stubs: list[Any] = [
            decision_pb2_grpc.DecisionServiceStub(channel) for channel in self._channels
        ]

    @classmethod
    def from_data_dir(
        cls,
        data_dir: FilePath | None = None,
        *,
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> Self:
        """Return a client of the stack that runs in a data directory of this machine.

        Args:
            data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.
            certificate: As in the constructor, like the two that follow; absent: the environment's,
                else the operator's in the data directory.
            key: See certificate.
            ca: See certificate.
            deadline_s: As in the constructor.

        Raises:
            StackNotFoundError: No stack runs there.
            CredentialsError: It wants a certificate, and there is none that can be read.
        """
        stack = RunningStack.read(data_dir)
        credentials = stack.choose_credentials(stack.decision, certificate, key, ca)
        return cls(stack.decision, credentials=credentials, deadline_s=deadline_s)

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

        Of several engines each is asked about its own accounts, at the same time; one that is away
        leaves only those without a decision. All or none needs accounts of one engine.

        Returns:
            Per request, in order, its answer, or the error that left it without a decision.

        Raises:
            NoDecisionError: There is no decision about any of them.
        """
        batch = calls.build_batch(requests, all_or_none=all_or_none, idempotent=idempotent)
        parts = split_batch(batch, len(self._stubs))
        return join_batch(parts, self._run_parts(parts, deadline_s))

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
        if len(self._stubs) == 1:
            answers = self._stubs[0].DecideStream(items, timeout=lifetime_s)
        else:
            answers = decide_split(self._stubs, items, lifetime_s)
        try:
            for tag, answer in enumerate(answers):
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

    def watch_directives(
        self, account_id: str = "", *, after_directive_id: int = 0
    ) -> Generator[decision_pb2.Directive, None, None]:
        """Yield what the risk side wants done, such as closing positions, as it is ordered.

        First all that nobody has acknowledged. A watch that breaks is joined anew, without a gap;
        it ends when the iterator is closed. Tell with `acknowledge` what was done.

        Args:
            account_id: Whose; empty: of all accounts that the caller may use.
            after_directive_id: Only larger ids. Of several engines each counts for itself: then
                it needs an account_id.

        Raises:
            NoDecisionError: The watch is refused, or the client was closed.
        """
        heard = calls.build_heard(account_id, after_directive_id, len(self._stubs))
        shard = find_shard(account_id, len(self._stubs))
        return directives.watch([self._stubs[shard]] if account_id else self._stubs, heard)

    def acknowledge(
        self,
        directive: decision_pb2.Directive,
        /,
        *,
        success: bool,
        detail: str = "",
        deadline_s: float | None = None,
    ) -> decision_pb2.Directive:
        """Tell what became of a directive; it goes on record. Saying it twice does no harm.

        Args:
            directive: As it was heard, or as an answer carried it.
            success: Whether it was carried out.
            detail: What was done, or why not, at most 256 bytes.
            deadline_s: As in `decide`.

        Returns:
            The directive with the outcome that stands: the first one.

        Raises:
            NoDecisionError: ALREADY_EXISTS, the other outcome stands; or it is unknown whether it
                was taken.
        """
        call = calls.build_acknowledge(directive, success=success, detail=detail)
        answer: decision_pb2.AckDirectiveResponse = self._run(call, deadline_s)
        return answer.directive

    def close(self) -> None:
        """Close the channels; running calls end with an error."""
        for channel in self._channels:
            channel.close()

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
        stub = self._stubs[find_shard(call.account_id, len(self._stubs))]
        method = getattr(stub, call.method)
        while True:
            try:
                return method(
                    call.request,
                    timeout=attempts.remaining_s(),
                    wait_for_ready=attempts.is_retry,
                )
            except grpc.RpcError as error:
                time.sleep(attempts.admit_retry(error))

    def _run_parts(self, parts: list[Part], deadline_s: float | None) -> list[Any]:
        """Return per part its answer, or the error that it came to."""

        def attempt(part: Part) -> Any:
            try:
                return self._run(part.call, deadline_s)
            except NoDecisionError as error:
                return error

        if len(parts) == 1:
            return [attempt(parts[0])]
        with ThreadPoolExecutor(len(parts)) as pool:
            return list(pool.map(attempt, parts))
