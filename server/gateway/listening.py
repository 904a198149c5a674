"""The port of the gateway: uvicorn in the event loop of the control process, within bounds.

A connection that brings no whole request in time is closed, and so is one too many. Signals are the
control process's business, and no header of a proxy is believed.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.addresses import split_address
from server.errors import UnavailableError
from server.gateway.application import build_application
from server.gateway.endpoints import Backend
from server.gateway.identity import FACTS, read_facts
from server.gateway.origins import allowed_names
from server.gateway.tls import find_gateway_tls
from server.settings import Settings

CONNECTIONS_MAX: Final = 256
_HEADER_BYTES_MAX: Final = 16_384
_BACKLOG: Final = 128
_KEEP_ALIVE_S: Final = 30
# Of every answer: nothing here is for a cache, a frame, or a script of somebody else.
_HEADERS: Final = [
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
]


class Gateway:
    """The gateway of one control process, bound to its address when it is made.

    Args:
        settings: Of the process; `http_listen` is set.
        backend: What it shares with the control port.

    Raises:
        ConfigurationError: There are no certificates to serve with.
        UnavailableError: The address cannot be bound.
    """

    def __init__(self, settings: Settings, backend: Backend) -> None:
        tls = find_gateway_tls(settings)
        config = uvicorn.Config(
            build_application(backend, allowed_names(settings)),
            http=_Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            headers=_HEADERS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=max(1, settings.shutdown_grace_ms // 1_000),
            h11_max_incomplete_event_size=_HEADER_BYTES_MAX,
            reset_contextvars=True,
            ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
        )
        self._listener = _bind(settings.http_listen or "")
        self.port = int(self._listener.getsockname()[1])
        self._server = _Server(config, settings.request_timeout_ms / 1_000)

    async def run(self) -> None:
        """Serve until `stop`, and finish what runs by then."""
        await self._server.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Take no more requests."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals alone and bounds the time of a request."""

    def __init__(self, config: uvicorn.Config, request_timeout_s: float) -> None:
        super().__init__(config)
        self._request_timeout_s = request_timeout_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections on the sockets."""
        loop = asyncio.get_running_loop()
        timeout_s = self._request_timeout_s
        state = self.server_state

        def connect() -> asyncio.Protocol:
            return _Connection(self.config, state, {}, loop, request_timeout_s=timeout_s)

        self.servers = [
            await loop.create_server(
                connect,
                sock=each,
                ssl=self.config.ssl,
                ssl_handshake_timeout=timeout_s if self.config.ssl else None,
                backlog=_BACKLOG,
            )
            for each in sockets or ()
        ]
        self.started = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them to the process."""
        yield


class _Connection(H11Protocol):
    """One connection: knows its certificate, and how long a request may take to arrive."""

    def __init__(self, *arguments: Any, request_timeout_s: float, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._request_timeout_s = request_timeout_s
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            transport.abort()
            return
        self.app_state = {FACTS: read_facts(transport)}
        self._timer = self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self._timer is None:
            self._timer = self._start_timer()
        super().data_received(data)
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY}:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> asyncio.TimerHandle:
        return self.loop.call_later(self._request_timeout_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _bind(address: str) -> socket.socket:
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise UnavailableError("HTTP port", f"http_listen: {address}: {error.strerror}") from error
