"""Editing a kernel must change the answer: the cache is named by all hot-path sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from server.hotpath.jit import sources_digest

HOTPATH = Path(__file__).parents[2] / "server" / "hotpath"
PROGRAM = """
from server.hotpath.units import DOWN
from server.hotpath.scores import score_micropoints_nb
from server.policy import default_policy_row
import numpy as np
from server.hotpath.layout import (packed_dtype)
state = np.zeros(1, packed_dtype(("fault", "<i8")))[0]
print(score_micropoints_nb(state, default_policy_row()[0], 1_000_000, 0, 3_000_000, 1_000_000, 1))
"""


def run(tree: Path, cache: Path) -> int:
    environment = {**os.environ, "RISKGATE_CACHE_DIR": str(cache), "PYTHONPATH": str(tree)}
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(answer.stdout)


def test_cache_when_a_called_module_changes_then_the_new_code_answers(tmp_path: Path) -> None:
    tree, cache = tmp_path / "tree", tmp_path / "cache"
    shutil.copytree(HOTPATH.parent, tree / "server", ignore=shutil.ignore_patterns("__pycache__"))
    assert run(tree, cache) == 100_000_000
    # units.py is not the file of the cached function, only called by it.
    units = tree / "server" / "hotpath" / "units.py"
    units.write_text(
        units.read_text().replace("    return quotient\n", "    return quotient // 2\n")
    )
    assert run(tree, cache) < 100_000_000


def test_digest_when_any_source_changes_then_it_differs(tmp_path: Path) -> None:
    shutil.copytree(HOTPATH, tmp_path / "hotpath", ignore=shutil.ignore_patterns("__pycache__"))
    before = sources_digest(tmp_path / "hotpath")
    layout = tmp_path / "hotpath" / "layout.py"
    layout.write_text(layout.read_text() + "# one more line\n")
    assert sources_digest(tmp_path / "hotpath") != before
