"""A flood of orders from a process of its own, so that it keeps nobody else's threads waiting.

    python -m server.flooding DATA_DIR ADDRESS IS_TLS

The order comes as hex in the first line of standard input; `ready` is said behind the first answer;
the flood ends with standard input, so also with whoever started it, and says what it was answered.
Times are monotonic nanoseconds, which all processes of a machine share.
"""

import json
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final, Self

import riskgate
from riskgate.channel import Credentials
from riskgate.credentials import load_from_environment, load_operator
from riskgate.v1 import types_pb2 as types
from server.errors import UnavailableError
from server.known_engines import Way

_DEADLINE_S: Final = 1.0
_END_WAIT_S: Final = 10.0
# At most 500 orders a second: a drill measures the switch, not what the machine can bear.
_PAUSE_S: Final = 0.002
_KILLED: Final = {types.REASON_KILL_ALL, types.REASON_KILL_NEW_RISK}


@dataclass(slots=True)
class Answers:
    """What a flood was answered.

    Attributes:
        approvals: When each was sent and answered.
        denials: By a kill.
        failures: Without an answer.
    """

    approvals: list[tuple[int, int]] = field(default_factory=list)
    denials: int = 0
    failures: int = 0

    def send(self, client: riskgate.Client, order: riskgate.DecideRequest) -> None:
        """Send an order and count the answer."""
        sent_ns = time.perf_counter_ns()
        try:
            answer = client.decide(order, dry_run=True, idempotent=False)
        except riskgate.NoDecisionError:
            self.failures += 1
            return
        if answer.lot_size > 0:
            self.approvals.append((sent_ns, time.perf_counter_ns()))
        elif _KILLED.intersection(answer.reasons):
            self.denials += 1


class Flood:
    """One flood of one order at one engine, while the context lasts.

    Args:
        data_dir: Where the certificate is found that the engine wants to see.
        way: To its decision port.
        order: Sent again and again, as a dry run.

    Raises:
        UnavailableError: It cannot begin.
    """

    def __init__(self, data_dir: Path, way: Way, order: riskgate.DecideRequest) -> None:
        words = [str(data_dir), way.address, str(int(way.is_tls))]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server.flooding", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._address = way.address
        self._order = order

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def begin(self) -> None:
        """Send orders from now on; returns behind the first answer."""
        stdin, stdout = self._pipes()
        try:
            stdin.write(f"{self._order.SerializeToString().hex()}\n")
            stdin.flush()
            said = stdout.readline()
        except OSError as error:
            raise UnavailableError("decision port", f"{self._address}: {error}") from error
        if said != "ready\n":
            raise UnavailableError("decision port", f"{self._address}: no orders could be sent")

    def end(self) -> Answers:
        """Stop, and return what was answered."""
        try:
            said = self._process.communicate(timeout=_END_WAIT_S)[0]
            read = json.loads(said)
            approvals = [(sent, got) for sent, got in read["approvals"]]
            return Answers(approvals, read["denials"], read["failures"])
        except (subprocess.TimeoutExpired, ValueError, LookupError) as error:
            raise UnavailableError("decision port", f"{self._address}: {error}") from error

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None  # noqa: S101 - both were asked for
        assert self._process.stdout is not None  # noqa: S101
        return self._process.stdin, self._process.stdout


def credentials_for(data_dir: Path, way: Way) -> Credentials:
    """Return what a way wants to see.

    Raises:
        CredentialsError: It wants a certificate, and there is none that can be read.
    """
    if not way.is_tls:
        return "plaintext"
    return load_from_environment() or load_operator(data_dir)


def _main(data_dir: Path, way: Way) -> None:
    order = riskgate.DecideRequest.FromString(bytes.fromhex(sys.stdin.readline()))
    stop = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    answers = Answers()
    credentials = credentials_for(data_dir, way)
    with riskgate.Client(way.address, credentials=credentials, deadline_s=_DEADLINE_S) as client:
        answers.send(client, order)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        threading.Thread(target=wait_for_end, daemon=True).start()
        while not stop.wait(_PAUSE_S):
            answers.send(client, order)
    json.dump(asdict(answers), sys.stdout)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Way(sys.argv[2], sys.argv[3] == "1"))
