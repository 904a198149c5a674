"""A key that is trusted for one role, and the set of all of them.

A key id is the SHA-256 of the 32 raw public key bytes, so one key cannot appear under two names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["author", "approver", "control", "root"]
Group = Literal["", "risk", "technology"]

# Lower-case ASCII only: no second spelling of a name that looks like the first.
PERSON_PATTERN = r"^[a-z0-9][a-z0-9._@-]{0,127}$"


class TrustedKey(BaseModel):
    """One public key that the trust set accepts for one role.

    Attributes:
        keyid: SHA-256 hex of the public key.
        person: Who holds it; compared to tell whether two keys are of one person.
        role: author signs releases, approver activations, control rollback orders, root trust sets.
        group: Of an approver; empty for every other role.
        public_key_hex: The 32 raw bytes of the Ed25519 public key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    person: str = Field(pattern=PERSON_PATTERN)
    role: Role
    group: Group = ""
    public_key_hex: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _check_group(self) -> "TrustedKey":
        if (self.role == "approver") != bool(self.group):
            raise ValueError("an approver has a group, and nobody else has one")
        return self


@dataclass(frozen=True, slots=True)
class TrustSet:
    """The accepted keys, by key id; built by `load_trust_set`.

    Attributes:
        version: 1, 2, 3 …
        keys: By key id.
        root_threshold: How many roots must sign the successor.
    """

    version: int
    keys: Mapping[str, TrustedKey]
    root_threshold: int = 1


def compute_keyid(public_key: bytes) -> str:
    """Return the key id of a raw 32-byte Ed25519 public key."""
    return sha256(public_key).hexdigest()
