"""RiskConfigService: limits of accounts with their symbol overrides.

Engines know one configuration per account, the active one: what changes it is published under the
account's key.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from riskgate.v1 import admin_pb2, risk_config_pb2_grpc, state_pb2
from riskgate.v1 import risk_config_pb2 as pb
from server import feed
from server.changes import risk_configuration_rows, strategy_rows
from server.entities import RiskConfiguration
from server.errors import InvalidFieldError, NotFoundError, PreconditionError
from server.forms import fields
from server.forms.risk_configuration import read_risk_configuration, write_risk_configuration
from server.forms.saved_limits import keep_definition, write_account_limits
from server.record.admin_change import AdminChange, Note
from server.record.paging import decode_token, encode_token, page_size
from server.record.repositories import Repositories
from server.record.risk_configurations import KIND, StoredRiskConfiguration
from server.security.caller import current_call
from server.services.writing import CREATED, UNCHANGED, UPDATED, Parts


class RiskConfigService(risk_config_pb2_grpc.RiskConfigServiceServicer):
    """Risk configurations; see protos/riskgate/v1/risk_config.proto."""

    def __init__(self, parts: Parts, repositories: Repositories | None = None) -> None:
        repositories = repositories or Repositories()
        self._parts = parts
        self._configurations = repositories.configurations
        self._accounts = repositories.accounts
        self._breakers = repositories.breakers
        self._strategies = repositories.strategies

    async def CreateRiskConfiguration(
        self, request: pb.CreateRiskConfigurationRequest, context: Any
    ) -> pb.CreateRiskConfigurationResponse:
        """Store a new configuration with all its symbol rows, or nothing."""
        configuration, rows = _read(request)
        async with self._parts.change(fields.note(request)) as change:
            await self._require_account(change, configuration.account_id)
            stored = await self._configurations.create(change.database, configuration)
            if configuration.is_active:
                await _publish(change, configuration.account_id, rows)
            key = _key(configuration)
            await change.audit("create", "risk_configuration", key, new=configuration)
        self._parts.publisher.wake()
        return pb.CreateRiskConfigurationResponse(
            configuration=write_risk_configuration(stored), state_version=change.version
        )

    async def UpdateRiskConfiguration(
        self, request: pb.UpdateRiskConfigurationRequest, context: Any
    ) -> pb.UpdateRiskConfigurationResponse:
        """Replace a configuration with all its symbol rows, or nothing."""
        configuration, rows = _read(request)
        account_id = configuration.account_id
        expected = request.expected_version if request.HasField("expected_version") else None
        outcome = UPDATED
        async with self._parts.change(fields.note(request)) as change:
            database = change.database
            old = await self._configurations.get_by_id(
                database, configuration.config_id, account_id
            )
            if old is not None and old.configuration == configuration:
                stored, outcome = old, UNCHANGED
            if outcome == UPDATED or expected not in {None, stored.version}:
                stored = await self._configurations.update(
                    database, configuration, expected_version=expected
                )
                was_active = old is not None and old.configuration.is_active
                if configuration.is_active or was_active:
                    await _publish(change, account_id, rows if configuration.is_active else b"")
                await change.audit(
                    "update",
                    "risk_configuration",
                    _key(configuration),
                    old=old and old.configuration,
                    new=configuration,
                )
        self._parts.publisher.wake()
        return pb.UpdateRiskConfigurationResponse(
            configuration=write_risk_configuration(stored),
            outcome=outcome,
            state_version=change.version,
        )

    async def GetRiskConfiguration(
        self, request: pb.GetRiskConfigurationRequest, context: Any
    ) -> pb.GetRiskConfigurationResponse:
        """Return one configuration."""
        config_id = fields.identifier(request.config_id, "config_id")
        account_id = fields.identifier(request.account_id, "account_id")
        async with self._parts.reading() as database:
            stored = await self._configurations.get_by_id(database, config_id, account_id)
        if stored is None:
            raise NotFoundError(KIND, config_id)
        return pb.GetRiskConfigurationResponse(configuration=write_risk_configuration(stored))

    async def ListRiskConfigurations(
        self, request: pb.ListRiskConfigurationsRequest, context: Any
    ) -> pb.ListRiskConfigurationsResponse:
        """Return a page of the configurations of accounts that the caller may use."""
        limit = page_size(request.page_size)
        after = decode_token(request.page_token, 2)
        async with self._parts.reading() as database:
            found = await self._configurations.page(
                database,
                account_id=request.account_id,
                after=after,
                limit=limit,
                among=current_call().caller.accounts,
            )
        last = found[-1].configuration if len(found) == limit else None
        return pb.ListRiskConfigurationsResponse(
            configurations=map(write_risk_configuration, found),
            next_page_token=encode_token([last.account_id, last.config_id]) if last else "",
        )

    async def DeleteRiskConfiguration(
        self, request: pb.DeleteRiskConfigurationRequest, context: Any
    ) -> pb.DeleteRiskConfigurationResponse:
        """Remove a configuration; an account without an active one is denied every new risk."""
        config_id = fields.identifier(request.config_id, "config_id")
        account_id = fields.identifier(request.account_id, "account_id")
        async with self._parts.change(fields.note(request)) as change:
            old = await self._configurations.get_by_id(change.database, config_id, account_id)
            if old is None:
                raise NotFoundError(KIND, config_id)
            await self._configurations.delete(change.database, config_id, account_id)
            if old.configuration.is_active:
                await _publish(change, account_id, b"")
            key = _key(old.configuration)
            await change.audit("delete", "risk_configuration", key, old=old.configuration)
        self._parts.publisher.wake()
        return pb.DeleteRiskConfigurationResponse(state_version=change.version)

    async def LoadRiskConfiguration(
        self, request: pb.LoadRiskConfigurationRequest, context: Any
    ) -> pb.LoadRiskConfigurationResponse:
        """Return a configuration with the breakers saved with it, else with the present ones."""
        config_id = fields.identifier(request.config_id, "config_id")
        account_id = fields.identifier(request.account_id, "account_id")
        async with self._parts.reading() as database:
            stored = await self._configurations.get_by_id(database, config_id, account_id)
            if stored is None:
                raise NotFoundError(KIND, config_id)
            present = await self._breakers.get_all_for_account(database, account_id)
        return pb.LoadRiskConfigurationResponse(limits=write_account_limits(stored, present))

    async def SaveRiskConfiguration(
        self, request: pb.SaveRiskConfigurationRequest, context: Any
    ) -> pb.SaveRiskConfigurationResponse:
        """Keep what is active, with the account's breakers, under another name."""
        config_id = fields.identifier(request.config_id, "config_id")
        account_id = fields.identifier(request.account_id, "account_id")
        expected = request.expected_version if request.HasField("expected_version") else None
        async with self._parts.change(fields.note(request)) as change:
            active = await self._configurations.get_active(change.database, account_id)
            if active is None:
                raise PreconditionError(f"account {account_id} has no active configuration")
            if active.configuration.config_id == config_id:
                raise InvalidFieldError("config_id", "is that of the active configuration")
            copied = replace(active.configuration, config_id=config_id, is_active=False)
            stored, outcome = await self._save(change, copied, expected)
        return pb.SaveRiskConfigurationResponse(
            limits=write_account_limits(stored, ()), outcome=outcome
        )

    async def EnableStrategy(
        self, request: pb.EnableStrategyRequest, context: Any
    ) -> pb.EnableStrategyResponse:
        """Let a strategy go on that its repeated executions have stopped."""
        account_id = fields.identifier(request.account_id, "account_id")
        strategy_id = fields.identifier(request.strategy_id, "strategy_id")
        note = fields.note(request)
        _require_person(note)
        async with self._parts.change(note) as change:
            await self._require_account(change, account_id)
            enabled_at = datetime.now(UTC)
            await self._strategies.enable(change.database, account_id, strategy_id, enabled_at)
            key = feed.strategy_key(account_id, strategy_id)
            rows = strategy_rows(account_id, strategy_id, enabled_at)
            await change.publish(state_pb2.CHANGE_KIND_STRATEGY, key, rows)
            named = f"{account_id}/{strategy_id}"
            await change.audit("enable", "strategy", named, new={"enabled_at": enabled_at})
        self._parts.publisher.wake()
        return pb.EnableStrategyResponse(
            enabled_at=fields.timestamp(enabled_at), state_version=change.version
        )

    async def _save(
        self, change: AdminChange, copied: RiskConfiguration, expected: int | None
    ) -> tuple[StoredRiskConfiguration, admin_pb2.ChangeOutcome]:
        """Store a copy with the account's breakers, unless it is there already."""
        database, name = change.database, (copied.config_id, copied.account_id)
        present = await self._breakers.get_all_for_account(database, copied.account_id)
        breakers = [keep_definition(breaker) for breaker in present]
        old = await self._configurations.get_by_id(database, *name)
        if (
            old is not None
            and (old.configuration, old.saved_breakers) == (copied, breakers)
            and expected in {None, old.version}
        ):
            return old, UNCHANGED
        if old is None and expected is None:
            await self._configurations.create(database, copied)
        else:
            await self._configurations.update(database, copied, expected_version=expected)
        stored = await self._configurations.keep_breakers(database, *name, breakers)
        await change.audit(
            "save",
            "risk_configuration",
            _key(copied),
            old=old and old.configuration,
            new={**self._configurations.to_dict(stored), "breakers": breakers},
        )
        return stored, CREATED if old is None else UPDATED

    async def _require_account(self, change: AdminChange, account_id: str) -> None:
        if await self._accounts.get(change.database, account_id) is None:
            raise PreconditionError(f"account {account_id} is not on record")


def _read(
    request: pb.CreateRiskConfigurationRequest | pb.UpdateRiskConfigurationRequest,
) -> tuple[RiskConfiguration, bytes]:
    configuration = read_risk_configuration(fields.require(request, "configuration"))
    with fields.inside("configuration"):
        return configuration, risk_configuration_rows(configuration)


def _require_person(note: Note) -> None:
    """Do nothing where the connection or the request says who answers for this.

    Raises:
        InvalidFieldError: Neither does.
    """
    if current_call().caller.is_insecure and not note.actor:
        raise InvalidFieldError("note.actor", "is required: a person must answer for this")


async def _publish(change: AdminChange, account_id: str, rows: bytes) -> None:
    key = feed.account_key(account_id)
    await change.publish(state_pb2.CHANGE_KIND_RISK_CONFIGURATION, key, rows)


def _key(configuration: RiskConfiguration) -> str:
    return f"{configuration.account_id}/{configuration.config_id}"
