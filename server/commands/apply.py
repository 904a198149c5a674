"""`riskgate apply -f FILE.yaml`: make the record say what a file says.

Entries are applied in the order in which they depend on each other. What the record already says is
left alone, so applying a file twice changes nothing. Measurements only renew their time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from riskgate.control import ControlClient
from riskgate.v1 import (
    admin_pb2,
    breaker_pb2,
    market_pb2,
    provider_pb2,
    reference_pb2,
    risk_config_pb2,
    types_pb2,
)
from server.commands.apply_file import (
    ApplyFile,
    BreakerEntry,
    MarketEntry,
    ProviderEntry,
    RiskConfigurationEntry,
    read_apply_file,
)
from server.commands.control_port import (
    Actor,
    ControlAddress,
    Reason,
    call,
    call_or_none,
    control_client,
    note,
)
from server.commands.options import AsJson, DataDir, print_json
from server.errors import InvalidFieldError
from server.forms.plain_values import read_plain

_OUTCOMES: Final = {
    admin_pb2.CHANGE_OUTCOME_CREATED: "created",
    admin_pb2.CHANGE_OUTCOME_UPDATED: "updated",
    admin_pb2.CHANGE_OUTCOME_UNCHANGED: "unchanged",
}
# Whose methods demand it in the contract.
_JUSTIFIED: Final = ("risk_configurations", "circuit_breakers")
_FIGURES: Final = tuple(provider_pb2.ProviderFigures.DESCRIPTOR.fields_by_name)


class Applied(NamedTuple):
    """What became of one entry."""

    kind: str
    id: str
    outcome: str
    state_version: int


def apply(
    file: Annotated[Path, typer.Option("--file", "-f", help="YAML file to apply.")],
    control: ControlAddress = None,
    by: Actor = None,
    reason: Reason = "",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Create or update what a file describes; applying it twice changes nothing."""
    content = read_apply_file(file)
    require_reason(content, reason)
    results = []
    with control_client(control, data_dir) as client:
        for applied in apply_entries(client, content, note(by, reason)):
            results.append(applied)
            if not as_json:
                typer.echo(f"{applied.outcome:<9} {applied.kind} {applied.id}")
    version = max((applied.state_version for applied in results), default=0)
    counts = {
        word: sum(applied.outcome == word for applied in results) for word in _OUTCOMES.values()
    }
    if as_json:
        entries = [{"kind": each.kind, "id": each.id, "outcome": each.outcome} for each in results]
        print_json({**counts, "state_version": version, "entries": entries})
    else:
        summary = ", ".join(f"{count} {word}" for word, count in counts.items())
        typer.echo(f"{summary}; state version {version}")


def require_reason(content: ApplyFile, reason: str) -> None:
    """Look for a reason before anything is changed, so that no file is applied by half for it.

    Raises:
        InvalidFieldError: The file has entries of a kind whose every change must be justified.
    """
    found = [name for name in _JUSTIFIED if getattr(content, name)]
    if found and not reason:
        raise InvalidFieldError("--reason", f"is required: the file has {' and '.join(found)}")


def apply_entries(
    client: ControlClient, content: ApplyFile, why: admin_pb2.ChangeNote
) -> Iterator[Applied]:
    """Apply every entry of a file, in the order of their dependencies.

    Raises:
        RiskgateError: an entry was refused; names its place in the file. Those before it stay.
    """
    yield from _reference(client, content, why)
    for index, rate in enumerate(content.conversion_rates):
        item = market_pb2.MarketServicePutRequest(rate=_fill(market_pb2.ConversionRate(), rate))
        key = f"{rate.from_currency}/{rate.to_currency}"
        yield _measure(client, "conversion_rate", key, item, f"conversion_rates[{index}]")
    # One configuration is active per account: those that step back go first.
    ordered = sorted(enumerate(content.risk_configurations), key=lambda pair: pair[1].is_active)
    for index, configuration in ordered:
        yield _risk_configuration(client, configuration, why, f"risk_configurations[{index}]")
    for index, provider in enumerate(content.providers):
        yield _provider(client, provider, why, f"providers[{index}]")
    for index, breaker in enumerate(content.circuit_breakers):
        yield _breaker(client, breaker, why, f"circuit_breakers[{index}]")
    for index, market in enumerate(content.market):
        yield _market(client, market, f"market[{index}]")


