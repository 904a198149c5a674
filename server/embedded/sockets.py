"""The folder of a service's Unix socket: 0700, and short enough for the kernel.

A socket's path has at most 107 bytes. When the data directory is nested too deeply, a short private
folder stands in; `run/<name>.socket-folder` remembers it, so that a restart finds it again and a
clean stop removes it.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from server.embedded.account import can_use
from server.embedded.place import Place
from server.errors import EmbeddedServiceError

# 107 less the longest name that goes in: "/.s.PGSQL.5432.lock".
_FOLDER_BYTES_MAX = 107 - 20
_PREFIX = "riskgate-"
_PRIVATE_MODE = 0o700


def open_socket_folder(place: Place, name: str) -> Path:
    """Return the folder for the socket of service `name`, made, private and owned right.

    Raises:
        EmbeddedServiceError: No short folder can be made either.
    """
    run = place.make_run_folder()
    folder = run / name
    if len(os.fsencode(folder)) <= _FOLDER_BYTES_MAX:
        folder.mkdir(mode=0o700, exist_ok=True)
        place.give(folder, 0o700)
        return folder
    record = _record(place, name)
    known = _read_record(place, record)
    if known is None:
        known = _make_short_folder(place)
        record.write_text(f"{known}\n", encoding="utf-8")
    return known


def find_socket_folder(place: Place, name: str) -> Path:
    """Return the folder that the running service uses, without making anything."""
    return _read_record(place, _record(place, name)) or place.root / "run" / name


def remove_socket_folder(place: Place, name: str) -> None:
    """Remove a short folder after a clean stop; one inside the data directory stays."""
    record = _record(place, name)
    known = _read_record(place, record)
    if known is not None:
        shutil.rmtree(known, ignore_errors=True)
    record.unlink(missing_ok=True)


def clear_folder(folder: Path) -> None:
    """Remove sockets and lock files that a killed service left in its socket folder."""
    for entry in folder.iterdir():
        entry.unlink(missing_ok=True)


def _record(place: Place, name: str) -> Path:
    return place.root / "run" / f"{name}.socket-folder"


def _read_record(place: Place, record: Path) -> Path | None:
    try:
        folder = Path(record.read_text(encoding="utf-8").strip())
        status = folder.lstat()
    except OSError:
        return None
    # Temporary folders are shared with others: believe the record only while it is still ours.
    owner = place.account.uid if place.account else os.geteuid()
    private = stat.S_ISDIR(status.st_mode) and stat.S_IMODE(status.st_mode) == _PRIVATE_MODE
    return (
        folder if private and status.st_uid == owner and folder.name.startswith(_PREFIX) else None
    )


def _make_short_folder(place: Place) -> Path:
    candidates = ["/run"] if place.account else [os.environ.get("XDG_RUNTIME_DIR", "")]
    for parent in (*candidates, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp is private
        if not parent or len(os.fsencode(parent)) > _FOLDER_BYTES_MAX - 20:
            continue
        try:
            folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError:
            continue
        place.give(folder, 0o700)
        if can_use(place.account, "-x", folder):
            return folder
        folder.rmdir()
    raise EmbeddedServiceError(
        f"the path {place.root} is too long for a Unix socket, and no temporary folder helps",
        mend="name a --data-dir with a path of less than 60 characters",
    )
