"""`riskgate drill`: kill sandbox accounts under a flood of orders and measure how soon it holds."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

import riskgate
from riskgate.channel import DATA_DIR_DEFAULT
from riskgate.control import ControlClient
from riskgate.shards import find_shard
from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import reference_pb2
from riskgate.v1 import types_pb2 as types
from server.commands.control_port import (
    Actor,
    ControlAddress,
    Otp,
    Reason,
    call,
    call_or_none,
    control_client,
    note,
)
from server.commands.get import KINDS, list_entries
from server.commands.kill import NOT_COMPLETE_EXIT_CODE, require_reason
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json
from server.drilling import Sortie, exercise, is_passed
from server.errors import InvalidFieldError, PreconditionError, RiskgateError, UnavailableError
from server.kill_calls import Confirmation, KillCall
from server.known_engines import find_local, find_others, mark_replaced
from server.shards import Shard

_BATCH: Final = 1_000
_KILL_WAIT_S: Final = 3.0
_MILLISECOND_NS: Final = 1_000_000
Accounts = Annotated[
    list[str], typer.Option("--account", help="Sandbox account; one for each engine at least.")
]
Symbol = Annotated[str, typer.Option("--symbol", help="Of the orders that are sent.")]
Entry = Annotated[float, typer.Option("--entry", help="Their entry price.")]
Stop = Annotated[float, typer.Option("--stop", help="Their stop price.")]
Provider = Annotated[
    str,
    typer.Option("--provider", metavar="TYPE/ID", help="Their provider, channel_source or user."),
]


def drill(
    account: Accounts,
    symbol: Symbol,
    entry: Entry,
    stop: Stop,
    provider: Provider,
    reason: Reason = "",
    otp: Otp = None,
    by: Actor = None,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Flood every engine with dry-run orders of sandbox accounts, kill, measure, re-arm, keep it.

    Exit code 0: every engine has confirmed and approved nothing behind that, and the accounts are
    re-armed; 2: not so.
    """
    require_reason(reason)
    place = data_dir or Path(DATA_DIR_DEFAULT)
    why = note(by, reason)
    with control_client(control, data_dir) as client:
        for account_id in account:
            _require_sandbox(client, account_id)
        order = _order(symbol, entry, stop, provider)
        sorties = _plan(place, list(dict.fromkeys(account)), order)
        instruments = [name for name, _ in list_entries(client, KINDS["instruments"])]
        try:
            for sortie in sorties:
                _require_flat(sortie, instruments)
                _require_approval(sortie)
        except riskgate.NoDecisionError as error:
            raise UnavailableError("decision port", str(error)) from error

        requests: list[pb.KillRequest] = []

        def kill(accounts: Sequence[str]) -> list[Confirmation]:
            now_ns = time.time_ns()
            for each in accounts:
                request = pb.KillRequest(target=_target(each), killed_at_ns=now_ns, note=why)
                requests.append(request)
            return KillCall(
                place,
                requests,
                _KILL_WAIT_S,
                lambda said, left_s: call(client.kills.Kill, said, deadline_s=left_s),
            ).run()

        measured = exercise(sorties, kill)
        # What was measured is kept, even if the code is wrong.
        keep = pb.RecordDrillRequest(report=measured, note=why)
        report = call(client.drills.RecordDrill, keep).report
        is_rearmed = _rearm(client, requests, otp)
    _show(report, as_json=as_json)
    if not (is_passed(report) and is_rearmed):
        raise typer.Exit(NOT_COMPLETE_EXIT_CODE)


def _rearm(client: ControlClient, requests: list[pb.KillRequest], otp: str | None) -> bool:
    """End the kills of a drill; tell whether that was possible."""
    targets = [request.target for request in requests]
    try:
        for request in requests:
            # Once more: control may have been too slow then, and re-arms only what it knows.
            call(client.kills.Kill, request)
        call(client.kills.Rearm, pb.RearmRequest(targets=targets, note=requests[0].note), otp=otp)
    except RiskgateError as error:
        names = ", ".join(target.name for target in targets)
        typer.echo(f"STILL KILLED: {names}: {error}; use `riskgate rearm`", err=True)
        return False
    return True


def _require_sandbox(client: ControlClient, account_id: str) -> None:
    request = reference_pb2.GetAccountRequest(account_id=account_id)
    answer = call_or_none(client.reference.GetAccount, request)
    if answer is None or not answer.account.sandbox:
        raise PreconditionError(
            f"account {account_id} is not marked as a sandbox (sandbox: true in its entry)"
        )


