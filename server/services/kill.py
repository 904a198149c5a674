"""KillService on the control port: the record's side of the kill switch."""

from typing import Any

from riskgate.v1 import kill_pb2 as pb
from riskgate.v1 import kill_pb2_grpc
from server.errors import PreconditionError
from server.forms import fields
from server.forms.kill import read_killed_at, read_mode, read_note, read_target, read_targets
from server.forms.kill_view import write_switch
from server.kill_rows import CONTROL
from server.note import Note
from server.record.admin_change import admin_change
from server.record.kill_latch import latch
from server.record.kill_switches import KillEvent, KillSwitchRepository
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import connection
from server.security.caller import current_call
from server.services.writing import Parts

_TOKEN_PARTS = 3


class KillService(kill_pb2_grpc.KillServiceServicer):
    """The kill switch; see protos/riskgate/v1/kill.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._switches = KillSwitchRepository()

    async def Kill(self, request: pb.KillRequest, context: Any) -> pb.KillResponse:
        """Latch a kill in the record and publish it."""
        target, mode = read_target(fields.require(request, "target")), read_mode(request.mode)
        note = read_note(request)
        async with admin_change(self._parts.pool, note) as change:
            known = await self._switches.get(change.database, target)
            at_ns = read_killed_at(request, known.rearmed_at(mode))
            times = await latch(change, target, _event(note, mode, at_ns, is_rearming=False))
        self._parts.publisher.wake()
        return pb.KillResponse(
            confirmed_by=CONTROL,
            latched=times.stops(mode),
            killed_at_ns=times.killed_at(mode),
            state_version=change.version,
        )

    async def Rearm(self, request: pb.RearmRequest, context: Any) -> pb.RearmResponse:
        """End what the record knows of; a kill that only an engine knows is newer and stays."""
        targets, mode = read_targets(request.targets), read_mode(request.mode)
        note = read_note(request)
        switches = []
        async with admin_change(self._parts.pool, note) as change:
            for target in targets:
                known = await self._switches.get(change.database, target)
                if not known.stops(mode):
                    raise PreconditionError(f"{target.key} is not killed in this mode")
                event = _event(note, mode, known.killed_at(mode), is_rearming=True)
                times = await latch(change, target, event)
                events = await self._switches.events(change.database, target)
                switches.append(write_switch(target, times, events))
        self._parts.publisher.wake()
        return pb.RearmResponse(kill_switches=switches, state_version=change.version)

    async def ListKills(self, request: pb.ListKillsRequest, context: Any) -> pb.ListKillsResponse:
        """Return a page of what is or was killed."""
        limit = page_size(request.page_size)
        after = _read_token(request.page_token)
        async with connection(self._parts.pool) as database:
            found = await self._switches.page(
                database, include_rearmed=request.include_rearmed, after=after, limit=limit
            )
            switches = [
                write_switch(target, times, await self._switches.events(database, target))
                for target, times in found
            ]
        token = ""
        if len(found) == limit:
            last = found[-1][0]
            token = encode_token([str(last.scope), str(last.provider_type), last.name])
        return pb.ListKillsResponse(kill_switches=switches, next_page_token=token)


def _event(note: Note, mode: int, at_ns: int, *, is_rearming: bool) -> KillEvent:
    return KillEvent(
        is_rearming=is_rearming,
        mode=mode,
        at_ns=at_ns,
        caller=current_call().caller.uri,
        actor=note.actor,
        reason=note.reason,
        said_to=CONTROL,
    )


def _read_token(token: str) -> tuple[int, int, str] | None:
    key = decode_token(token, _TOKEN_PARTS)
    if key is None:
        return None
    scope, provider_type = (int(part) if part.isdecimal() else 0 for part in key[:2])
    return scope, provider_type, key[2]
