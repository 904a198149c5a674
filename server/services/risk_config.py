"""RiskConfigService: limits of accounts with their symbol overrides.

Engines know one configuration per account, the active one: what changes it is published under the
account's key.
"""

from typing import Any

from riskgate.v1 import risk_config_pb2 as pb
from riskgate.v1 import risk_config_pb2_grpc, state_pb2
from server import feed
from server.changes import risk_configuration_rows
from server.entities import RiskConfiguration
from server.errors import NotFoundError, PreconditionError
from server.forms import fields
from server.forms.risk_configuration import read_risk_configuration, write_risk_configuration
from server.record.admin_change import AdminChange, admin_change
from server.record.paging import decode_token, encode_token, page_size
from server.record.pool import connection
from server.record.reference import AccountRepository
from server.record.risk_configurations import KIND, RiskConfigurationRepository
from server.security.caller import current_call
from server.services.writing import UNCHANGED, UPDATED, Parts


class RiskConfigService(risk_config_pb2_grpc.RiskConfigServiceServicer):
    """Risk configurations; see protos/riskgate/v1/risk_config.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._configurations = RiskConfigurationRepository()
        self._accounts = AccountRepository()

    async def CreateRiskConfiguration(
        self, request: pb.CreateRiskConfigurationRequest, context: Any
    ) -> pb.CreateRiskConfigurationResponse:
        """Store a new configuration with all its symbol rows, or nothing."""
        configuration, rows = _read(request)
        async with admin_change(self._parts.pool, fields.note(request)) as change:
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
        async with admin_change(self._parts.pool, fields.note(request)) as change:
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
        async with connection(self._parts.pool) as database:
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
        async with connection(self._parts.pool) as database:
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
        async with admin_change(self._parts.pool, fields.note(request)) as change:
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

    async def _require_account(self, change: AdminChange, account_id: str) -> None:
        if await self._accounts.get(change.database, account_id) is None:
            raise PreconditionError(f"account {account_id} is not on record")


def _read(
    request: pb.CreateRiskConfigurationRequest | pb.UpdateRiskConfigurationRequest,
) -> tuple[RiskConfiguration, bytes]:
    configuration = read_risk_configuration(fields.require(request, "configuration"))
    with fields.inside("configuration"):
        return configuration, risk_configuration_rows(configuration)


async def _publish(change: AdminChange, account_id: str, rows: bytes) -> None:
    key = feed.account_key(account_id)
    await change.publish(state_pb2.CHANGE_KIND_RISK_CONFIGURATION, key, rows)


def _key(configuration: RiskConfiguration) -> str:
    return f"{configuration.account_id}/{configuration.config_id}"
