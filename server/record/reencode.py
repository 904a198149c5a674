"""After an upgrade: encode every entity anew when the rows in the outbox follow another layout.

It is one admin change, so engines see either the old rows or all the new ones under new versions.
"""

from collections.abc import AsyncIterator
from typing import Final

from riskgate.v1 import state_pb2
from server import feed
from server.breaker_changes import breaker_reset_rows, breaker_rows
from server.changes import (
    NO_DIGEST,
    NO_VERSION,
    account_rows,
    identity_rows,
    instrument_rows,
    model_rows,
    policy_rows,
    provider_rows,
    risk_configuration_rows,
    strategy_rows,
)
from server.hotpath.layout import LAYOUT_VERSION
from server.kill_rows import Target, kill_rows
from server.policy import DEFAULT_POLICY, RISK_POLICY
from server.record.admin_change import Note, admin_change
from server.record.circuit_breakers import CircuitBreakerRepository
from server.record.deployments import speaking
from server.record.identities import IdentityRepository
from server.record.kill_switches import KillSwitchRepository
from server.record.policies import PolicyRepository
from server.record.pool import Database, Pool
from server.record.providers import ProviderRepository
from server.record.reference import AccountRepository, InstrumentRepository
from server.record.risk_configurations import RiskConfigurationRepository
from server.record.strategies import StrategyRepository

_PAGE: Final = 1_000
_NOTE: Final = Note(reason="layout of the rows changed")
_OUTDATED: Final = """
SELECT 1 AS outdated FROM riskgate.state_change AS old WHERE layout_version <> %s
AND NOT EXISTS (SELECT 1 FROM riskgate.state_change AS newer WHERE newer.kind = old.kind
                AND newer.key = old.key AND newer.version > old.version) LIMIT 1"""
_KEYS: Final = "SELECT DISTINCT kind, key FROM riskgate.state_change"

Encoded = tuple[state_pb2.ChangeKind, str, bytes]


async def reencode_outdated(pool: Pool) -> int:
    """Publish every entity in the layout of this release if any has another.

    Returns:
        How many entities were encoded anew.

    Raises:
        UnavailableError: PostgreSQL is away.
    """
    async with admin_change(pool, _NOTE) as change:
        found = await (await change.database.execute(_OUTDATED, [LAYOUT_VERSION])).fetchone()
        if found is None:
            return 0
        named = await (await change.database.execute(_KEYS)).fetchall()
        entities = {(kind, key): rows async for kind, key, rows in _entities(change.database)}
        # What is gone stays gone, in the new layout too.
        gone = {(row["kind"], row["key"]): _gone(row["kind"], row["key"]) for row in named}
        gone |= entities
        proofs: dict[tuple[state_pb2.ChangeKind, str], bytes] = {}
        async for kind, key, rows, proof in _artifacts(change.database):
            gone[kind, key], proofs[kind, key] = rows, proof
        for (kind, key), rows in sorted(gone.items()):
            await change.publish(kind, key, rows, proof=proofs.get((kind, key), b""))
        await change.audit("reencode", "state", str(LAYOUT_VERSION), new={"entities": len(gone)})
        return len(gone)


def _gone(kind: int, key: str) -> bytes:
    """Return the rows of an entity that is gone: none, but what speaks is never just missing."""
    if kind == state_pb2.CHANGE_KIND_MODEL:
        return model_rows(key, NO_DIGEST, NO_VERSION, 0)
    if kind == state_pb2.CHANGE_KIND_STRATEGY:
        return strategy_rows(*feed.split_strategy_key(key), None)
    if kind == state_pb2.CHANGE_KIND_BREAKER_RESET:
        return breaker_reset_rows(key, None)
    return policy_rows(DEFAULT_POLICY) if kind == state_pb2.CHANGE_KIND_POLICY else b""


