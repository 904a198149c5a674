"""Identity entries: message to entity."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from riskgate.v1 import identity_pb2
from server.entities import IdentityEntry
from server.errors import InvalidFieldError
from server.forms import fields
from server.security.identity_name import parse_identity

NAMES_MAX: Final = 256
_RATE_MAX: Final = 1_000_000


def read_identity_uri(uri: str, trust_domain: str, *, path: str = "uri") -> str:
    """Return the URI of an identity of ours.

    Raises:
        InvalidFieldError: It is none.
    """
    fields.identifier(uri, path)
    try:
        return parse_identity(uri, trust_domain).uri
    except ValueError as error:
        raise InvalidFieldError(path, str(error)) from error


def read_identity(
    message: identity_pb2.Identity,
    old: IdentityEntry | None,
    trust_domain: str,
    path: str = "identity",
) -> IdentityEntry:
    """Return the entry a message describes, given the one on record, whose status stays.

    Raises:
        InvalidFieldError: a field is absent, malformed or out of range.
    """
    uri = read_identity_uri(message.uri, trust_domain, path=fields.join(path, "uri"))
    accounts = _read_names(message.accounts, "accounts", path)
    if accounts and message.every_account:
        raise InvalidFieldError(
            fields.join(path, "accounts"), "must be empty where every_account is set"
        )
    return replace(
        old or IdentityEntry(uri=uri),
        accounts=accounts,
        every_account=message.every_account,
        providers=_read_names(message.providers, "providers", path),
        calls_per_second=fields.optional_whole(
            message, "calls_per_second", 1, _RATE_MAX, path=path
        ),
        burst=fields.optional_whole(message, "burst", 1, _RATE_MAX, path=path),
    )


def _read_names(names: Iterable[str], field: str, path: str) -> tuple[str, ...]:
    checked = [
        fields.identifier(name, f"{field}[{index}]", path=path) for index, name in enumerate(names)
    ]
    if len(checked) > NAMES_MAX:
        raise InvalidFieldError(fields.join(path, field), f"must be at most {NAMES_MAX}")
    if len(set(checked)) != len(checked):
        raise InvalidFieldError(fields.join(path, field), "must not name one twice")
    return tuple(sorted(checked))