def _reference(
    client: ControlClient, content: ApplyFile, why: admin_pb2.ChangeNote
) -> Iterator[Applied]:
    for index, entry in enumerate(content.instruments):
        instrument = read_plain(reference_pb2.Instrument(), entry.model_dump())
        request = reference_pb2.PutInstrumentRequest(instrument=instrument, note=why)
        answer = call(client.reference.PutInstrument, request, f"instruments[{index}]")
        yield _applied("instrument", entry.symbol, answer)
    for index, account in enumerate(content.accounts):
        state = f"TRADING_STATE_{account.trading_state.upper()}"
        message = _fill(reference_pb2.Account(), account, skip={"trading_state"})
        message.trading_state = types_pb2.TradingState.Value(state)
        put = reference_pb2.PutAccountRequest(account=message, note=why)
        answer = call(client.reference.PutAccount, put, f"accounts[{index}]")
        yield _applied("account", account.account_id, answer)


def _risk_configuration(
    client: ControlClient,
    entry: RiskConfigurationEntry,
    why: admin_pb2.ChangeNote,
    path: str,
) -> Applied:
    message = read_plain(risk_config_pb2.RiskConfiguration(), entry.model_dump())
    service = client.risk_configurations
    key = f"{entry.account_id}/{entry.config_id}"
    update = risk_config_pb2.UpdateRiskConfigurationRequest(configuration=message, note=why)
    answer = call_or_none(service.UpdateRiskConfiguration, update, path)
    if answer is not None:
        return _applied("risk_configuration", key, answer)
    create = risk_config_pb2.CreateRiskConfigurationRequest(configuration=message, note=why)
    answer = call(service.CreateRiskConfiguration, create, path)
    return Applied("risk_configuration", key, "created", answer.state_version)


def _provider(
    client: ControlClient, entry: ProviderEntry, why: admin_pb2.ChangeNote, path: str
) -> Applied:
    message = _fill(provider_pb2.Provider(), entry, skip={"provider_type", *_FIGURES})
    message.provider_type = types_pb2.ProviderType.Value(
        f"PROVIDER_TYPE_{entry.provider_type.upper()}"
    )
    for name in _FIGURES:
        value = getattr(entry, name)
        if name == "score_trend" and value is not None:
            value = provider_pb2.ScoreTrend.Value(f"SCORE_TREND_{value.upper()}")
        if value is not None:
            setattr(message.figures, name, value)
    request = provider_pb2.PutProviderRequest(provider=message, note=why)
    answer = call(client.providers.PutProvider, request, path)
    return _applied("provider", f"{entry.provider_type}:{entry.provider_id}", answer)


def _breaker(
    client: ControlClient, entry: BreakerEntry, why: admin_pb2.ChangeNote, path: str
) -> Applied:
    message = read_plain(breaker_pb2.CircuitBreaker(), entry.model_dump())
    service = client.breakers
    key = f"{entry.account_id}/{entry.name}"
    lookup = breaker_pb2.GetBreakerRequest(name=entry.name, account_id=entry.account_id)
    found = call_or_none(service.GetBreaker, lookup, path)
    if found is None:
        create = breaker_pb2.CreateBreakerRequest(breaker=message, note=why)
        answer = call(service.CreateBreaker, create, path)
        return Applied("circuit_breaker", key, "created", answer.state_version)
    message.breaker_id = found.breaker.breaker_id
    update = breaker_pb2.UpdateBreakerRequest(breaker=message, note=why)
    return _applied("circuit_breaker", key, call(service.UpdateBreaker, update, path))


def _market(client: ControlClient, entry: MarketEntry, path: str) -> Applied:
    context = _fill(market_pb2.MarketContext(), entry)
    item = market_pb2.MarketServicePutRequest(context=context)
    return _measure(client, "market", entry.symbol, item, path)


def _measure(
    client: ControlClient,
    kind: str,
    key: str,
    item: market_pb2.MarketServicePutRequest,
    path: str,
) -> Applied:
    item.keep = True
    answer = call(client.market.Put, iter([item]), path)
    return Applied(kind, key, _OUTCOMES[answer.outcomes[0]], 0)


def _applied(kind: str, key: str, answer: Any) -> Applied:
    return Applied(kind, key, _OUTCOMES[answer.outcome], answer.state_version)


def _fill(message: Any, entry: Any, *, skip: frozenset[str] | set[str] = frozenset()) -> Any:
    """Copy the stated fields of an entry into the message with fields of the same names."""
    for name, value in entry:
        if value is None or name in skip:
            continue
        if isinstance(value, list):
            getattr(message, name).extend(value)
        elif hasattr(value, "tzinfo"):
            getattr(message, name).FromDatetime(value)
        else:
            setattr(message, name, value)
    return message
