"""ReferenceService: instruments and accounts."""

from datetime import UTC, datetime
from typing import Any

from riskgate.v1 import reference_pb2 as pb
from riskgate.v1 import reference_pb2_grpc, state_pb2
from server import feed
from server.changes import account_rows, instrument_rows
from server.entities import Instrument
from server.errors import NotFoundError, PreconditionError
from server.forms import fields
from server.forms.reference import read_account, read_instrument, write_account, write_instrument
from server.record.admin_change import AdminChange
from server.record.decisions import DecisionRepository
from server.record.paging import decode_token, encode_token, page_size
from server.record.reference import AccountRepository, InstrumentRepository
from server.security.caller import current_call
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts, outcome_word


class ReferenceService(reference_pb2_grpc.ReferenceServiceServicer):
    """Instruments and accounts; see protos/riskgate/v1/reference.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._instruments = InstrumentRepository()
        self._accounts = AccountRepository()
        self._decisions = DecisionRepository()

    async def PutInstrument(
        self, request: pb.PutInstrumentRequest, context: Any
    ) -> pb.PutInstrumentResponse:
        """Create or replace an instrument."""
        instrument = read_instrument(fields.require(request, "instrument"))
        with fields.inside("instrument"):
            rows = instrument_rows(instrument)
        key = instrument.symbol
        async with self._parts.change(fields.note(request)) as change:
            old = await self._instruments.get(change.database, key)
            outcome = CREATED if old is None else UPDATED
            if old == instrument:
                outcome = UNCHANGED
            else:
                if old is not None:
                    await self._require_same_steps(change, old, instrument)
                await self._instruments.put(change.database, instrument)
                await change.publish(state_pb2.CHANGE_KIND_INSTRUMENT, key, rows)
                action = outcome_word(outcome)
                await change.audit(action, "instrument", key, old=old, new=instrument)
        self._parts.publisher.wake()
        return pb.PutInstrumentResponse(
            instrument=write_instrument(instrument),
            outcome=outcome,
            state_version=change.version,
        )

    async def _require_same_steps(
        self, change: AdminChange, old: Instrument, new: Instrument
    ) -> None:
        """Do nothing where ticks and lots count as before, or nobody is known to hold any.

        Engines count positions in lot steps and their cost in ticks.

        Raises:
            PreconditionError: An account has a position or an order in it.
        """
        if (old.tick_size, old.lot_step) == (new.tick_size, new.lot_step):
            return
        account_id = await self._decisions.find_open(change.database, new.symbol)
        if account_id is not None:
            problem = f"{new.symbol} is open in account {account_id}: tick_size and lot_step stay"
            raise PreconditionError(problem)

    async def GetInstrument(
        self, request: pb.GetInstrumentRequest, context: Any
    ) -> pb.GetInstrumentResponse:
        """Return one instrument."""
        symbol = fields.symbol(request.symbol)
        async with self._parts.reading() as database:
            instrument = await self._instruments.get(database, symbol)
        if instrument is None:
            raise NotFoundError("instrument", symbol)
        return pb.GetInstrumentResponse(instrument=write_instrument(instrument))

    async def ListInstruments(
        self, request: pb.ListInstrumentsRequest, context: Any
    ) -> pb.ListInstrumentsResponse:
        """Return a page of instruments."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        async with self._parts.reading() as database:
            found = await self._instruments.page(database, after=after, limit=limit)
        return pb.ListInstrumentsResponse(
            instruments=map(write_instrument, found),
            next_page_token=encode_token([found[-1].symbol]) if len(found) == limit else "",
        )

    async def DeleteInstrument(
        self, request: pb.DeleteInstrumentRequest, context: Any
    ) -> pb.DeleteInstrumentResponse:
        """Remove an instrument with its kept market context."""
        symbol = fields.symbol(request.symbol)
        async with self._parts.change(fields.note(request)) as change:
            old = await self._instruments.get(change.database, symbol)
            if not await self._instruments.delete(change.database, symbol):
                raise NotFoundError("instrument", symbol)
            await change.publish(state_pb2.CHANGE_KIND_INSTRUMENT, symbol, b"")
            await change.audit("delete", "instrument", symbol, old=old)
        self._parts.publisher.wake()
        return pb.DeleteInstrumentResponse(state_version=change.version)

    async def PutAccount(
        self, request: pb.PutAccountRequest, context: Any
    ) -> pb.PutAccountResponse:
        """Create or replace an account; its equity mark stays unless the request brings another."""
        message = fields.require(request, "account")
        key = fields.identifier(message.account_id, "account.account_id")
        async with self._parts.change(fields.note(request)) as change:
            old = await self._accounts.get(change.database, key)
            account = read_account(message, old, datetime.now(UTC))
            outcome = CREATED if old is None else UPDATED
            if old == account:
                outcome = UNCHANGED
            else:
                await self._accounts.put(change.database, account)
                await change.publish(
                    state_pb2.CHANGE_KIND_ACCOUNT, feed.account_key(key), account_rows(account)
                )
                action = outcome_word(outcome)
                await change.audit(action, "account", key, old=old, new=account)
        self._parts.publisher.wake()
        return pb.PutAccountResponse(
            account=write_account(account), outcome=outcome, state_version=change.version
        )

    async def GetAccount(
        self, request: pb.GetAccountRequest, context: Any
    ) -> pb.GetAccountResponse:
        """Return one account as people described it; its running equity lives in the engine."""
        account_id = fields.identifier(request.account_id, "account_id")
        async with self._parts.reading() as database:
            account = await self._accounts.get(database, account_id)
        if account is None:
            raise NotFoundError("account", account_id)
        return pb.GetAccountResponse(account=write_account(account))

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, context: Any
    ) -> pb.ListAccountsResponse:
        """Return a page of the accounts that the caller may use."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 1)
        async with self._parts.reading() as database:
            found = await self._accounts.page(
                database, after=after, limit=limit, among=current_call().caller.accounts
            )
        return pb.ListAccountsResponse(
            accounts=map(write_account, found),
            next_page_token=encode_token([found[-1].account_id]) if len(found) == limit else "",
        )

    async def DeleteAccount(
        self, request: pb.DeleteAccountRequest, context: Any
    ) -> pb.DeleteAccountResponse:
        """Remove an account that nothing refers to."""
        account_id = fields.identifier(request.account_id, "account_id")
        async with self._parts.change(fields.note(request)) as change:
            old = await self._accounts.get(change.database, account_id)
            if not await self._accounts.delete(change.database, account_id):
                raise NotFoundError("account", account_id)
            key = feed.account_key(account_id)
            await change.publish(state_pb2.CHANGE_KIND_ACCOUNT, key, b"")
            await change.audit("delete", "account", account_id, old=old)
        self._parts.publisher.wake()
        return pb.DeleteAccountResponse(state_version=change.version)
