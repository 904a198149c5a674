"""`riskgate get KIND [ID]`: what the record says, one entry or all of a kind."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, NamedTuple

import typer

from riskgate.control import ControlClient
from riskgate.v1 import (
    breaker_pb2,
    market_pb2,
    model_pb2,
    provider_pb2,
    reference_pb2,
    risk_config_pb2,
)
from server.commands.control_port import ControlAddress, call, control_client
from server.commands.message_view import view_message
from server.commands.options import AsJson, DataDir, print_json
from server.errors import InvalidFieldError, NotFoundError

_PAGE_SIZE: Final = 1_000


class Kind(NamedTuple):
    """How one kind is listed, and which fields make up the id of an entry."""

    service: str
    method: str
    request: Any
    entries: str
    id_fields: tuple[str, ...]
    separator: str = "/"


KINDS: Final = {
    "instruments": Kind(
        "reference",
        "ListInstruments",
        reference_pb2.ListInstrumentsRequest,
        "instruments",
        ("symbol",),
    ),
    "accounts": Kind(
        "reference",
        "ListAccounts",
        reference_pb2.ListAccountsRequest,
        "accounts",
        ("account_id",),
    ),
    "risk_configurations": Kind(
        "risk_configurations",
        "ListRiskConfigurations",
        risk_config_pb2.ListRiskConfigurationsRequest,
        "configurations",
        ("account_id", "config_id"),
    ),
    "circuit_breakers": Kind(
        "breakers",
        "ListBreakers",
        breaker_pb2.ListBreakersRequest,
        "breakers",
        ("account_id", "name"),
    ),
    "providers": Kind(
        "providers",
        "ListProviders",
        provider_pb2.ListProvidersRequest,
        "providers",
        ("provider_type", "provider_id"),
        ":",
    ),
    "market": Kind(
        "market",
        "ListMarketContexts",
        market_pb2.ListMarketContextsRequest,
        "contexts",
        ("symbol",),
    ),
    "conversion_rates": Kind(
        "market",
        "ListConversionRates",
        market_pb2.ListConversionRatesRequest,
        "rates",
        ("from_currency", "to_currency"),
    ),
    "models": Kind(
        "models",
        "ListModels",
        model_pb2.ListModelsRequest,
        "models",
        ("purpose", "version"),
    ),
}
_SHORT_NAMES: Final = {"breakers": "circuit_breakers", "breaker": "circuit_breakers"}


def get(
    kind: Annotated[str, typer.Argument(help=", ".join(KINDS))],
    entry_id: Annotated[str | None, typer.Argument(metavar="ID", help="One entry.")] = None,
    control: ControlAddress = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Print what the record says, one entry or all of a kind."""
    found = KINDS.get(_SHORT_NAMES.get(kind, kind)) or KINDS.get(f"{kind}s")
    if found is None:
        raise InvalidFieldError("KIND", f"must be one of {', '.join(KINDS)}")
    with control_client(control, data_dir) as client:
        entries = dict(list_entries(client, found))
    if entry_id is not None and entry_id not in entries:
        raise NotFoundError(kind, entry_id)
    shown = entries if entry_id is None else {entry_id: entries[entry_id]}
    if as_json:
        print_json(list(shown.values()) if entry_id is None else shown[entry_id])
        return
    for name, entry in shown.items():
        typer.echo(name)
        for field, value in entry.items():
            if value not in (None, "", [], {}):
                typer.echo(f"  {field}: {value}")


def list_entries(client: ControlClient, kind: Kind) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return id and content of every entry of a kind, in the order of the record."""
    method = getattr(getattr(client, kind.service), kind.method)
    token = ""
    while True:
        answer = call(method, kind.request(page_size=_PAGE_SIZE, page_token=token))
        for message in getattr(answer, kind.entries):
            entry = view_message(message)
            parts = [str(entry[field]) for field in kind.id_fields]
            if kind.separator == ":":
                parts[0] = parts[0].lower()
            yield kind.separator.join(parts), entry
        token = answer.next_page_token
        if not token:
            return
