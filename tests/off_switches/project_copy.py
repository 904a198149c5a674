"""A copy of the project whose controls may be switched off; its tests run in a process apart."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from shutil import copy2
from typing import Final, NamedTuple

from server.hotpath.jit import cache_folder
from tests.off_switches.switch import Switch

ROOT: Final = Path(__file__).parents[2]
_HOTPATH: Final = "server/hotpath"
_RUN_S_MAX: Final = 900
# What is imported must be the copy: not the project that is installed, nor this one.
_RUN: Final = """
import sys
from pathlib import Path
import pytest
import server

here = Path.cwd()
assert Path(server.__file__).is_relative_to(here), server.__file__
status = pytest.main(sys.argv[1:])
packages = ("server", "riskgate", "trainer", "tests")
files = [
    Path(module.__file__)
    for name, module in list(sys.modules.items())
    if name.split(".")[0] in packages and getattr(module, "__file__", None)
]
assert all(file.is_relative_to(here) for file in files), files
print("imported from the copy:", len(files), "modules")
sys.exit(status)
"""


class Outcome(NamedTuple):
    """What became of one test.

    Attributes:
        test: Module and name.
        kind: passed, failed, error or skipped.
        said: First line of the reason.
    """

    test: str
    kind: str
    said: str

    def is_of(self, node: str) -> bool:
        """Tell whether the test is one of those that a node id names."""
        file, _, name = node.partition("::")
        module = file.removesuffix(".py").replace("/", ".")
        return self.test == f"{module}::{name}" or self.test.startswith(f"{module}::{name}[")

    @property
    def is_refusal_missed(self) -> bool:
        """Whether an assertion failed, or what should have been refused was not."""
        first = self.said.removeprefix("Failed: ")
        return self.kind == "failed" and first.startswith(("assert", "Assertion", "DID NOT RAISE"))


class ProjectCopy:
    """The files of the project in another folder.

    Args:
        folder: Empty; the copy and all that its tests write goes there.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder / "project"
        self._results = folder / "results.xml"
        self._temporary = folder / "t"
        self._cache = folder / "cache"
        for name in list_files():
            (self._root / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, self._root / name)
        self._share_kernels()

    def run(self, tests: Sequence[str]) -> list[Outcome]:
        """Run tests as the copy is now and return what became of each.

        Raises:
            AssertionError: Something else than the copy was imported, or no test was found.
        """
        self._results.unlink(missing_ok=True)
        options = ("-q", f"--junitxml={self._results}")
        temporary = f"--basetemp={self._temporary}"
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *options, temporary, *tests],
            cwd=self._root,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=_RUN_S_MAX,
            check=False,
        )
        said = f"{done.stdout[-4_000:]}\n{done.stderr[-4_000:]}"
        assert done.returncode in {0, 1}, said
        assert "imported from the copy: " in done.stdout, said
        found = _read_results(self._results)
        assert found, said
        return found

    def run_without(self, switch: Switch) -> list[Outcome]:
        """Run the test of a control while that is switched off."""
        path = self._root / switch.file
        whole, status = path.read_text(encoding="utf-8"), path.stat()
        assert whole.count(switch.text) == 1
        path.write_text(whole.replace(switch.text, switch.replacement), encoding="utf-8")
        try:
            return self.run([switch.test])
        finally:
            path.write_text(whole, encoding="utf-8")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "COV_", "RISKGATE_"))
        }
        return kept | {
            "PYTHONPATH": str(self._root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RISKGATE_CACHE_DIR": str(self._cache),
        }

    def _share_kernels(self) -> None:
        """Let the copy use kernels that are compiled: numba keeps them by the path of the source.

        The copies of those sources are the same to the byte and in their times.
        """
        compiled = cache_folder()
        shared = self._cache / "kernels" / compiled.name
        shared.mkdir(parents=True)
        for source in [ROOT / _HOTPATH, *(ROOT / _HOTPATH).rglob("*/")]:
            ours = compiled / _kernel_folder(source)
            if ours.is_dir():
                theirs = shared / _kernel_folder(self._root / source.relative_to(ROOT))
                theirs.symlink_to(ours, target_is_directory=True)


def list_files() -> list[str]:
    """Return the files of the project: all that are there and that git does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def _kernel_folder(source: Path) -> str:
    return f"{source.name}_{sha1(str(source).encode(), usedforsecurity=False).hexdigest()}"


def _read_results(path: Path) -> list[Outcome]:
    kinds = {"failure": "failed", "error": "error", "skipped": "skipped"}
    found = []
    for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 - pytest wrote it
        test = f"{case.get('classname')}::{case.get('name')}"
        bad = next((child for child in case if child.tag in kinds), None)
        if bad is None:
            found.append(Outcome(test, "passed", ""))
        else:
            said = (bad.get("message") or "").partition("\n")[0]
            found.append(Outcome(test, kinds[bad.tag], said))
    return found