def _plan(place: Path, accounts: list[str], order: riskgate.DecideRequest) -> list[Sortie]:
    """Return where the orders of each account go; every engine must get some."""
    local = find_local(place)
    others = find_others(place, local, time.time_ns())
    engines = {
        Shard.parse(each.shard).index: each
        for each in mark_replaced([*local, *others])
        if each.is_needed
    }
    if not engines:
        raise PreconditionError("no engine is known here")
    count = Shard.parse(next(iter(engines.values())).shard).count
    sorties = []
    for account_id in accounts:
        index = find_shard(account_id, count)
        if index not in engines:
            raise PreconditionError(
                f"engine {index} of {count}, that of account {account_id} is not known"
            )
        mine = riskgate.DecideRequest()
        mine.CopyFrom(order)
        mine.account_id = account_id
        sorties.append(Sortie(place, account_id, engines[index], mine))
    idle = set(engines) - {Shard.parse(each.engine.shard).index for each in sorties}
    if idle:
        raise PreconditionError(
            f"engine {min(idle)} of {count} decides about none of the accounts: name one more"
        )
    return sorties


def _order(symbol: str, entry: float, stop: float, provider: str) -> riskgate.DecideRequest:
    kind, separator, provider_id = provider.partition("/")
    types_by_name: dict[str, Any] = {
        "channel_source": types.PROVIDER_TYPE_CHANNEL_SOURCE,
        "user": types.PROVIDER_TYPE_USER,
    }
    if not separator or kind not in types_by_name:
        raise InvalidFieldError(
            "provider",
            f"must be TYPE and ID with a slash between, TYPE {' or '.join(types_by_name)}",
        )
    return riskgate.DecideRequest(
        symbol=symbol,
        side=types.SIDE_BUY if stop < entry else types.SIDE_SELL,
        entry_price=entry,
        stop_loss=stop,
        provider_type=types_by_name[kind],
        provider_id=provider_id,
        dry_run=True,
    )


def _require_flat(sortie: Sortie, instruments: list[str]) -> None:
    """Refuse an account with a position: every exit of it must be unknown to its engine."""
    with sortie.open_client() as client:
        for start in range(0, len(instruments), _BATCH):
            asked = [
                riskgate.DecideRequest(
                    account_id=sortie.account_id,
                    symbol=symbol,
                    side=types.SIDE_SELL,
                    reduce_only=True,
                    dry_run=True,
                )
                for symbol in instruments[start : start + _BATCH]
            ]
            for request, answer in zip(
                asked, client.decide_batch(asked, idempotent=False), strict=True
            ):
                if (
                    not isinstance(answer, riskgate.DecideResponse)
                    or types.REASON_POSITION_UNKNOWN not in answer.reasons
                ):
                    raise PreconditionError(
                        f"account {sortie.account_id} may have a position in {request.symbol}"
                    )


def _require_approval(sortie: Sortie) -> None:
    with sortie.open_client() as client:
        answer = client.decide(sortie.order, dry_run=True, idempotent=False)
    if answer.lot_size <= 0:
        names = [types.Reason.Name(each).removeprefix("REASON_") for each in answer.reasons]
        raise PreconditionError(
            f"orders of {sortie.account_id} are denied without a kill: {', '.join(names)}"
        )


def _target(account_id: str) -> pb.KillTarget:
    return pb.KillTarget(scope=pb.KILL_SCOPE_ACCOUNT, name=account_id)


def _show(report: pb.DrillReport, *, as_json: bool) -> None:
    if as_json:
        print_json({**view_message(report), "passed": is_passed(report)})
        return
    for each in report.replicas:
        typer.echo(
            f"engine {each.shard:<6} {each.account_id:<20}"
            f" {'confirmed' if each.confirmed else 'NOT CONFIRMED'}"
            f" after {each.confirmation_ns / _MILLISECOND_NS:7.2f} ms,"
            f" last approval after {each.last_approval_ns / _MILLISECOND_NS:7.2f} ms;"
            f" {each.approvals_before} approvals before, {each.denials_by_kill} denials behind,"
            f" {each.approvals_after_confirmation} approvals behind its confirmation"
        )
    typer.echo(f"drill {report.drill_id}: {'passed' if is_passed(report) else 'FAILED'}")
