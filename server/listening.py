"""The decision port's listening sockets: opened by whoever stays, handed to whoever serves.

The supervisor opens them and passes the descriptors to every engine that it starts, so connections
wait in the backlog while an engine restarts. An engine without a supervisor opens its own. Both
kinds do not block, and no program started later inherits them by accident.
"""

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from server.addresses import UNIX_PREFIX, split_address
from server.errors import ConfigurationError

DECISION_FD_VARIABLE: Final = "RISKGATE_DECISION_FD"
LOCAL_FD_VARIABLE: Final = "RISKGATE_DECISION_LOCAL_FD"
# In the place of the one above for an engine that can only bind by itself.
LOCAL_LISTEN_VARIABLE: Final = "RISKGATE_DECISION_LOCAL_LISTEN"
# What may wait while no engine accepts; the kernel's own bound (somaxconn) may be lower.
BACKLOG: Final = 4_096
_NAME: Final = "decision_listen"
_SOCKET_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_UMASK: Final = 0o077


def open_listener(address: str) -> socket.socket:
    """Bind and listen.

    A Unix socket gets mode 0600, in a folder that is made with mode 0700 when it is missing. A file
    that a killed server has left is replaced; one that somebody listens on is not.

    Args:
        address: HOST:PORT, where port 0 picks a free one, or unix:/absolute/path.

    Raises:
        ConfigurationError: The address is in use, or cannot be had.
    """
    if address.startswith(UNIX_PREFIX):
        path = Path(address.removeprefix(UNIX_PREFIX))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    else:
        path = None
        host, port = split_address(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if path is None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        else:
            _bind_path(listener, path)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ConfigurationError([f"{_NAME}: {address}: {reason}"]) from error
    except ConfigurationError:
        listener.close()
        raise
    return listener


def inherited_listener(variable: str = DECISION_FD_VARIABLE) -> socket.socket | None:
    """Take the listening socket that our parent has passed on; None when there is none.

    The variable is taken out of the environment, so a second call returns None. Only `close()` the
    socket in the end: its address belongs to the parent.

    Args:
        variable: Which one: DECISION_FD_VARIABLE, or LOCAL_FD_VARIABLE for the Unix socket that
            serves this machine in plaintext beside a port with TLS.

    Raises:
        ConfigurationError: The descriptor is not a listening socket.
    """
    number = os.environ.pop(variable, None)
    if number is None:
        return None
    problem = f"{variable}: names no listening socket"
    try:
        # From here on no child of ours inherits it.
        os.set_inheritable(int(number), False)
        listener = socket.socket(fileno=int(number))
    except (ValueError, OSError) as error:
        raise ConfigurationError([problem]) from error
    if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listener.detach()
        raise ConfigurationError([problem])
    listener.setblocking(False)
    return listener


def listening_address(listener: socket.socket, address: str) -> str:
    """Return the address with the port number that the socket really has."""
    if address.startswith(UNIX_PREFIX):
        return address
    return f"{address.rpartition(':')[0]}:{listener.getsockname()[1]}"


def close_listener(listener: socket.socket) -> None:
    """Close a socket that `open_listener` made, and remove the file of a Unix socket."""
    if listener.family == socket.AF_UNIX:
        Path(listener.getsockname()).unlink(missing_ok=True)
    listener.close()


def clear_local_address(address: str) -> None:
    """Make the folder of a Unix socket (mode 0700) and remove a socket that nobody listens on.

    Args:
        address: unix:/absolute/path, for somebody else to bind.

    Raises:
        ConfigurationError: There is something else, or somebody listens.
    """
    path = Path(address.removeprefix(UNIX_PREFIX))
    try:
        _clear_path(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError([f"{_NAME}: {address}: {reason}"]) from error


def bind_for_owner(address: str, bind: Callable[[str], int]) -> int:
    """Let a library bind an address; the file of a Unix socket is never open to other accounts.

    Args:
        address: HOST:PORT or unix:/absolute/path.
        bind: Binds it before it returns.

    Returns:
        What `bind` has returned.
    """
    if not address.startswith(UNIX_PREFIX):
        return bind(address)
    # It is the process's own: files that other threads make meanwhile are closed to others too.
    before = os.umask(_UMASK)
    try:
        bound = bind(address)
    finally:
        os.umask(before)
    Path(address.removeprefix(UNIX_PREFIX)).chmod(_SOCKET_MODE)
    return bound


def _bind_path(listener: socket.socket, path: Path) -> None:
    _clear_path(path)
    # Before the file exists, so that it never has another mode, whatever the umask says.
    os.fchmod(listener.fileno(), _SOCKET_MODE)
    listener.bind(str(path))


def _clear_path(path: Path) -> None:
    if not path.parent.exists():
        path.parent.mkdir(mode=_FOLDER_MODE)
    _remove_stale(path)


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on.

    Raises:
        ConfigurationError: There is something else, or somebody listens.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigurationError([f"{_NAME}: {path} exists and is no socket"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(str(path))
    # Only a refusal says that nobody is there: a full backlog, for one, says the contrary.
    if answer != errno.ECONNREFUSED:
        raise ConfigurationError([f"{_NAME}: {path}: {os.strerror(errno.EADDRINUSE)}"])
    path.unlink(missing_ok=True)
