"""File systems of a size of their own; only root may mount them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


def run(*words: str, status_max: int = 0) -> None:
    """Run a program; fail with what it said when its status is larger."""
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode <= status_max, f"{words}: {done.stdout}{done.stderr}"


@cache
def _can_mount() -> bool:
    with TemporaryDirectory() as folder:
        mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
        try:
            done = subprocess.run(mounted, check=False, capture_output=True, timeout=60)
        except FileNotFoundError:
            return False
        if done.returncode == 0:
            run("umount", folder)
        return done.returncode == 0


def skip_without_mount() -> None:
    """Skip the test, saying why, where nothing can be mounted."""
    if not _can_mount():
        pytest.skip("mounting is refused here: this fault was not provoked")


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """Let a folder be a file system of a fixed size for a while."""
    folder.mkdir(parents=True)
    run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(folder))
    try:
        yield
    finally:
        run("umount", "--lazy", str(folder))


def resize_disk(folder: Path, size_bytes: int) -> None:
    """Give a small disk another size."""
    run("mount", "-o", f"remount,size={size_bytes}", str(folder))
