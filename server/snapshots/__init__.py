"""Snapshots: everything of an engine that can influence a later answer, in one file, and back.

Left out are the records that each call fills anew (request, decision, work, report), the indexes
and the wheel, which follow from the rows, and the models, which come from the artifact store by the
digests in the meta.
"""

import logging
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from server import hotpath
from server.errors import (
    BrokenInvariantError,
    OtherReleaseError,
    SnapshotDamagedError,
)
from server.hotpath.jit import sources_digest
from server.hotpath.layout import ARITHMETIC_VERSION, LAYOUT_VERSION
from server.hotpath.memory import TABLES, Capacity, State
from server.hotpath.model_tables import KIND_NONE
from server.snapshots.checks import check_contents, check_fresh
from server.snapshots.contents import fill_state, sections_of
from server.snapshots.file import SnapshotMeta, read_file, read_meta, write_file

log = logging.getLogger(__name__)

_NAME: Final = re.compile(r"\d{20}\.snapshot")


def describe_state(
    state: State, *, entry_number: int, made_at_ns: int, start: Mapping[str, int | list[int]]
) -> SnapshotMeta:
    """Return the meta of a snapshot that is taken of a state now.

    Args:
        state: Of the engine.
        entry_number: Number of the newest journal entry that the state contains.
        made_at_ns: Unix nanoseconds.
        start: The numbers of the START entry of the engine's epoch, plain ones.
    """
    engine, slots = state.engine[0], state.models.slots
    return SnapshotMeta(
        entry_number=entry_number,
        sequence=int(engine["sequence"]),
        epoch=int(engine["epoch"]),
        made_at_ns=made_at_ns,
        arithmetic_version=ARITHMETIC_VERSION,
        layout_version=LAYOUT_VERSION,
        sources=_hotpath_sources(),
        release=version("riskgate"),
        capacity=capacity_of(state)._asdict(),
        models={
            int(slot): slots["digest"][slot].tobytes().hex()
            for slot in np.flatnonzero(slots["kind"] != KIND_NONE)
        },
        start=dict(start),
    )


def capacity_of(state: State) -> Capacity:
    """Return the capacity that a state was made with."""
    rows = {name: len(getattr(state, name).rows) - 1 for name in TABLES if name != "reports"}
    return Capacity(**rows, answer_bytes=len(state.answers), events=len(state.events) - 1)


def save_snapshot(folder: Path, state: State, meta: SnapshotMeta) -> Path:
    """Write a snapshot and return where it is; it appears whole or not at all.

    The state must not change meanwhile, and no call may be half done in it.

    Args:
        folder: Of this one writer.
        state: What is saved.
        meta: From `describe_state`.

    Raises:
        OSError: The disk is full or failed; nothing is left behind.
        BrokenInvariantError: The meta is of another moment.
    """
    if meta.sequence != int(state.engine[0]["sequence"]):
        raise BrokenInvariantError(f"the state is no longer at sequence {meta.sequence}")
    path = folder / f"{meta.entry_number:020d}.snapshot"
    write_file(path, meta, sections_of(state))
    return path


def load_snapshot(path: Path, state: State) -> SnapshotMeta:
    """Fill a fresh state from a snapshot, indexes included.

    The models that the meta lists are to be loaded by the caller before anything is decided. The
    engine's record comes whole, with the numbers of its START; an engine that begins an epoch sets
    them again. The capacity may be another one, as long as what is in use fits.

    Raises:
        SnapshotDamagedError: The file is not what was written.
        OtherReleaseError: Another release has to read it.
        SnapshotLayoutError: A column is gone or shaped otherwise.
        SnapshotCapacityError: A table is too small; names it.
        BrokenInvariantError: The state has been used. In all cases it is as it was.
    """
    meta, arrays = read_file(path)
    if meta.arithmetic_version != ARITHMETIC_VERSION:
        raise OtherReleaseError(
            f"{path} has arithmetic version {meta.arithmetic_version}, this is "
            f"{ARITHMETIC_VERSION}: read it with riskgate {meta.release}, which wrote it",
            detail=f"riskgate {meta.release}",
        )
    check_fresh(state)
    check_contents(path, arrays, state, meta.capacity)
    fill_state(state, arrays, meta.capacity)
    return meta


def snapshot_paths(folder: Path) -> list[Path]:
    """Return the snapshots of a folder by name, newest first; none if there is no folder."""
    found = [path for path in folder.glob("*.snapshot") if _NAME.fullmatch(path.name)]
    return sorted(found, reverse=True)


def newest_snapshot(folder: Path) -> tuple[Path, SnapshotMeta] | None:
    """Return the newest snapshot that is whole; a damaged one is passed over and logged.

    All of it is read. Whether it suits this release and this capacity, `load_snapshot` says.
    """
    for path in snapshot_paths(folder):
        meta = _meta_if_whole(path)
        if meta is not None:
            return path, meta
    return None


def remove_old_snapshots(folder: Path, keep: int = 2) -> list[Path]:
    """Delete what is older than the newest `keep` whole snapshots; return what was deleted.

    Args:
        folder: With snapshots.
        keep: At least 1; damaged ones do not count.
    """
    if keep < 1:
        raise ValueError("one snapshot at least must be kept")
    kept, removed = 0, []
    for path in snapshot_paths(folder):
        if kept == keep:
            path.unlink()
            removed.append(path)
        else:
            kept += _meta_if_whole(path) is not None
    return removed


def _meta_if_whole(path: Path) -> SnapshotMeta | None:
    try:
        meta = read_meta(path)
        if path.name != f"{meta.entry_number:020d}.snapshot":
            raise SnapshotDamagedError(f"{path} is the snapshot of entry {meta.entry_number}")
    except SnapshotDamagedError as error:
        log.warning("a snapshot is passed over: %s", error)
        return None
    return meta


@cache
def _hotpath_sources() -> str:
    return sources_digest(Path(hotpath.__path__[0]))