async def _entities(database: Database) -> AsyncIterator[Encoded]:
    after: list[str] | None = None
    instruments = InstrumentRepository()
    while found := await instruments.page(database, after=after, limit=_PAGE):
        for each in found:
            yield state_pb2.CHANGE_KIND_INSTRUMENT, each.symbol, instrument_rows(each)
        after = [found[-1].symbol]
    after, accounts = None, AccountRepository()
    while page := await accounts.page(database, after=after, limit=_PAGE):
        for account in page:
            key = feed.account_key(account.account_id)
            yield state_pb2.CHANGE_KIND_ACCOUNT, key, account_rows(account)
        after = [page[-1].account_id]
    after, providers = None, ProviderRepository()
    while batch := await providers.page(database, after=after, limit=_PAGE):
        for provider in batch:
            key = feed.provider_key(provider.provider_id, provider.provider_type)
            yield state_pb2.CHANGE_KIND_PROVIDER, key, provider_rows(provider)
        after = [batch[-1].provider_id, batch[-1].provider_type]
    after, identities = None, IdentityRepository()
    while entries := await identities.page(database, after=after, limit=_PAGE):
        for entry in entries:
            yield state_pb2.CHANGE_KIND_IDENTITY, entry.uri, identity_rows(entry)
        after = [entries[-1].uri]
    async for encoded in _limits(database):
        yield encoded
    async for encoded in _kills(database):
        yield encoded


async def _limits(database: Database) -> AsyncIterator[Encoded]:
    after: list[str] | None = None
    configurations = RiskConfigurationRepository()
    while found := await configurations.page(database, account_id="", after=after, limit=_PAGE):
        for each in found:
            if each.configuration.is_active:
                key = feed.account_key(each.configuration.account_id)
                rows = risk_configuration_rows(each.configuration)
                yield state_pb2.CHANGE_KIND_RISK_CONFIGURATION, key, rows
        after = [found[-1].configuration.account_id, found[-1].configuration.config_id]
    after, breakers = None, CircuitBreakerRepository()
    while page := await breakers.page(database, account_id="", after=after, limit=_PAGE):
        for stored in page:
            key = str(stored.breaker_id)
            yield state_pb2.CHANGE_KIND_BREAKER, key, breaker_rows(stored.breaker, key)
            if stored.reset_at is not None:
                rows = breaker_reset_rows(key, stored.reset_at)
                yield state_pb2.CHANGE_KIND_BREAKER_RESET, key, rows
        after = [page[-1].breaker.account_id, page[-1].breaker.name]
    after, strategies = None, StrategyRepository()
    while enabled := await strategies.page(database, after=after, limit=_PAGE):
        for each_enabled in enabled:
            key = feed.strategy_key(each_enabled.account_id, each_enabled.strategy_id)
            yield state_pb2.CHANGE_KIND_STRATEGY, key, strategy_rows(*each_enabled)
        after = [enabled[-1].account_id, enabled[-1].strategy_id]


async def _kills(database: Database) -> AsyncIterator[Encoded]:
    last: Target | None = None
    switches = KillSwitchRepository()
    while found := await switches.page(database, include_rearmed=True, after=last, limit=_PAGE):
        for target, times in found:
            yield state_pb2.CHANGE_KIND_KILL, target.key, kill_rows(target, times)
        last = found[-1][0]


async def _artifacts(
    database: Database,
) -> AsyncIterator[tuple[state_pb2.ChangeKind, str, bytes, bytes]]:
    """Yield what speaks for each purpose, with the proof that it may."""
    for said in await speaking(database):
        proof = bytes(said["proof"])
        if said["purpose"] == RISK_POLICY:
            rows = policy_rows(await PolicyRepository().active(database) or DEFAULT_POLICY)
            yield state_pb2.CHANGE_KIND_POLICY, RISK_POLICY, rows, proof
        else:
            is_none = said["digest"] is None
            digest = NO_DIGEST if is_none else bytes(said["digest"])
            version = NO_VERSION if is_none else said["version"]
            rows = model_rows(said["purpose"], digest, version, said["serial"])
            yield state_pb2.CHANGE_KIND_MODEL, said["purpose"], rows, proof
