"""The server under measurement: a filled engine behind one of the two lanes.

`python -m benchmarks.lane.serve_engine --address HOST:PORT --lane grpcio|compiled`. It is the
product's own decision port over the state of `world.py`; a heartbeat every 500 ms keeps its feed
fresh. Health says SERVING when decisions are made. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.journal.world import keep_journal
from benchmarks.lane import certificates, world
from riskgate.v1.identity_pb2 import Identity
from server.decision_port import DecisionPort
from server.engine import Engine
from server.intake import Intake
from server.settings import Settings

_BEAT_INTERVAL_S: Final = 0.5
_POLL_INTERVAL_S: Final = 0.005
# The most that an entry may say: the server is measured, not its bucket.
_CALLS_PER_SECOND: Final = 1_000_000
# As the engine process sets it: other threads must not keep the decision thread waiting.
_SWITCH_INTERVAL_S: Final = 0.0005


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--lane", choices=("grpcio", "compiled"), required=True)
    parser.add_argument("--tls", type=Path, help="directory of certificates; compiled lane only")
    parser.add_argument("--busy-poll-us", type=int, default=0)
    parser.add_argument("--durability", default="memory")
    parser.add_argument("--journal", type=Path, help="folder for journal and snapshot")
    parser.add_argument("--controls", action="store_true", help="every control on, all wide")
    arguments = parser.parse_args()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    folder = arguments.tls
    if folder is None:
        sys.stderr.write("INSECURE: this measurement is without TLS, on loopback\n")
    settings = Settings(
        decision_listen=arguments.address,
        lane=arguments.lane,
        busy_poll_us=arguments.busy_poll_us,
        insecure_loopback=folder is None,
        tls_certificate=folder and folder / certificates.SERVER,
        tls_key=folder and folder / certificates.SERVER_KEY,
        tls_client_ca=folder and folder / certificates.AUTHORITY,
    )
    served = world.World(controlled=arguments.controls)
    asyncio.run(_serve(settings, served, arguments.journal, arguments.durability))


async def _serve(
    settings: Settings, served: world.World, journal: Path | None, durability: str
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    engine = served.new_engine()
    keeper = keep_journal(engine, journal, durability) if journal is not None else None
    port = _open_port(settings, engine)
    port.grants.put(
        Identity(
            uri=certificates.CLIENT_URI,
            every_account=True,
            calls_per_second=_CALLS_PER_SECOND,
            burst=_CALLS_PER_SECOND,
        )
    )
    await port.start()
    intake = Intake(engine, port.wake)
    # Compiling may have taken so long that the world's own heartbeat is stale.
    served.beat(intake.put)
    while intake.depth:  # noqa: ASYNC110 - it waits for another thread
        await asyncio.sleep(_POLL_INTERVAL_S)
    _keep_beating(lambda: served.beat(intake.put))
    await port.say_serving()
    watch = asyncio.create_task(port.watch())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([watch, stopped], return_when=asyncio.FIRST_COMPLETED)
    if watch.done():
        watch.result()
    watch.cancel()
    await port.stop()
    if keeper is not None:
        keeper.stop()


def _open_port(settings: Settings, engine: Engine) -> DecisionPort:
    if settings.lane == "compiled":
        from server.compiled_port import CompiledPort  # noqa: PLC0415 - needs libnghttp2

        return CompiledPort(settings, engine)
    from server.grpcio_port import GrpcioPort  # noqa: PLC0415 - the other lane needs no gRPC

    return GrpcioPort(settings, engine)


def _keep_beating(beat_once: Callable[[], None]) -> None:
    """Put a heartbeat twice a second from a thread, as the loader of the product does."""

    def beat() -> None:
        while True:
            time.sleep(_BEAT_INTERVAL_S)
            beat_once()

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()


if __name__ == "__main__":
    main()
