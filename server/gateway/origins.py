"""Keeps web pages from driving the gateway through a browser on the same machine.

A page whose name was pointed at this address (DNS rebinding) sends its own name as Host; a page of
another origin sends Origin, or Sec-Fetch-Site where the browser sends no Origin.
"""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.addresses import split_address
from server.gateway.answers import refusal
from server.gateway.refusals import HostRefusedError, OriginRefusedError
from server.settings import Settings

_ALWAYS: Final = frozenset({"localhost", "127.0.0.1"})
# What a browser says of a request that no other page has caused.
_OWN_SITES: Final = frozenset({"same-origin", "none"})


def allowed_names(settings: Settings) -> frozenset[str]:
    """Return the names by which callers may address the gateway, in small letters."""
    names = {*_ALWAYS, *(settings.http_names or "localhost").split(",")}
    if settings.http_listen is not None:
        names.add(split_address(settings.http_listen)[0].lower())
    return frozenset(names)


def require_own(headers: Mapping[str, str], scheme: str, names: frozenset[str]) -> None:
    """Do nothing for a request that is meant for us and that no foreign page has caused.

    Args:
        headers: Of the request, by name in small letters.
        scheme: http or https.
        names: See `allowed_names`; any port is right, as somebody may forward it.

    Raises:
        HostRefusedError: Its Host is none of our names.
        OriginRefusedError: Its Origin is not that same Host.
    """
    host = headers.get("host", "").lower()
    if _name_of(host) not in names:
        raise HostRefusedError
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"{scheme}://{host}":
        raise OriginRefusedError
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise OriginRefusedError


class OriginGuard:
    """Asks `require_own` before anything else happens.

    Args:
        app: What comes behind it.
        names: See `allowed_names`.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        try:
            require_own(Headers(scope=scope), scope["scheme"], self._names)
        except (HostRefusedError, OriginRefusedError) as error:
            await refusal(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
