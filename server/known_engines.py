"""Which engines there are, and by which ways each is reached: for whoever must reach all of them.

Local ones are found in the data directory alone, so also while Redis is away; those of other
machines are found in Redis. An engine that has lost its shard to one of a higher epoch decides
nothing any more and is not needed.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from riskgate.channel import RunningStack, StackNotFoundError
from server.addresses import UNIX_PREFIX, to_dial
from server.errors import ConfigurationError, PreconditionError, RiskgateError, UnavailableError
from server.replica import REPLICA_FILE, Replica, read_replica
from server.shards import Shard, all_shards

KILL_SOCKET: Final = "kill.sock"
# Says nothing for so long and belongs to another split of the accounts: it was stopped for good.
_FORGOTTEN_NS: Final = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """One address of an engine.

    Attributes:
        address: To dial.
        is_tls: It wants a certificate.
    """

    address: str
    is_tls: bool = False


@dataclass(frozen=True, slots=True)
class KnownEngine:
    """One engine.

    Attributes:
        shard: I/N.
        ways: In the order in which they are tried.
        decision: Way to its decision port.
        epoch: Number of its start; 0: not known.
        is_local: It runs on this data directory.
        is_needed: It may decide.
        said_at_ns: When it was heard of, Unix nanoseconds; 0: never.
    """

    shard: str
    ways: tuple[Way, ...]
    decision: Way
    epoch: int = 0
    is_local: bool = True
    is_needed: bool = True
    said_at_ns: int = 0


def kill_socket_path(data_dir: Path, shard: Shard) -> Path:
    """Return where the socket of an engine's kill switch is."""
    return shard.folder(data_dir.absolute(), KILL_SOCKET)


def find_local(data_dir: Path) -> list[KnownEngine]:
    """Return the engines of a data directory, by what stands in it."""
    said = _read_replicas(data_dir)
    try:
        stack = RunningStack.read(data_dir)
    except StackNotFoundError:
        # Engines of their own, without a supervisor; the newest split of the accounts counts.
        newest = max(said.values(), key=lambda each: each.said_at_ns, default=None)
        count = Shard.parse(newest.shard).count if newest else 0
        dialled = dict.fromkeys(all_shards(count), "")
    else:
        dialled = dict(zip(all_shards(len(stack.decision)), stack.decision, strict=True))
    return [
        _local(data_dir, shard, said.get(str(shard)), address)
        for shard, address in dialled.items()
        if address or str(shard) in said
    ]


def find_others(data_dir: Path, local: list[KnownEngine], now_ns: int) -> list[KnownEngine]:
    """Return the engines that Redis knows and the data directory does not.

    Args:
        data_dir: Says where Redis is, and how to tell what was written by us.
        local: What `find_local` found.
        now_ns: Unix time.

    Raises:
        UnavailableError: Redis does not answer, or is not known.
    """
    # Loaded here: no kill of a local engine waits for it.
    from server.loaders.redis_replica import RedisReplicas  # noqa: PLC0415
    from server.security.feed_seal import FeedSeal  # noqa: PLC0415

    try:
        seal = FeedSeal.load(data_dir / "keys")
    except (RiskgateError, OSError) as error:
        raise UnavailableError("register of engines", str(error)) from error
    register = RedisReplicas(_redis_url(data_dir), seal)
    try:
        said = register.read_all()
    finally:
        register.close()
    own = {engine.shard: engine for engine in local}
    counts = {Shard.parse(shard).count for shard in own}
    found = []
    for replica in said:
        known = own.get(replica.shard)
        is_forgotten = now_ns - replica.said_at_ns > _FORGOTTEN_NS
        if known is not None and replica.epoch <= known.epoch:
            continue
        if known is not None and known.epoch == 0:
            continue  # it has only just begun
        if counts and Shard.parse(replica.shard).count not in counts and is_forgotten:
            continue
        way = Way(to_dial(replica.address), replica.is_tls)
        found.append(
            KnownEngine(
                replica.shard,
                (way,),
                way,
                replica.epoch,
                is_local=False,
                said_at_ns=replica.said_at_ns,
            )
        )
    return found


def mark_replaced(engines: list[KnownEngine]) -> list[KnownEngine]:
    """Return the engines, those that another of their shard has replaced marked as not needed."""
    newest: dict[str, int] = {}
    for engine in engines:
        newest[engine.shard] = max(engine.epoch, newest.get(engine.shard, 0))
    return [
        replace(engine, is_needed=engine.epoch in {0, newest[engine.shard]}) for engine in engines
    ]


def _read_replicas(data_dir: Path) -> dict[str, Replica]:
    found: dict[str, Replica] = {}
    for path in sorted(data_dir.glob(f"{REPLICA_FILE}*")):
        try:
            replica = read_replica(path)
            Shard.parse(replica.shard)
        except (OSError, ValueError):
            continue  # what is there is half written, or of another release
        found[replica.shard] = replica
    return found


def _local(data_dir: Path, shard: Shard, said: Replica | None, dialled: str) -> KnownEngine:
    ways = []
    socket = kill_socket_path(data_dir, shard)
    if socket.exists():
        ways.append(Way(f"{UNIX_PREFIX}{socket}"))
    address = dialled or (to_dial(said.address) if said else "")
    is_tls = said.is_tls if said else True
    decision = Way(address, is_tls and not address.startswith(UNIX_PREFIX))
    return KnownEngine(
        str(shard),
        (*ways, decision),
        decision,
        said.epoch if said else 0,
        said_at_ns=said.said_at_ns if said else 0,
    )


def _redis_url(data_dir: Path) -> str:
    from server.settings import load_settings  # noqa: PLC0415 - as above
    from server.stack_state import StackState  # noqa: PLC0415

    try:
        state = StackState.read(data_dir)
        if state is not None:
            return state.redis_url
        url = load_settings(data_dir=data_dir).redis_url
    except (ConfigurationError, PreconditionError) as error:
        raise UnavailableError("register of engines", str(error)) from error
    if url is None:
        raise UnavailableError("register of engines", "no Redis is named")
    return url.get_secret_value()
