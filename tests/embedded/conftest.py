import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.embedded.place import OUTSIDE_ROOT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    # pytest's own folders are closed to the account that the services run as; this one is not.
    folder = Path(tempfile.mkdtemp(prefix="riskgate-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def closed_parent() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="riskgate-test-"))
    before = set(OUTSIDE_ROOT.glob("*")) if OUTSIDE_ROOT.is_dir() else set()
    yield folder
    shutil.rmtree(folder)
    if OUTSIDE_ROOT.is_dir():
        for made in set(OUTSIDE_ROOT.glob("*")) - before:
            origin = made / "data-directory"
            if origin.is_file() and origin.read_text(encoding="utf-8").startswith(str(folder)):
                shutil.rmtree(made)
