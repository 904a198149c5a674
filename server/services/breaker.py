"""BreakerService: definitions of circuit breakers and the record of their trips."""

from datetime import UTC, datetime
from typing import Any

from riskgate.v1 import breaker_pb2 as pb
from riskgate.v1 import breaker_pb2_grpc, state_pb2
from server.breaker_changes import breaker_reset_rows, breaker_rows
from server.errors import NotFoundError, PreconditionError
from server.forms import fields
from server.forms.breaker import (
    read_breaker,
    read_breaker_id,
    read_event,
    write_breaker,
    write_event,
)
from server.record.admin_change import AdminChange
from server.record.circuit_breakers import KIND, StoredBreaker
from server.record.paging import decode_token, encode_token, page_size
from server.record.repositories import Repositories
from server.security.caller import current_call
from server.services.dry_run import read_dry_run
from server.services.writing import UNCHANGED, UPDATED, Parts
from server.trust_errors import ObjectDeniedError


class BreakerService(breaker_pb2_grpc.BreakerServiceServicer):
    """Circuit breakers; see protos/riskgate/v1/breaker.proto."""

    def __init__(self, parts: Parts, repositories: Repositories | None = None) -> None:
        repositories = repositories or Repositories()
        self._parts = parts
        self._breakers = repositories.breakers
        self._accounts = repositories.accounts
        self._decisions = repositories.decisions

    async def CreateBreaker(
        self, request: pb.CreateBreakerRequest, context: Any
    ) -> pb.CreateBreakerResponse:
        """Store a new breaker."""
        breaker = read_breaker(fields.require(request, "breaker"))
        async with self._parts.change(fields.note(request)) as change:
            if await self._accounts.get(change.database, breaker.account_id) is None:
                raise PreconditionError(f"account {breaker.account_id} is not on record")
            stored = await self._breakers.create(change.database, breaker)
            await _publish(change, "create", None, stored)
        self._parts.publisher.wake()
        return pb.CreateBreakerResponse(breaker=write_breaker(stored), state_version=change.version)

    async def UpdateBreaker(
        self, request: pb.UpdateBreakerRequest, context: Any
    ) -> pb.UpdateBreakerResponse:
        """Replace a breaker; its account stays."""
        message = fields.require(request, "breaker")
        breaker_id = read_breaker_id(message.breaker_id, "breaker.breaker_id")
        breaker = read_breaker(message)
        expected = request.expected_version if request.HasField("expected_version") else None
        outcome = UNCHANGED
        async with self._parts.change(fields.note(request)) as change:
            old = await self._require(change, breaker_id)
            stored = old
            if old.breaker.account_id != breaker.account_id:
                raise PreconditionError("a breaker cannot move to another account")
            if old.breaker != breaker or expected not in {None, old.version}:
                stored = await self._breakers.update(
                    change.database, breaker_id, breaker, expected_version=expected
                )
                outcome = UPDATED
                await _publish(change, "update", old, stored)
        self._parts.publisher.wake()
        return pb.UpdateBreakerResponse(
            breaker=write_breaker(stored), outcome=outcome, state_version=change.version
        )

    async def DeleteBreaker(
        self, request: pb.DeleteBreakerRequest, context: Any
    ) -> pb.DeleteBreakerResponse:
        """Remove a breaker with its events."""
        breaker_id = read_breaker_id(request.breaker_id)
        async with self._parts.change(fields.note(request)) as change:
            old = await self._require(change, breaker_id)
            await self._breakers.delete(change.database, breaker_id)
            await change.publish(state_pb2.CHANGE_KIND_BREAKER, str(breaker_id), b"")
            await change.audit("delete", "circuit_breaker", str(breaker_id), old=old.breaker)
        self._parts.publisher.wake()
        return pb.DeleteBreakerResponse(state_version=change.version)

    async def GetBreaker(
        self, request: pb.GetBreakerRequest, context: Any
    ) -> pb.GetBreakerResponse:
        """Return one breaker by id, or by name inside an account.

        Whoever may not use every account hears the same of another's breaker as of none: that
        would tell which ids are taken.
        """
        caller = current_call().caller
        async with self._parts.reading() as database:
            if request.breaker_id:
                breaker_id = read_breaker_id(request.breaker_id)
                stored = await self._breakers.get_by_id(database, breaker_id)
            else:
                name = fields.identifier(request.name, "name")
                account_id = fields.identifier(request.account_id, "account_id")
                caller.require_account(account_id)
                stored = await self._breakers.get_by_name(database, name, account_id)
        if stored is None:
            if request.breaker_id and caller.accounts is not None:
                raise ObjectDeniedError
            raise NotFoundError(KIND, request.breaker_id or request.name)
        caller.require_account(stored.breaker.account_id)
        return pb.GetBreakerResponse(breaker=write_breaker(stored))

    async def ListBreakers(
        self, request: pb.ListBreakersRequest, context: Any
    ) -> pb.ListBreakersResponse:
        """Return a page of the breakers of accounts that the caller may use."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        async with self._parts.reading() as database:
            found = await self._breakers.page(
                database,
                account_id=request.account_id,
                after=after,
                limit=limit,
                among=current_call().caller.accounts,
            )
        last = found[-1].breaker if len(found) == limit else None
        return pb.ListBreakersResponse(
            breakers=map(write_breaker, found),
            next_page_token=encode_token([last.account_id, last.name]) if last else "",
        )

    async def EnableBreaker(
        self, request: pb.EnableBreakerRequest, context: Any
    ) -> pb.EnableBreakerResponse:
        """Let a breaker trip again."""
        stored, changed, version = await self._switch(request, enabled=True)
        return pb.EnableBreakerResponse(
            breaker=write_breaker(stored),
            outcome=UPDATED if changed else UNCHANGED,
            state_version=version,
        )

    async def DisableBreaker(
        self, request: pb.DisableBreakerRequest, context: Any
    ) -> pb.DisableBreakerResponse:
        """Keep a breaker from tripping."""
        stored, changed, version = await self._switch(request, enabled=False)
        return pb.DisableBreakerResponse(
            breaker=write_breaker(stored),
            outcome=UPDATED if changed else UNCHANGED,
            state_version=version,
        )

    async def ResetBreaker(
        self, request: pb.ResetBreakerRequest, context: Any
    ) -> pb.ResetBreakerResponse:
        """Close a breaker and forget its trips; its definition stays."""
        breaker_id = read_breaker_id(request.breaker_id)
        async with self._parts.change(fields.note(request)) as change:
            old = await self._require(change, breaker_id)
            now = datetime.now(UTC)
            stored = await self._breakers.reset(change.database, breaker_id, now)
            key = str(breaker_id)
            rows = breaker_reset_rows(key, now)
            await change.publish(state_pb2.CHANGE_KIND_BREAKER_RESET, key, rows)
            before, after = (
                {**self._breakers.to_dict(each), "reset_at": each.reset_at}
                for each in (old, stored)
            )
            await change.audit("reset", "circuit_breaker", key, old=before, new=after)
        self._parts.publisher.wake()
        return pb.ResetBreakerResponse(breaker=write_breaker(stored), state_version=change.version)

    async def TestBreaker(
        self, request: pb.TestBreakerRequest, context: Any
    ) -> pb.TestBreakerResponse:
        """Ask of the account's recorded decisions whether a breaker would have tripped."""
        dry_run = read_dry_run(request)
        async with self._parts.reading() as database:
            if await self._accounts.get(database, dry_run.account_id) is None:
                raise PreconditionError(f"account {dry_run.account_id} is not on record")
            recorded = await self._decisions.newest(
                database, dry_run.account_id, dry_run.decision_count
            )
        return dry_run.judge(recorded)

    async def LogBreakerEvent(
        self, request: pb.LogBreakerEventRequest, context: Any
    ) -> pb.LogBreakerEventResponse:
        """Add a trip that no engine reports."""
        breaker_id = read_breaker_id(request.breaker_id)
        async with self._parts.change(fields.note(request)) as change:
            stored = await self._require(change, breaker_id)
            told = read_event(request, stored.breaker)
            event = await self._breakers.log_event(change.database, breaker_id, **told)
            shown = self._breakers.event_to_dict(event)
            await change.audit("log", "circuit_breaker_event", str(event["event_id"]), new=shown)
        return pb.LogBreakerEventResponse(event=write_event(event))

    async def ListBreakerEvents(
        self, request: pb.ListBreakerEventsRequest, context: Any
    ) -> pb.ListBreakerEventsResponse:
        """Return a page of trips, newest first."""
        limit = page_size(request.page_size)
        before = decode_token(request.page_token, 1)
        breaker_id = read_breaker_id(request.breaker_id) if request.breaker_id else None
        async with self._parts.reading() as database:
            events = await self._breakers.get_events(
                database,
                breaker_id,
                limit,
                before_event_id=read_breaker_id(before[0], "page_token") if before else None,
            )
        return pb.ListBreakerEventsResponse(
            events=map(write_event, events),
            next_page_token=encode_token([str(events[-1]["event_id"])])
            if len(events) == limit
            else "",
        )

    async def _switch(
        self, request: pb.EnableBreakerRequest | pb.DisableBreakerRequest, *, enabled: bool
    ) -> tuple[StoredBreaker, bool, int]:
        breaker_id = read_breaker_id(request.breaker_id)
        async with self._parts.change(fields.note(request)) as change:
            old = await self._require(change, breaker_id)
            switch = self._breakers.enable if enabled else self._breakers.disable
            stored = await switch(change.database, breaker_id)
            if stored != old:
                await _publish(change, "enable" if enabled else "disable", old, stored)
        self._parts.publisher.wake()
        return stored, stored != old, change.version

    async def _require(self, change: AdminChange, breaker_id: int) -> StoredBreaker:
        stored = await self._breakers.get_by_id(change.database, breaker_id)
        if stored is None:
            raise NotFoundError(KIND, str(breaker_id))
        return stored


async def _publish(
    change: AdminChange, action: str, old: StoredBreaker | None, stored: StoredBreaker
) -> None:
    key = str(stored.breaker_id)
    with fields.inside("breaker"):
        rows = breaker_rows(stored.breaker, key)
    await change.publish(state_pb2.CHANGE_KIND_BREAKER, key, rows)
    await change.audit(action, "circuit_breaker", key, old=old and old.breaker, new=stored.breaker)
