"""What an engine says of itself: which model and policy it runs, and whether that is proven.

It stands in a file of the data directory, from which the next start also learns which activations
were accepted here, and in Redis for everybody else (`loaders/redis_replica.py`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from server.errors import ConfigurationError

if TYPE_CHECKING:
    from server.loaders.proof_judge import Seen

REPLICA_FILE: Final = "replica.json"
_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Replica:
    """One engine as it is now.

    Attributes:
        shard: I/N.
        address: Of its decision port.
        epoch: Number of its start.
        model_digest: SHA-256 hex of the model artifact that decides; empty: none.
        model_serial: Of its activation; 0: there was none.
        policy_digest: SHA-256 hex of the canonical bytes of the policy in use.
        is_proven: Whether it runs what the record says, as far as it was told.
        problem: Name of the error that keeps it from that; empty: none.
        said_at_ns: Unix time.
        is_tls: Whether the decision port wants a client certificate.
        kill_socket: Unix socket of its kill switch, unix:/absolute/path; empty: it has none.
        pid: Process number on its own machine.
    """

    shard: str
    address: str
    epoch: int
    model_digest: str
    model_serial: int
    policy_digest: str
    is_proven: bool
    problem: str
    said_at_ns: int
    is_tls: bool = False
    kill_socket: str = ""
    pid: int = 0


def encode_replica(replica: Replica) -> bytes:
    """Return a replica as JSON."""
    return json.dumps(asdict(replica), sort_keys=True).encode()


def decode_replica(raw: bytes) -> Replica:
    """Read what `encode_replica` returned.

    Raises:
        ValueError: It is something else.
    """
    document = json.loads(raw)
    if not isinstance(document, dict) or set(document) != set(Replica.__annotations__):
        raise ValueError("not a replica")
    replica = Replica(**document)
    wanted = Replica.__annotations__
    if any(type(value) is not wanted[name] for name, value in document.items()):
        raise ValueError("a field of a replica has another type")
    return replica


def write_replica(path: Path, replica: Replica, seen: "Mapping[str, Seen]") -> None:
    """Replace the file as a whole.

    Args:
        path: Of the file.
        replica: As it is now.
        seen: The newest activation of each purpose that was accepted.

    Raises:
        OSError: It cannot be written; the file is the earlier one.
    """
    accepted = {
        purpose: {"serial": each.serial, "digest": each.digest.hex()}
        for purpose, each in seen.items()
    }
    document = {"replica": asdict(replica), "accepted": accepted}
    aside = path.with_name(f"{path.name}.new")
    with aside.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, sort_keys=True)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def read_replica(path: Path) -> Replica:
    """Return the engine that a file describes.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ValueError: It is something else.
    """
    with path.open("rb") as file:
        document: Any = json.loads(file.read(_BYTES_MAX))
    if not isinstance(document, dict) or "replica" not in document:
        raise ValueError("not a replica")
    return decode_replica(json.dumps(document["replica"]).encode())


def read_seen(path: Path) -> "dict[str, Seen]":
    """Return which activations were accepted here, by purpose; empty when there is no file.

    Raises:
        ConfigurationError: The file cannot be read: what it forbids is not known.
    """
    # Loaded where it is needed: a kill looks for engines and must be quick.
    from server.loaders.proof_judge import Seen  # noqa: PLC0415

    try:
        with path.open("rb") as file:
            document: Any = json.loads(file.read(_BYTES_MAX))
        return {
            str(purpose): Seen(int(each["serial"]), bytes.fromhex(each["digest"]))
            for purpose, each in document["accepted"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError(
            [f"{path}: cannot be read; remove it if the record was set back on purpose"]
        ) from error
