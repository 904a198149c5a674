"""Where a stack listens and how a channel to it is opened.

Every option that matters is stated here. gRPC's own retries are off: the client's one retry is the
only one. Without credentials a channel goes to this machine only, because orders and limits must
not cross a network in the clear. A Unix socket belongs to one account and needs none.
"""

import ipaddress
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

import grpc

from riskgate.credentials import (
    FilePath,
    load_credentials,
    load_from_environment,
    load_operator,
)

DATA_DIR_VARIABLE: Final = "RISKGATE_DATA_DIR"
DATA_DIR_DEFAULT: Final = ".riskgate"
STATE_FILE: Final = "state.json"
_UNIX_PREFIX: Final = "unix:"
Service = Literal["decision", "control"]
# None: what the environment names, else plaintext.
Credentials = grpc.ChannelCredentials | Literal["plaintext"] | None

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
    if address.startswith(_UNIX_PREFIX):
        return
    host = address.rpartition(":")[0].strip("[]")
    if not (host == "localhost" or _is_loopback(host)):
        raise ValueError(f"{address} is on another machine: credentials are required")


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What `riskgate serve` says about the stack of a data directory.

    Attributes:
        folder: The data directory.
        decision: Decision port of every engine, in the order of the shards.
        control: Control port.
        is_tls: Whether its network ports want a certificate.
    """

    folder: Path
    decision: list[str]
    control: str
    is_tls: bool

    @classmethod
    def read(cls, data_dir: FilePath | None = None) -> Self:
        """Read it.

        Args:
            data_dir: None: the environment's RISKGATE_DATA_DIR, else `.riskgate`.

        Raises:
            StackNotFoundError: No stack runs there, or its state file is not readable.
        """
        place = Path(data_dir or os.environ.get(DATA_DIR_VARIABLE) or DATA_DIR_DEFAULT)
        try:
            state = json.loads((place / STATE_FILE).read_text(encoding="utf-8"))
            decision = state.get("decision_addresses") or [state["decision_address"]]
            return cls(
                place,
                [_to_dial(address) for address in decision],
                _to_dial(state["control_address"]),
                bool(state.get("is_tls", False)),
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise StackNotFoundError(
                f"no stack runs in {place}: start one with `riskgate serve --data-dir {place}`"
            ) from error

    def choose_credentials(
        self,
        addresses: Sequence[str],
        certificate: FilePath | None = None,
        key: FilePath | None = None,
        ca: FilePath | None = None,
    ) -> Credentials:
        """Return the files that are named, else what these ports of the stack want to see.

        Those are the environment's files, else the operator's, which `riskgate serve` has made.

        Raises:
            CredentialsError: They want a certificate, and there is none that can be read.
        """
        named = load_credentials(certificate, key, ca)
        if named is not None:
            return named
        if not self.is_tls or all(address.startswith(_UNIX_PREFIX) for address in addresses):
            return "plaintext"
        return load_from_environment() or load_operator(self.folder)


def read_address(service: Service, data_dir: FilePath | None = None) -> str:
    """Return HOST:PORT of a service of the stack that runs in a data directory.

    Of several engines it is the first, which decides about some accounts only.

    Args:
        service: Which port.
        data_dir: As for `RunningStack.read`.

    Raises:
        StackNotFoundError: As there.
    """
    stack = RunningStack.read(data_dir)
    return stack.decision[0] if service == "decision" else stack.control


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


def merge_credentials(
    credentials: Credentials,
    certificate: FilePath | None,
    key: FilePath | None,
    ca: FilePath | None,
) -> Credentials:
    """Return credentials that are given ready, or made from files.

    Raises:
        CredentialsError: A file is missing or cannot be read.
        ValueError: Both are given.
    """
    named = load_credentials(certificate, key, ca)
    if named is not None and credentials is not None:
        raise ValueError("give either credentials or certificate, key and ca")
    return credentials or named


def find_credentials(address: str, credentials: Credentials) -> grpc.ChannelCredentials | None:
    """Return what an address is to be shown; None: plaintext.

    Raises:
        CredentialsError: The environment names files that cannot be used.
        ValueError: Plaintext to another machine.
    """
    if credentials is None and not address.startswith(_UNIX_PREFIX):
        credentials = load_from_environment()
    if credentials is None or credentials == "plaintext":
        check_plaintext(address)
        return None
    return credentials


def open_channel(address: str, service: Service, credentials: Credentials = None) -> grpc.Channel:
    """Open a blocking channel.

    Raises:
        ValueError: As `find_credentials`.
    """
    options = build_options(service)
    found = find_credentials(address, credentials)
    if found is None:
        return grpc.insecure_channel(address, options)
    return grpc.secure_channel(address, found, options)


def open_aio_channel(
    address: str, service: Service, credentials: Credentials = None
) -> grpc.aio.Channel:
    """As `open_channel`, for asyncio; must be called inside a running event loop."""
    options = build_options(service)
    found = find_credentials(address, credentials)
    if found is None:
        return grpc.aio.insecure_channel(address, options)
    return grpc.aio.secure_channel(address, found, options)
