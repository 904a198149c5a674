"""A generated password in a file that only its owner can read."""

import os
import secrets
from pathlib import Path

_PASSWORD_BYTES = 32


def ensure_password(path: Path) -> str:
    """Return the password in `path`, generating it (256 bits, mode 0600) the first time.

    Raises:
        OSError: The file cannot be read or made.
    """
    if not path.exists():
        aside = path.with_suffix(".new")
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_PASSWORD_BYTES))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    return path.read_text(encoding="ascii").strip()
