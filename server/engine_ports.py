"""Where each engine of a stack listens, and the sockets that the supervisor holds for it.

One engine listens exactly where the settings say. Of several, engine I has the port P + I, or a
free one for port 0, or the Unix socket PATH.I; engine 0 has the address of the settings itself, and
it is the same for metrics.
"""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from server.addresses import (
    UNIX_PREFIX,
    check_decision_address,
    resolve_port,
    split_address,
    to_dial,
)
from server.errors import ConfigurationError
from server.listening import (
    DECISION_FD_VARIABLE,
    LOCAL_FD_VARIABLE,
    LOCAL_LISTEN_VARIABLE,
    clear_local_address,
    close_listener,
    listening_address,
    open_listener,
)
from server.settings import Settings
from server.shards import Shard, all_shards

# Where this machine reaches a decision port that speaks TLS to all others.
_LOCAL_SOCKET = Path("run", "decision.sock")


@dataclass(slots=True)
class EnginePorts:
    """What one engine is given.

    Attributes:
        shard: Which engine.
        decision: Its listening address, with a real port number.
        decision_to_dial: By which this machine reaches it.
        metrics: Listening address of its metrics.
        listeners: By the variable that tells the engine their numbers; none where it binds itself.
        local: Unix socket that the engine binds itself, unix:/absolute/path; empty: none.
    """

    shard: Shard
    decision: str
    decision_to_dial: str
    metrics: str
    listeners: dict[str, socket.socket] = field(default_factory=dict)
    local: str = ""

    def to_variables(self) -> dict[str, str]:
        """Return what every process of this shard is told, as variables of its environment."""
        variables = {
            "RISKGATE_DECISION_LISTEN": self.decision,
            "RISKGATE_METRICS_LISTEN": self.metrics,
            "RISKGATE_SHARD": str(self.shard),
        }
        return variables | ({LOCAL_LISTEN_VARIABLE: self.local} if self.local else {})

    def descriptors(self) -> dict[str, int]:
        """Return the sockets that the engine inherits, by the variable that tells it."""
        return {name: listener.fileno() for name, listener in self.listeners.items()}

    def close(self) -> None:
        """Close the sockets and remove the files of Unix sockets."""
        for listener in self.listeners.values():
            close_listener(listener)
        if self.local:
            # An engine that was killed has left it.
            Path(self.local.removeprefix(UNIX_PREFIX)).unlink(missing_ok=True)


def open_ports(settings: Settings) -> list[EnginePorts]:
    """Return the ports of every engine, in the order of the shards.

    Raises:
        ConfigurationError: An address is in use, or cannot be had; nothing stays open then.
    """
    opened: list[EnginePorts] = []
    try:
        for shard in all_shards(settings.shards):
            opened.append(_open(settings, shard))  # noqa: PERF401 - what is open gets closed below
    except BaseException:
        for ports in opened:
            ports.close()
        raise
    return opened


def check_ports(settings: Settings) -> None:
    """Look whether the ports of several engines get along with each other and with control.

    Raises:
        ConfigurationError: Names the setting whose address has to move.
    """
    if settings.shards == 1:
        return
    problems = []
    taken: dict[int, str] = {}
    for name in ("control_listen", "decision_listen", "metrics_listen"):
        count = 1 if name == "control_listen" else settings.shards
        for index in range(count):
            address = address_of_shard(getattr(settings, name), index)
            problem = _find_problem(name, address, taken)
            if problem:
                problems.append(f"{name}: {problem} ({settings.shards} shards)")
                break
    if problems:
        raise ConfigurationError(problems)


def _find_problem(name: str, address: str, taken: dict[int, str]) -> str:
    try:
        check_decision_address(address)
    except ValueError as error:
        return f"{address} {error}"
    if address.startswith(UNIX_PREFIX) or not (port := split_address(address)[1]):
        return ""
    other = taken.setdefault(port, name)
    return "" if other == name else f"port {port} is taken by {other}; move one of the two"


def address_of_shard(address: str, index: int) -> str:
    """Return where the engine of a shard listens: PORT + index, port 0 as it is, or PATH.index."""
    if index == 0:
        return address
    if address.startswith(UNIX_PREFIX):
        return f"{address}.{index}"
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + index if int(port) else 0}"


def _open(settings: Settings, shard: Shard) -> EnginePorts:
    address = address_of_shard(settings.decision_listen, shard.index)
    metrics = resolve_port("metrics_listen", address_of_shard(settings.metrics_listen, shard.index))
    # Callers of this account need no certificate on a socket that only it can open.
    local = _local_address(settings, shard.index) if _has_local_sockets(settings) else ""
    if settings.lane == "grpcio":
        # It can only listen by itself.
        address = resolve_port("decision_listen", address)
        if local:
            clear_local_address(local)
        return EnginePorts(shard, address, local or to_dial(address), metrics, local=local)
    listener = open_listener(address)
    address = listening_address(listener, address)
    ports = EnginePorts(shard, address, to_dial(address), metrics, {DECISION_FD_VARIABLE: listener})
    if local:
        ports.decision_to_dial = local
        try:
            ports.listeners[LOCAL_FD_VARIABLE] = open_listener(local)
        except BaseException:
            ports.close()
            raise
    return ports


def _local_address(settings: Settings, index: int) -> str:
    return address_of_shard(f"{UNIX_PREFIX}{settings.data_dir / _LOCAL_SOCKET}", index)


def _has_local_sockets(settings: Settings) -> bool:
    """Tell whether there is TLS, and whether the kernel takes the paths of sockets beside it.

    Below a deep directory everybody dials the port.
    """
    if settings.tls_certificate is None:
        return False
    try:
        check_decision_address(_local_address(settings, settings.shards - 1))
    except ValueError:
        return False
    return True
