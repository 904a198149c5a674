"""Where a stack listens and how a channel to it is opened.

Every option that matters is stated here. gRPC's own retries are off: the client's one retry is the
only one. Without credentials a channel goes to this machine only, because orders and limits must
not cross a network in the clear.
"""

import ipaddress
import json
import os
from collections.abc import Sequence
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

    Of several engines it is the first, which decides about some accounts only.

    Args:
        service: Which port.
        data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.

    Raises:
        StackNotFoundError: No stack runs there, or its state file is not readable.
    """
    return _read_addresses(service, data_dir)[0]


def read_decision_addresses(data_dir: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the decision port of every engine of the stack, in the order of the shards.

    Args:
        data_dir: As for `read_address`.

    Raises:
        StackNotFoundError: As `read_address`.
    """
    return _read_addresses("decision", data_dir)


def _read_addresses(service: Service, data_dir: str | os.PathLike[str] | None) -> list[str]:
    place = Path(data_dir or os.environ.get(DATA_DIR_VARIABLE) or DATA_DIR_DEFAULT)
    try:
        state = json.loads((place / STATE_FILE).read_text(encoding="utf-8"))
        found = state.get(f"{service}_addresses") or [state[f"{service}_address"]]
        return [_to_dial(address) for address in found]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StackNotFoundError(
            f"no stack runs in {place}: start one with `riskgate serve --data-dir {place}`"
        ) from error


def _to_dial(address: Any) -> str:
    if not isinstance(address, str) or ":" not in address:
        raise ValueError("not an address")
    host, _, port = address.rpartition(":")
    return f"{_EVERYWHERE.get(host, host)}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def list_addresses(address: str | Sequence[str]) -> list[str]:
    """Return the addresses of all engines, in the order of the shards.

    Raises:
        ValueError: There is none.
    """
    addresses = [address] if isinstance(address, str) else list(address)
    if not addresses:
        raise ValueError("no address was given")
    return addresses


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
