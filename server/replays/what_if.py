"""What a simulation puts in the place of what the journal says: limits, a model, a policy.

Limits come from a file as `riskgate apply` takes it. What is measured (equity, rates, market) stays
that of the journal; so does the time of a score, and with it its age.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from google.protobuf.json_format import ParseDict

from riskgate.v1 import breaker_pb2, provider_pb2, reference_pb2, risk_config_pb2
from server import changes
from server.breaker_changes import breaker_rows
from server.commands.apply_file import (
    AccountEntry,
    ApplyFile,
    BreakerEntry,
    ProviderEntry,
    RiskConfigurationEntry,
)
from server.forms.breaker import read_breaker
from server.forms.plain_values import read_plain
from server.forms.provider import read_provider
from server.forms.reference import read_account, read_instrument
from server.forms.risk_configuration import read_risk_configuration
from server.hotpath.change_kinds import (
    ACCOUNT,
    BREAKER,
    INSTRUMENT,
    MODEL,
    POLICY,
    PROVIDER,
    RISK_CONFIGURATION,
)
from server.hotpath.layout import CHANGE_ROWS, text
from server.hotpath.model_tables import ModelTables
from server.loaders.artifact import VerifiedArtifact, verify_artifact
from server.loaders.artifact_store import read_artifact_directory
from server.loaders.manifest import PolicyManifest, find_manifest_type
from server.loaders.policy_artifact import verify_policy
from server.policy import default_policy_row
from server.security.keys import TrustSet

Rows = np.ndarray[Any, np.dtype[Any]]
Identity = tuple[int, tuple[Any, ...]]

_FIGURES: Final = tuple(provider_pb2.ProviderFigures.DESCRIPTOR.fields_by_name)
_PURPOSE: Final = "slippage"
# Columns that tell the rows of a kind apart, as people name them: a breaker by its name.
_NAMES: Final[dict[int, tuple[str, ...]]] = {
    INSTRUMENT: ("symbol",),
    ACCOUNT: ("account_id",),
    RISK_CONFIGURATION: ("account_id",),
    PROVIDER: ("provider_type", "provider_id"),
    BREAKER: ("account_id", "name"),
    POLICY: (),
    MODEL: (),
}


class Replacement(NamedTuple):
    """Rows of one change that shall count instead of whatever the journal says.

    Attributes:
        kind: riskgate.v1.ChangeKind.
        name: For people.
        rows: As `apply_rows` takes them.
        load: Writes the model into a slot; None: there is none to write.
    """

    kind: int
    name: str
    rows: Rows
    load: Callable[[ModelTables, int], None] | None = None

    @property
    def identity(self) -> Identity:
        """What it is about."""
        return identity_of(self.kind, self.rows)


def identity_of(kind: int, rows: Rows) -> Identity:
    """Return what a change is about, the same for all changes of one thing."""
    names = _NAMES.get(kind)
    if names is None:
        return kind, (rows.tobytes(),)
    row = rows[0]
    return kind, tuple(text(row[name]) if row[name].shape else int(row[name]) for name in names)


def read_changes(content: ApplyFile) -> tuple[list[Replacement], list[str]]:
    """Return what a file replaces, and in words what of it is left out.

    Raises:
        InvalidFieldError: A number is out of range; names its place in the file.
    """
    left_out = [
        f"{name}: measurements are those of the journal"
        for name in ("conversion_rates", "market")
        if getattr(content, name)
    ]
    if any(account.equity is not None for account in content.accounts):
        left_out.append("accounts: equity is that of the journal")
    left_out += [
        f"risk_configurations: {entry.config_id} of {entry.account_id} is not active"
        for entry in content.risk_configurations
        if not entry.is_active
    ]
    return list(_read_each(content)), left_out


def read_artifact(path: Path, trust: TrustSet) -> Replacement:
    """Verify the artifact in a folder, of a model or of a risk policy.

    Raises:
        ArtifactError: It is refused; one subclass for each reason.
    """
    files = read_artifact_directory(path)
    if find_manifest_type(files.keys()) is PolicyManifest:
        policy = verify_policy(files, trust)
        rows = _to_rows(POLICY, changes.policy_rows(policy.policy))
        return Replacement(POLICY, f"policy {policy.manifest.version}", rows)
    return replace_model(verify_artifact(files, trust))


def replace_model(artifact: VerifiedArtifact) -> Replacement:
    """Return what makes a verified model the one in use."""
    version = artifact.manifest.version
    rows = changes.model_rows(_PURPOSE, bytes.fromhex(artifact.digest), version, 1)
    return Replacement(MODEL, f"model {version}", _to_rows(MODEL, rows), artifact.load_into)


def _read_each(content: ApplyFile) -> Iterator[Replacement]:
    for index, instrument in enumerate(content.instruments):
        message = ParseDict(_plain(instrument), reference_pb2.Instrument())
        entity = read_instrument(message, f"instruments[{index}]")
        yield _replace(INSTRUMENT, entity.symbol, changes.instrument_rows(entity))
    for index, account in enumerate(content.accounts):
        yield _replace_account(account, f"accounts[{index}]")
    for index, configuration in enumerate(content.risk_configurations):
        if configuration.is_active:
            yield _replace_configuration(configuration, f"risk_configurations[{index}]")
    for index, provider in enumerate(content.providers):
        yield _replace_provider(provider, f"providers[{index}]")
    for index, breaker in enumerate(content.circuit_breakers):
        yield _replace_breaker(breaker, f"circuit_breakers[{index}]")


def _replace(kind: int, name: str, rows: bytes) -> Replacement:
    return Replacement(kind, name, _to_rows(kind, rows))


def _replace_account(entry: AccountEntry, path: str) -> Replacement:
    state = f"TRADING_STATE_{entry.trading_state.upper()}"
    plain = _plain(entry, equity_as_of=None, trading_state=state)
    # The form wants some equity; that of the journal takes its place.
    message = ParseDict({**plain, "equity": 1.0}, reference_pb2.Account())
    entity = read_account(message, None, datetime.now(UTC), path)
    return _replace(ACCOUNT, f"account {entry.account_id}", changes.account_rows(entity))


def _replace_configuration(entry: RiskConfigurationEntry, path: str) -> Replacement:
    message = ParseDict(_plain(entry), risk_config_pb2.RiskConfiguration())
    rows = changes.risk_configuration_rows(read_risk_configuration(message, path))
    return _replace(RISK_CONFIGURATION, f"risk configuration of {entry.account_id}", rows)


def _replace_provider(entry: ProviderEntry, path: str) -> Replacement:
    plain = _plain(entry, provider_type=f"PROVIDER_TYPE_{entry.provider_type.upper()}")
    figures = {name: plain.pop(name) for name in _FIGURES if name in plain}
    if "score_trend" in figures:
        figures["score_trend"] = f"SCORE_TREND_{figures['score_trend'].upper()}"
    message = ParseDict({**plain, "figures": figures}, provider_pb2.Provider())
    policy = default_policy_row()[0]
    entity = read_provider(message, None, datetime.now(UTC), policy, path)
    name = f"provider {entry.provider_type}:{entry.provider_id}"
    return _replace(PROVIDER, name, changes.provider_rows(entity))


def _replace_breaker(entry: BreakerEntry, path: str) -> Replacement:
    message = read_plain(breaker_pb2.CircuitBreaker(), entry.model_dump())
    breaker = read_breaker(message, path)
    name = f"breaker {entry.name} of {entry.account_id}"
    # An id that no breaker of the record has: those are numbers.
    return _replace(BREAKER, name, breaker_rows(breaker, f"simulated {entry.name}"[:64]))


def _plain(entry: Any, **other: Any) -> dict[str, Any]:
    """Return an entry as JSON values by the field names of its message."""
    plain = {**entry.model_dump(mode="json", exclude_none=True), **other}
    return {name: value for name, value in plain.items() if value is not None}


def _to_rows(kind: int, rows: bytes) -> Rows:
    return np.frombuffer(rows, CHANGE_ROWS[kind]).copy()
