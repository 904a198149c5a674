"""Risk policies on record: the content of every version that was pushed, and which one is used.

Approval and the order of activations are kept with all artifacts (`models.py`); this table keeps
what a policy says, so that nothing but the record is needed to work by it.
"""

from hashlib import sha256
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from server.errors import BrokenInvariantError, NotFoundError
from server.policy import DEFAULT_POLICY, canonical_bytes
from server.record import rows
from server.record.pool import Database

_TABLE: Final = "policy"


class PolicyRepository:
    """Policies by version; each method runs in the caller's transaction."""

    async def register(self, database: Database, policy: dict[str, Any]) -> None:
        """Store a verified policy.

        Raises:
            AlreadyExistsError: the version is taken.
        """
        digest = sha256(canonical_bytes(policy)).digest()
        values = {"version": policy["version"], "digest": digest, "body": Jsonb(policy)}
        await rows.insert(database, _TABLE, values)

    async def use(self, database: Database, version: str | None) -> dict[str, Any]:
        """Use a policy in the place of the one that is used, and return it; None: the default one.

        Raises:
            NotFoundError: there is none of this version.
            BrokenInvariantError: it is not what was stored.
        """
        await rows.update(database, _TABLE, {"is_active": True}, {"is_active": False})
        if version is None:
            return DEFAULT_POLICY
        row = await rows.update(database, _TABLE, {"version": version}, {"is_active": True})
        if row is None:
            raise NotFoundError("risk policy", version)
        return _checked(row)

    async def active(self, database: Database) -> dict[str, Any] | None:
        """Return the policy that is used; None means the default one.

        Raises:
            BrokenInvariantError: it is not what was stored.
        """
        row = await rows.find(database, _TABLE, {"is_active": True})
        return None if row is None else _checked(row)


def _checked(row: DictRow) -> dict[str, Any]:
    policy: dict[str, Any] = row["body"]
    if sha256(canonical_bytes(policy)).digest() != row["digest"]:
        raise BrokenInvariantError(f"risk policy {row['version']} differs from its digest")
    return policy
