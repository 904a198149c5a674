"""Where the embedded services keep their files, and the data directory's modes.

Normally that is the data directory. As root the services run as another account, which may be
unable to get there (a checkout below a folder of mode 0700). Then a folder below /var/lib/riskgate
stands in, which `services-folder` in the data directory names; the modes in the way stay as they
are, and a stack stays where it was first made. The service account owns only its own folders, so it
can neither rename nor replace keys.
"""

import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from server.embedded.account import (
    ServiceAccount,
    can_use,
    find_service_account,
    first_closed_parent,
)
from server.errors import ConfigurationError, EmbeddedServiceError

OUTSIDE_ROOT = Path("/var/lib/riskgate")
_SERVICE_FOLDERS = ("postgres", "redis")
# In the data directory: where the services' folders are, when they are not beside it.
_RECORD = "services-folder"
# In a folder below OUTSIDE_ROOT: whose it is.
_ORIGIN = "data-directory"
_KNOWN_NAMES = frozenset(
    {
        *(
            "artifacts",
            "denials",
            "epoch",
            "heads",
            "journal",
            "keys",
            "lock",
            "logs",
            "pki",
            "run",
        ),
        *("state.json", _RECORD, *_SERVICE_FOLDERS),
    }
)


@dataclass(frozen=True)
class Place:
    """The folders of one stack's embedded services.

    Attributes:
        data_dir: What the operator named; keys and logs are always here.
        root: Parent of the services' own folders: `data_dir` or one below /var/lib/riskgate.
        account: Who the services run as; None is ourselves.
    """

    data_dir: Path
    root: Path
    account: ServiceAccount | None

    def make_service_folder(self, name: str) -> Path:
        """Make `root/name` for the service account alone (0700) and return it."""
        folder = self.root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        self.give(folder, 0o700)
        return folder

    def make_run_folder(self) -> Path:
        """Make `root/run`, which the service account may pass but not change."""
        folder = self.root / "run"
        folder.mkdir(mode=0o700, exist_ok=True)
        _let_pass(folder, self.account)
        return folder

    def give(self, path: Path, mode: int) -> None:
        """Set the mode of one of our own paths and hand it to the service account."""
        path.chmod(mode, follow_symlinks=True)
        if self.account:
            os.chown(path, self.account.uid, self.account.gid, follow_symlinks=False)


def prepare_data_dir(data_dir: Path) -> None:
    """Make the data directory with its private folders, or check that an existing one is ours.

    Raises:
        ConfigurationError: It belongs to somebody else, is no directory, or holds foreign files.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = data_dir.stat()
        names = {entry.name for entry in data_dir.iterdir()}
    except OSError as error:
        raise ConfigurationError([f"data_dir: {data_dir}: {error.strerror}"]) from error
    if status.st_uid != os.geteuid():
        raise ConfigurationError(
            [f"data_dir: {data_dir} belongs to another account; run as that one or name another"]
        )
    # A typing mistake such as `--data-dir /tmp` must not close a folder that others use.
    if names and not names & _KNOWN_NAMES:
        raise ConfigurationError([f"data_dir: {data_dir} holds files that are not Riskgate's"])
    if stat.S_IMODE(status.st_mode) & 0o067:
        data_dir.chmod(0o700)
    for name in ("keys", "logs", "artifacts"):
        (data_dir / name).mkdir(mode=0o700, exist_ok=True)


def choose_place(data_dir: Path, service_user: str) -> Place:
    """Return where the services of this data directory live; make the folders on the way.

    Raises:
        ConfigurationError: The data directory itself is not usable.
        EmbeddedServiceError: As root: no place that the service account can reach.
    """
    prepare_data_dir(data_dir)
    account = find_service_account(service_user)
    record = data_dir / _RECORD
    if account is None:
        if record.exists():
            raise EmbeddedServiceError(
                f"the database of {data_dir} is in {record.read_text(encoding='utf-8').strip()}",
                mend="run as root, as it was first started",
            )
        return Place(data_dir, data_dir, None)
    if record.exists():
        return Place(data_dir, _open_outside(data_dir, record, account), account)
    _let_pass(data_dir, account)
    if can_use(account, "-x", data_dir):
        return Place(data_dir, data_dir, account)
    data_dir.chmod(0o700)
    if any((data_dir / name).exists() for name in _SERVICE_FOLDERS):
        closed = first_closed_parent(account, data_dir)
        raise EmbeddedServiceError(
            f"the account {account.name!r} cannot enter {closed}, and {data_dir} holds a database "
            "that it owns",
            mend=f"let {account.name!r} enter {closed} (chmod o+x), or move the data directory "
            "to where it can",
        )
    return Place(data_dir, _make_outside(data_dir, record, account), account)


def _make_outside(data_dir: Path, record: Path, account: ServiceAccount) -> Path:
    # The random part keeps a removed and newly made data directory away from the old database.
    outside = OUTSIDE_ROOT / f"{_name_of(data_dir)}-{secrets.token_hex(4)}"
    try:
        make_outside_root()
        outside.mkdir(mode=0o700)
        _let_pass(outside, account)
        (outside / _ORIGIN).write_text(f"{data_dir}\n", encoding="utf-8")
        problem = "" if can_use(account, "-x", outside) else "the account cannot enter it"
    except OSError as error:
        problem = str(error.strerror)
    if problem:
        closed = first_closed_parent(account, data_dir)
        raise EmbeddedServiceError(
            f"the account {account.name!r} cannot enter {closed} on the way to {data_dir}, and "
            f"{outside} cannot stand in: {problem}",
            mend=f"name a --data-dir that {account.name!r} can reach, run as an ordinary user, "
            "or set RISKGATE_DATABASE_URL and RISKGATE_REDIS_URL",
        )
    record.write_text(f"{outside}\n", encoding="utf-8")
    return outside


def _open_outside(data_dir: Path, record: Path, account: ServiceAccount) -> Path:
    outside = Path(record.read_text(encoding="utf-8").strip())
    if outside.parent != OUTSIDE_ROOT or not outside.is_dir():
        raise EmbeddedServiceError(
            f"{record} names {outside}, which is gone: the database of this data directory",
            mend="restore that folder, or start with another --data-dir",
        )
    origin = Path((outside / _ORIGIN).read_text(encoding="utf-8").strip())
    if origin != data_dir and (origin / _RECORD).exists():
        raise EmbeddedServiceError(
            f"{outside} is the database of {origin}; {data_dir} is a copy without its own",
            mend="start with another --data-dir and restore a backup there",
        )
    (outside / _ORIGIN).write_text(f"{data_dir}\n", encoding="utf-8")
    if not can_use(account, "-x", outside):
        raise EmbeddedServiceError(
            f"the account {account.name!r} cannot enter {outside}",
            mend=f"start with the same RISKGATE_SERVICE_USER as before, or let it enter {outside}",
        )
    return outside


def make_outside_root() -> None:
    """Make /var/lib/riskgate; an existing one must be root's own and closed to writers.

    Raises:
        OSError: It cannot be made, or somebody else could write there.
    """
    OUTSIDE_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
    status = OUTSIDE_ROOT.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(1, "not a folder that only root can write", str(OUTSIDE_ROOT))


def _let_pass(folder: Path, account: ServiceAccount | None) -> None:
    # 0710 with the account's group: it may walk through by name, and can neither list nor write.
    if account is None:
        folder.chmod(0o700)
        return
    os.chown(folder, -1, account.gid)
    folder.chmod(0o710)


def _name_of(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
