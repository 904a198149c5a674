"""Memory under a checker, and over ten million requests; both take long."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.hotpath.lane.hostile.besieged import (
    RAW_REQUEST,
    Besieged,
    Neighbour,
    resident_bytes,
)
from tests.hotpath.lane.raw_http2 import DECISION_SERVICE, message

ROOT: Final = Path(__file__).parents[4]
DAMAGED_SESSIONS: Final = 300
REQUESTS: Final = 10_000_000
WARM_REQUESTS: Final = 500_000
# Ten million requests; a leak of one byte in each would be more.
GROWTH_BYTES_MAX: Final = 8 << 20
# A frame of compiled code: an address without symbol and without object file.
COMPILED_FRAME: Final = re.compile(r"(at|by) 0x[0-9A-F]+: \?\?\?$")

needs_valgrind = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="valgrind is not installed"
)
needs_h2load = pytest.mark.skipif(
    shutil.which("h2load") is None, reason="h2load (nghttp2-client) is not installed"
)


def _complaints(log: str) -> list[str]:
    """Return the errors of a memcheck log that have a compiled or a libnghttp2 frame."""
    lines = [re.sub(r"^==\d+== ?", "", line) for line in log.splitlines()]
    blocks = "\n".join(lines).split("\n\n")
    return [
        block
        for block in blocks
        if re.search(r"^ +at 0x", block, re.MULTILINE)
        and any("libnghttp2" in line or COMPILED_FRAME.search(line) for line in block.splitlines())
    ]


def test_complaints_when_their_frames_are_compiled_or_of_nghttp2_then_only_they_count() -> None:
    other = "==7== Invalid read of size 4\n==7==    at 0x4A: free (vg_replace_malloc.c:1)\n==7== \n"
    compiled = "==7== Invalid write of size 1\n==7==    at 0x4012345: ???\n==7== \n"
    library = "==7== Jump\n==7==    at 0x48: f (in libnghttp2.so.14)\n==7==    by 0x4: main\n"
    assert _complaints(other) == []
    assert len(_complaints(other + compiled + library)) == 2


def _check(program: str, *arguments: str, folder: Path) -> tuple[str, str]:
    """Run a program under memcheck; return what it says and what the checker says."""
    log = folder / "memcheck.log"
    # Valgrind does not know the newest instructions; compiled without it first, for any processor.
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, "-m", f"tests.hotpath.lane.hostile.{program}", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    checker = ("valgrind", "--tool=memcheck", "--num-callers=30", f"--log-file={log}")
    done = subprocess.run(
        [*checker, *command],
        check=True,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    found = log.read_text(encoding="utf-8", errors="replace")
    assert "ERROR SUMMARY" in found
    return done.stdout, found


@pytest.mark.campaign
@needs_valgrind
def test_checker_when_compiled_code_reads_freed_memory_then_it_complains(tmp_path: Path) -> None:
    _, log = _check("freed_memory", folder=tmp_path)
    assert any("Invalid read" in complaint for complaint in _complaints(log))


@pytest.mark.campaign
@needs_valgrind
def test_memory_when_checked_then_compiled_code_and_nghttp2_make_no_error(tmp_path: Path) -> None:
    said, log = _check("served_sessions", str(DAMAGED_SESSIONS), folder=tmp_path)
    assert int(said.split()[0]) > 100  # calls
    assert _complaints(log) == []


def _load(besieged: Besieged, folder: Path, requests: int) -> str:
    body = folder / "request"
    body.write_bytes(message(RAW_REQUEST))
    done = subprocess.run(
        [
            *("h2load", "-n", str(requests), "-c", "8", "-m", "8", "-d", str(body)),
            *("-H", "content-type: application/grpc", "-H", "te: trailers"),
            "http://{}:{}".format(*besieged.address) + f"{DECISION_SERVICE}/Decide",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"{requests} succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout
    return done.stdout


@pytest.mark.campaign
@needs_h2load
def test_memory_when_ten_million_requests_are_served_then_it_stays_flat(
    besieged: Besieged, neighbour: Neighbour, tmp_path: Path
) -> None:
    neighbour.stop()  # its own list of answers would grow
    _load(besieged, tmp_path, WARM_REQUESTS)
    before = resident_bytes()
    _load(besieged, tmp_path, REQUESTS)
    grown = resident_bytes() - before
    print(f"resident: {before >> 20} MiB before, {grown >> 10} KiB more after {REQUESTS} requests")  # noqa: T201
    assert grown < GROWTH_BYTES_MAX
    assert not besieged.lane.record["errors"][0].any()
