"""The account that the embedded services run under.

Without root there is nothing to choose: the services run as the caller. As root they must not
(PostgreSQL refuses, Redis should), so an unprivileged account takes over before the program is
executed; the children never hold root's identity, groups or environment.
"""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from server.errors import EmbeddedServiceError


class IdentityArguments(TypedDict, total=False):
    """The part of `subprocess.Popen`'s arguments that sets the child's identity."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class ServiceAccount:
    """An unprivileged account, different from our own."""

    name: str
    uid: int
    gid: int

    def identity(self) -> IdentityArguments:
        """Return what makes `subprocess` drop to this account and to no further group."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def find_service_account(name: str) -> ServiceAccount | None:
    """Return the account to drop to, or None when we are not root and need none.

    Raises:
        EmbeddedServiceError: We are root and the account is missing or is root itself.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise EmbeddedServiceError(
            f"the account {name!r} for the embedded services does not exist",
            mend="create it, or set RISKGATE_SERVICE_USER to an unprivileged account",
        ) from error
    if entry.pw_uid == 0:
        raise EmbeddedServiceError(
            f"the account {name!r} is root; the embedded services never run as root",
            mend="set RISKGATE_SERVICE_USER to an unprivileged account",
        )
    return ServiceAccount(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def identity_of(account: ServiceAccount | None) -> IdentityArguments:
    """Return the identity arguments of an account; none when we stay who we are."""
    return account.identity() if account else {}


def can_use(account: ServiceAccount | None, test: str, path: Path) -> bool:
    """Ask a process of that account, which sees access lists and mounts as they really are.

    Args:
        account: Who asks; None is ourselves.
        test: Operator of test(1): `-x` enter or execute, `-r` read.
        path: What is asked about.
    """
    answer = subprocess.run(
        ["/bin/sh", "-c", f'test {test} "$1"', "sh", str(path)],
        check=False,
        cwd="/",
        env={},
        stdin=subprocess.DEVNULL,
        timeout=10,
        **identity_of(account),
    )
    return answer.returncode == 0


def first_closed_parent(account: ServiceAccount | None, path: Path) -> Path | None:
    """Return the outermost folder on the way to `path` that the account cannot enter."""
    for folder in [*reversed(path.parents), path]:
        if folder.is_dir() and not can_use(account, "-x", folder):
            return folder
    return None
