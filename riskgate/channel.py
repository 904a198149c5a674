"""Where a stack listens and how a channel to it is opened.

Every option that matters is stated here. gRPC's own retries are off: the client's one retry is the
only one. Without credentials a channel goes to this machine only, because orders and limits must
not cross a network in the clear.
"""

import ipaddress
import json
import os
from pathlib import Path
from typing import Any, Final, Literal

import grpc

DATA_DIR_VARIABLE: Final = "RISKGATE_DATA_DIR"
DATA_DIR_DEFAULT: Final = ".riskgate"
STATE_FILE: Final = "state.json"
Service = Literal["decision", "control"]

# Where to call a service that listens on every interface.
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - recognised, not bound
_MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
# Room for a model artifact of 16 MiB and its envelope.
_CONTROL_BYTES_MAX: Final = 20 * 1024 * 1024


class StackNotFoundError(Exception):
    """The data directory names no running stack: it has no readable state.json."""


def build_options(service: Service) -> list[tuple[str, Any]]:
    """Return the channel options of a service."""
    bytes_max = _MESSAGE_BYTES_MAX if service == "decision" else _CONTROL_BYTES_MAX
    return [
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 20),
        ("grpc.min_reconnect_backoff_ms", 20),
        ("grpc.max_reconnect_backoff_ms", 1_000),
        ("grpc.max_send_message_length", bytes_max),
        ("grpc.max_receive_message_length", bytes_max),
    ]


def check_plaintext(address: str) -> None:
    """Refuse a plaintext channel to another machine.

    Raises:
        ValueError: The address is not on loopback and not a Unix socket.
    """
    if address.startswith("unix:"):
        return
    host = address.rpartition(":")[0].strip("[]")
    if not (host == "localhost" or _is_loopback(host)):
        raise ValueError(f"{address} is on another machine: credentials are required")


def read_address(service: Service, data_dir: str | os.PathLike[str] | None = None) -> str:
    """Return HOST:PORT of a service of the stack that runs in a data directory.

    Args:
        service: Which port.
        data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.

    Raises:
        StackNotFoundError: No stack runs there, or its state file is not readable.
    """
    place = Path(data_dir or os.environ.get(DATA_DIR_VARIABLE) or DATA_DIR_DEFAULT)
    try:
        state = json.loads((place / STATE_FILE).read_text(encoding="utf-8"))
        return _find_address(state, service)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StackNotFoundError(
            f"no stack runs in {place}: start one with `riskgate serve --data-dir {place}`"
        ) from error


def _find_address(state: Any, service: Service) -> str:
    address = state[f"{service}_address"]
    if not isinstance(address, str) or ":" not in address:
        raise ValueError("not an address")
    host, _, port = address.rpartition(":")
    return f"{_EVERYWHERE.get(host, host)}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(
    address: str,
    service: Service,
    credentials: grpc.ChannelCredentials | None,
) -> grpc.Channel:
    """Open a blocking channel; see `check_plaintext` for what None credentials allow."""
    options = build_options(service)
    if credentials is None:
        check_plaintext(address)
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, credentials, options)


def open_aio_channel(
    address: str, service: Service, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    """Open an asyncio channel; must be called inside a running event loop."""
    options = build_options(service)
    if credentials is None:
        check_plaintext(address)
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, credentials, options)
