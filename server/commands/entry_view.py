"""Entries of the journal for people and scripts: what was asked, what was answered."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from riskgate.v1 import decision_pb2, state_pb2, types_pb2
from server.commands.event_view import view_event
from server.commands.message_view import view_enum, view_message
from server.errors import JournalCorruptError
from server.hotpath.journal.entries import (
    CALL_KINDS,
    KIND_ACKNOWLEDGE,
    KIND_BATCH,
    KIND_CHANGE,
    KIND_DECIDE,
    KIND_EVENT,
    KIND_NAMES,
    KIND_REPORT,
    KIND_START,
    KIND_STREAM,
    KIND_SYNC,
)
from server.hotpath.reasons import REASON_CODES, S_ABSENT
from server.journal.reader import Entry, read_call, read_change, read_event, read_start

# Kind of entry → messages of the request and of the answer.
CALL_MESSAGES: Final[dict[int, tuple[Any, Any]]] = {
    KIND_DECIDE: (decision_pb2.DecideRequest, decision_pb2.DecideResponse),
    KIND_BATCH: (decision_pb2.DecideBatchRequest, decision_pb2.DecideBatchResponse),
    KIND_STREAM: (decision_pb2.DecideStreamRequest, decision_pb2.DecideStreamResponse),
    KIND_REPORT: (decision_pb2.ReportExecutionRequest, decision_pb2.ReportExecutionResponse),
    KIND_SYNC: (decision_pb2.SyncAccountRequest, decision_pb2.SyncAccountResponse),
    KIND_ACKNOWLEDGE: (decision_pb2.AckDirectiveRequest, decision_pb2.AckDirectiveResponse),
}
_REASON = types_pb2.DESCRIPTOR.enum_types_by_name["Reason"]
_STATUS = types_pb2.DESCRIPTOR.enum_types_by_name["CheckStatus"]
_VERDICT = types_pb2.DESCRIPTOR.enum_types_by_name["Verdict"]
_OUTCOME = decision_pb2.DESCRIPTOR.enum_types_by_name["ReportOutcome"]
_CHANGE = state_pb2.DESCRIPTOR.enum_types_by_name["ChangeKind"]


class Ids(NamedTuple):
    """What tells one decision, report or change from the others; empty where it has no such."""

    number: int
    sequence: int
    time: str
    kind: str
    account: str = ""
    id: str = ""
    result: str = ""


def list_ids(entry: Entry) -> Iterator[Ids]:
    """Return one line for what an entry holds; of a batch one for each request.

    Raises:
        JournalCorruptError: The entry is not what its kind says.
    """
    head = Ids(entry.number, entry.sequence, format_time(entry.reading_ns), KIND_NAMES[entry.kind])
    if entry.kind == KIND_START:
        yield head._replace(id=f"epoch {read_start(entry)['epoch']}")
    elif entry.kind == KIND_CHANGE:
        change = read_change(entry)
        message = _parse(state_pb2.StateChange, change.change, entry)
        # That of the record; a whole load goes in without its versions, which count at its end.
        result = "deleted" if change.deleted else f"version {message.version}"
        kind = (view_enum(_CHANGE, change.kind) or "refused").lower()
        yield head._replace(id=f"{kind} {message.key}".rstrip(), result=result)
    elif entry.kind in CALL_KINDS:
        request, answer, _ = parse_call(entry)
        yield from _LIST_CALL[entry.kind](head, request, answer)
    elif entry.kind == KIND_EVENT:
        event = view_event(read_event(entry))
        name, account = event["breaker_name"], event["account_id"]
        yield head._replace(account=account, id=name, result=event["state"] or "")
    else:
        yield head


def view_entry(entry: Entry) -> dict[str, Any]:
    """Return all that an entry holds, ready for JSON.

    Raises:
        JournalCorruptError: The entry is not what its kind says.
    """
    view: dict[str, Any] = {
        "number": entry.number,
        "sequence": entry.sequence,
        "kind": KIND_NAMES[entry.kind],
        "time": format_time(entry.reading_ns),
        "reading_ns": entry.reading_ns,
        "epoch": entry.epoch,
        "segment": entry.segment_number,
        "offset": entry.offset,
    }
    if entry.kind == KIND_START:
        start = read_start(entry)
        names = start.dtype.names or ()
        view["start"] = {name: start[name].tolist() for name in names[len(_ENTRY_COLUMNS) :]}
    elif entry.kind == KIND_CHANGE:
        change = read_change(entry)
        message = _parse(state_pb2.StateChange, change.change, entry)
        view["change"] = {**view_message(message), "deleted": change.deleted}
    elif entry.kind in CALL_KINDS:
        request, answer, call = parse_call(entry)
        view["identity"] = call.identity.decode(errors="replace")
        view["request"] = view_message(request)
        view["answer"] = view_message(answer)
        view["readings"] = [_view_reading(reading) for reading in call.readings]
    elif entry.kind == KIND_EVENT:
        view["event"] = view_event(read_event(entry))
    return {key: replace_infinite(value) for key, value in view.items()}


_ENTRY_COLUMNS: Final = ("size_and_checksum", "number", "sequence", "kind", "synced", "reading_ns")


def parse_call(entry: Entry) -> tuple[Any, Any, Any]:
    """Return the messages of request and answer, and the Call that they stand in."""
    call = read_call(entry)
    request_type, answer_type = CALL_MESSAGES[entry.kind]
    return (
        _parse(request_type, call.request, entry),
        _parse(answer_type, call.answer, entry),
        call,
    )


def format_time(reading_ns: int) -> str:
    """Return RFC 3339 in UTC with nanoseconds."""
    seconds, rest_ns = divmod(reading_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"


def replace_infinite(value: Any) -> Any:
    """Return the value with null in place of the numbers that JSON cannot write."""
    if isinstance(value, dict):
        return {key: replace_infinite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_infinite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(message_type: Any, data: bytes, entry: Entry) -> Any:
    try:
        return message_type.FromString(data)
    except DecodeError as error:
        raise JournalCorruptError(
            f"no {message_type.DESCRIPTOR.name}: {error}",
            path=f"segment {entry.segment_number}",
            offset=entry.offset,
            number=entry.number,
        ) from error


def _list_decide(head: Ids, request: Any, answer: Any) -> Iterator[Ids]:
    yield head._replace(
        sequence=answer.decision_id,
        account=request.account_id,
        id=request.client_order_id,
        result=view_enum(_VERDICT, answer.verdict) or "",
    )


def _list_batch(head: Ids, request: Any, answer: Any) -> Iterator[Ids]:
    for item, result in zip(request.requests, answer.results, strict=True):
        yield from _list_result(head, item, result)


def _list_result(head: Ids, request: Any, result: Any) -> Iterator[Ids]:
    if result.WhichOneof("result") == "error":
        ids = head._replace(account=request.account_id, id=request.client_order_id)
        yield ids._replace(result="error")
    else:
        yield from _list_decide(head, request, result.response)


def _list_report(head: Ids, request: Any, answer: Any) -> Iterator[Ids]:
    report = request.report
    outcome = view_enum(_OUTCOME, answer.outcome) or ""
    yield head._replace(account=report.account_id, id=report.report_id, result=outcome)


def _list_sync(head: Ids, request: Any, answer: Any) -> Iterator[Ids]:
    yield head._replace(account=request.account_id, result=f"{len(answer.differences)} differences")


def _list_acknowledge(head: Ids, request: Any, answer: Any) -> Iterator[Ids]:
    result = "succeeded" if request.success else "failed"
    yield head._replace(
        account=answer.directive.account_id, id=str(request.directive_id), result=result
    )


_LIST_CALL: Final = {
    KIND_DECIDE: _list_decide,
    KIND_BATCH: _list_batch,
    KIND_STREAM: lambda head, request, answer: _list_result(head, request.request, answer),
    KIND_REPORT: _list_report,
    KIND_SYNC: _list_sync,
    KIND_ACKNOWLEDGE: _list_acknowledge,
}


def _view_reading(reading: Any) -> dict[str, Any]:
    """Return a READING; its statuses by the name of the reason, absent ones left out."""
    view = {name: reading[name].item() for name in reading.dtype.names if name != "status"}
    binding = view["binding"]
    view["binding"] = view_enum(_REASON, REASON_CODES[binding - 1]) if binding else None
    view["status"] = {
        str(view_enum(_REASON, code)): view_enum(_STATUS, int(status))
        for code, status in zip(REASON_CODES, reading["status"], strict=False)
        if status != S_ABSENT
    }
    return view
