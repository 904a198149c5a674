"""What an operator writes when the trust set shall change: a YAML file that names people and keys.

root_threshold: 2
keys:
- {person: ann, role: author, public_key: ann.pub.pem}
- {person: ruth, role: approver, group: risk, public_key: ruth.pub.pem}
"""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.security.key_files import load_public_key
from server.security.trusted_key import Group, Role, TrustedKey, compute_keyid
from server.statement_errors import TrustSetMalformedError

_KEYS_MAX = 64


class _Seat(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    person: str
    role: Role
    group: Group = ""
    public_key: Path


class _Draft(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    root_threshold: int = Field(ge=1)
    keys: list[_Seat] = Field(min_length=1, max_length=_KEYS_MAX)


def read_draft(path: Path) -> tuple[list[TrustedKey], int]:
    """Return the keys that a draft names, and how many roots must sign what follows it.

    Args:
        path: YAML file; the files of public keys (PEM) are found from its folder.

    Raises:
        TrustSetInvalidError: The draft or one of the keys cannot be used.
    """
    try:
        draft = _Draft.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        keys = [_read_key(path.parent, seat) for seat in draft.keys]
    except (OSError, ValidationError, ValueError, yaml.YAMLError) as error:
        raise TrustSetMalformedError(f"{path}: {error}") from error
    return keys, draft.root_threshold


def _read_key(folder: Path, seat: _Seat) -> TrustedKey:
    raw = load_public_key(folder / seat.public_key).public_bytes_raw()
    return TrustedKey(
        keyid=compute_keyid(raw),
        person=seat.person,
        role=seat.role,
        group=seat.group,
        public_key_hex=raw.hex(),
    )
