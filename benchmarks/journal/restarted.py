"""One engine that starts: `python -m benchmarks.journal.restarted FOLDER BEGAN_NS`.

It does what an engine process does until it serves, and prints as JSON what each part took. The
model of the benchmark's world is built anew instead of loaded; that is taken out of the figures.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

# Part → seconds that passed, seconds that processors worked.
Run = dict[str, tuple[float, float]]

_IMPORTS: Final = "process and imports"
_KERNELS: Final = "kernels of the replay"
TAIL: Final = "tail replayed"
_BEGIN: Final = "epoch begun"
_PORT: Final = "port serves"
_MODEL: Final = "load_slot"
TOTAL: Final = "start to SERVING"
# What `restore_engine` calls → how the table says it.
_RESTORING: Final = {
    "newest_snapshot": "snapshot found",
    "Engine": "memory made",
    "load_snapshot": "snapshot loaded",
    "recover": "end of the journal found",
}
PARTS: Final = (_IMPORTS, _KERNELS, *_RESTORING.values(), TAIL, _BEGIN, _PORT, TOTAL)


class Stopwatch:
    """What passed and what the processors worked, by part, since the process was started."""

    def __init__(self, began_ns: int) -> None:
        self.spent: Run = {}
        self._began_ns = began_ns

    def note_so_far(self, part: str) -> None:
        """Note all that has passed, without the model."""
        passed, worked = self.spent.pop(_MODEL, (0.0, 0.0))
        since_s = (time.time_ns() - self._began_ns) / 1e9
        self.spent[part] = (since_s - passed, time.process_time() - worked)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time taken."""

        def call(*arguments: Any, **named: Any) -> Any:
            began, worked = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                before = self.spent.get(part, (0.0, 0.0))
                passed = before[0] + time.perf_counter() - began
                self.spent[part] = (passed, before[1] + time.process_time() - worked)

        return call


def restart(folder: Path, began_ns: int) -> Run:
    """Start an engine on what lies in a folder; return what each part took."""
    # Here, because loading them is a part of what is timed; the first as the product's process.
    import server.engine_process  # noqa: PLC0415, F401
    from server.compiled_port import CompiledPort  # noqa: PLC0415
    from server.engine import Engine  # noqa: PLC0415
    from server.engine_start import begin_serving, lock_journal  # noqa: PLC0415
    from server.hotpath.memory import Capacity  # noqa: PLC0415
    from server.journal.reader import Tail, read_start  # noqa: PLC0415
    from server.replays import restoring  # noqa: PLC0415
    from server.replays.replayer import Replayer, capacity_of, warm_replay  # noqa: PLC0415
    from server.settings import Settings  # noqa: PLC0415

    watch = Stopwatch(began_ns)
    watch.note_so_far(_IMPORTS)
    watch.timed(_KERNELS, lambda: warm_replay(Engine(Capacity())))()
    # Nobody calls: what is measured ends when the port is open.
    settings = Settings(
        data_dir=folder,
        decision_listen="127.0.0.1:0",
        lane="compiled",
        insecure_loopback=True,
    )
    journal, snapshots = folder / "journal", folder / "snapshots"
    with Tail(journal, 1) as tail:
        capacity = capacity_of(read_start(tail.read(1)[0]))
    lock = lock_journal(journal)
    with ExitStack() as stack:
        for name, part in {**_RESTORING, _MODEL: _MODEL}.items():
            timed = watch.timed(part, getattr(restoring, name))
            stack.enter_context(patch.object(restoring, name, timed))
        replay = watch.timed(TAIL, Replayer.advance)
        stack.enter_context(patch.object(Replayer, "advance", replay))
        restored = restoring.restore_engine(journal, snapshots, capacity, _find_model)
    started = watch.timed(_BEGIN, begin_serving)(settings, restored, journal, lock)

    async def serve() -> CompiledPort:
        port = CompiledPort(settings, started.engine)
        await port.start()
        await port.say_serving()
        return port

    with asyncio.Runner() as runner:
        port = watch.timed(_PORT, lambda: runner.run(serve()))()
        watch.note_so_far(TOTAL)
        runner.run(port.stop())
    started.close()
    return watch.spent


def _find_model(digest: bytes) -> Any:
    from benchmarks.journal.world import find_model  # noqa: PLC0415 - no engine imports that

    return find_model(digest)


if __name__ == "__main__":
    print(json.dumps(restart(Path(sys.argv[1]), int(sys.argv[2]))))
