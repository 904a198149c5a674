"""`state.json`: what `riskgate serve` has started, for everybody who names the same data directory.

It holds passwords, so it is 0600; it is replaced as a whole, so a reader never sees half of it; a
clean stop removes it. Whether it still holds is a question of the supervisor's lock.
"""

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.errors import PreconditionError

FILE_NAME = "state.json"


class StackState(BaseModel):
    """One running stack.

    Attributes:
        supervisor_pid: Process number of `riskgate serve`.
        started_at: RFC 3339, UTC.
        ready: Whether both ports were seen serving.
        is_tls: Whether the network ports want client certificates; false: insecure loopback.
        decision_address: HOST:PORT by which this machine reaches the decision port; of several
            engines, that of the first.
        decision_addresses: The same of every engine, in the order of the shards.
        control_address: HOST:PORT of the control port.
        http_address: HOST:PORT of HTTP/JSON; empty: it is not served.
        metrics_address: HOST:PORT of the metrics endpoint; of several engines, of the first.
        metrics_addresses: The same of every engine, in the order of the shards.
        database_url: PostgreSQL, password included.
        redis_url: Redis, password included.
        pids: Process numbers of the children by name: engine (of several: engine-0, engine-1 and
            so on), control, postgres, redis.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    supervisor_pid: int
    started_at: str
    ready: bool
    # Absent in the file of an earlier release, like the lists below.
    is_tls: bool = False
    decision_address: str
    decision_addresses: list[str] = Field(default_factory=list)
    control_address: str
    http_address: str = ""
    metrics_address: str
    metrics_addresses: list[str] = Field(default_factory=list)
    database_url: str
    redis_url: str
    pids: dict[str, int]

    @classmethod
    def read(cls, data_dir: Path) -> Self | None:
        """Return the state of a data directory; None when nothing was started there.

        Raises:
            PreconditionError: The file exists but is not ours to read or not well formed.
        """
        try:
            return cls.model_validate_json((data_dir / FILE_NAME).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise PreconditionError("state.json cannot be read") from error

    def write(self, data_dir: Path) -> None:
        """Replace the file, mode 0600."""
        aside = data_dir / f"{FILE_NAME}.new"
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=2) + "\n")
        aside.replace(data_dir / FILE_NAME)


def remove_state(data_dir: Path) -> None:
    """Remove the file after a clean stop."""
    (data_dir / FILE_NAME).unlink(missing_ok=True)
