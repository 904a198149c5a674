"""Addresses: what may stand in a setting, a free port for port 0, where to call what listens."""

import ipaddress
import os
import socket
from urllib.parse import parse_qs, urlsplit

from server.errors import ConfigurationError

UNIX_PREFIX = "unix:"
_PORT_MAX = 65_535
# What the kernel takes for the path of a Unix socket, without its closing zero.
_SOCKET_PATH_BYTES_MAX = 107
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not bound


def check_listen_address(address: str) -> str:
    """Return the address of a port as it is.

    Raises:
        ValueError: It is not HOST:PORT.
    """
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise ValueError("must be HOST:PORT with a port of 0 to 65535")
    return address


def check_decision_address(address: str) -> str:
    """Return the address of a decision port as it is.

    Raises:
        ValueError: It is neither HOST:PORT nor unix:/absolute/path of a possible socket.
    """
    if not address.startswith(UNIX_PREFIX):
        return check_listen_address(address)
    path = address.removeprefix(UNIX_PREFIX)
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError("must be unix:/absolute/path of a socket")
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES_MAX:
        raise ValueError(f"the path of a socket has at most {_SOCKET_PATH_BYTES_MAX} bytes")
    return address


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of a checked HOST:PORT."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def stays_here(address: str) -> bool:
    """Tell whether only this machine can reach a listening address."""
    if address.startswith(UNIX_PREFIX):
        return True
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(redis_url: str) -> bool:
    """Tell whether nobody on the way to Redis can read or write."""
    try:
        found = urlsplit(redis_url)
        host = found.hostname or "localhost"
    except ValueError:
        return False
    if found.scheme == "rediss":
        # Verified unless somebody says otherwise.
        return not parse_qs(found.query).keys() & {"ssl_cert_reqs", "ssl_check_hostname"}
    return found.scheme == "unix" or stays_here(f"[{host}]:0" if ":" in host else f"{host}:0")


def resolve_port(name: str, address: str) -> str:
    """Return the address with a real port number, checked to be free.

    The port is free at this moment only; the process that serves it reports it when it is taken
    meanwhile.

    Args:
        name: Name of the setting, for the error.
        address: HOST:PORT; port 0 asks for any free one. A Unix socket comes back as it is.

    Raises:
        ConfigurationError: The port is in use or the address is not one of this machine.
    """
    if address.startswith(UNIX_PREFIX):
        return address
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError([f"{name}: {address}: {error.strerror}"]) from error
        free_port = int(probe.getsockname()[1])
    return f"{address.rpartition(':')[0]}:{free_port}"


def to_dial(address: str) -> str:
    """Return the address by which this machine reaches a listening address."""
    if address.startswith(UNIX_PREFIX):
        return address
    host, port = split_address(address)
    dialled = _EVERYWHERE.get(host, address.rpartition(":")[0])
    return f"{dialled}:{port}"
