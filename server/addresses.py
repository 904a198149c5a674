"""Listening addresses: a free port for port 0, and where to call what listens everywhere."""

import socket

from server.errors import ConfigurationError
from server.settings import UNIX_PREFIX, split_address

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - recognised, not bound


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
