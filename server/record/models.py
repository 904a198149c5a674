"""The register of models: every version that was pushed, and which one speaks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from server.errors import NotFoundError
from server.record import rows
from server.record.admin_change import Note
from server.record.approvals import with_approvers
from server.record.deployments import Move, move
from server.record.pool import Database
from server.record.sealed_fields import MODEL_PARAMETERS
from server.security.canonical import encode_canonical
from server.security.field_encryption import KeyRing

_TABLE: Final = "model_version"
KIND: Final = "model"
# Encrypted in the record; what else it leaves out stands in the artifact only.
_SEALED: Final = ("hyperparameters", "training")
_LEFT_OUT: Final = (*_SEALED, "golden")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A verified artifact on its way into the register.

    Attributes:
        digest: SHA-256 of the manifest.
        author: Name in the manifest; the key is what counts.
        author_keyid: Key that signed the release.
        manifest: The whole of it.
    """

    purpose: str
    version: str
    algorithm: str
    digest: bytes
    author: str
    author_keyid: str
    manifest: dict[str, Any]


class ModelRepository:
    """Model versions by purpose and version; each method runs in the caller's transaction.

    Args:
        ring: Keys of the parameters that stand encrypted in the record.
    """

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def get(self, database: Database, purpose: str, version: str) -> DictRow | None:
        """Return a version with its approvers, or None."""
        row = await rows.find(database, _TABLE, {"purpose": purpose, "version": version})
        return None if row is None else (await with_approvers(database, [row]))[0]

    async def require(self, database: Database, purpose: str, version: str) -> DictRow:
        """Return a version with its approvers.

        Raises:
            NotFoundError: There is none.
        """
        row = await self.get(database, purpose, version)
        if row is None:
            raise NotFoundError(KIND, f"{purpose} {version}")
        return row

    async def active(self, database: Database, purpose: str) -> DictRow | None:
        """Return the version that speaks, or None."""
        return await rows.find(database, _TABLE, {"purpose": purpose, "status": "active"})

    async def by_digest(self, database: Database, purpose: str, digest: str) -> DictRow:
        """Return the version of an artifact (digest in hex).

        Raises:
            NotFoundError: There is none.
        """
        key = {"purpose": purpose, "digest": bytes.fromhex(digest)}
        row = await rows.find(database, _TABLE, key)
        if row is None:
            raise NotFoundError(KIND, f"{purpose} {digest}")
        return row

    async def page(
        self, database: Database, *, purpose: str, after: Sequence[str] | None, limit: int
    ) -> list[DictRow]:
        """Return versions by purpose, oldest version first; empty purpose: of all."""
        query = (
            "SELECT * FROM riskgate.model_version"
            " WHERE (%(purpose)s = '' OR purpose = %(purpose)s)"
            " AND (%(first)s OR (purpose, version_order)"
            " > (%(after)s, string_to_array(%(version)s, '.')::integer[]))"
            " ORDER BY purpose, version_order LIMIT %(limit)s"
        )
        last_purpose, last_version = after or ("", "0")
        values = {
            "purpose": purpose,
            "first": after is None,
            "after": last_purpose,
            "version": last_version,
            "limit": limit,
        }
        found = await (await database.execute(query, values)).fetchall()
        return await with_approvers(database, found)

    async def register(self, database: Database, model: NewModel, note: Note) -> DictRow:
        """Store a verified version.

        Raises:
            AlreadyExistsError: Purpose and version, or the digest, are taken.
        """
        sealed = {name: model.manifest[name] for name in _SEALED if name in model.manifest}
        place = MODEL_PARAMETERS.place(model.purpose, model.version)
        clear = {name: part for name, part in model.manifest.items() if name not in _LEFT_OUT}
        values = {
            "purpose": model.purpose,
            "version": model.version,
            "algorithm": model.algorithm,
            "digest": model.digest,
            "author": model.author,
            "author_keyid": model.author_keyid,
            "manifest": Jsonb(clear),
            "sealed_parameters": self._ring.seal(place, encode_canonical(sealed))
            if sealed
            else None,
        }
        row = await rows.insert(database, _TABLE, values)
        await move(database, row, Move(event="push", evidence=model.digest), note)
        return (await with_approvers(database, [row]))[0]

    async def speak(
        self,
        database: Database,
        model: DictRow | None,
        replaced: DictRow | None,
        what: Move,
        note: Note,
    ) -> None:
        """Let a version, or none, speak in the place of another.

        Args:
            database: Of an open admin change.
            model: Who speaks from now on; None: nobody.
            replaced: Who spoke until now; None: nobody, or it was revoked.
            what: "activate" or "rollback", with serial and proof.
            note: Who and why.

        Raises:
            PreconditionError: The lifecycle has no such step.
        """
        now = datetime.now(UTC)
        if replaced is not None:
            # It takes the serial when nothing follows.
            farewell = Move(
                event="deprecate" if what.event == "activate" else "withdraw",
                serial=what.serial if model is None else None,
                proof=what.proof if model is None else None,
                columns={"deprecated_at": now},
            )
            await move(database, replaced, farewell, note)
        if model is not None:
            columns = {"activated_at": now, "deprecated_at": None, "serial": what.serial}
            arrival = Move(event=what.event, serial=what.serial, proof=what.proof, columns=columns)
            await move(database, model, arrival, note)

    def open_parameters(self, row: DictRow) -> DictRow:
        """Return a version with what stands encrypted in its manifest.

        Nothing but reading may depend on this: a lost key must not keep a version from being
        withdrawn.

        Raises:
            SealedValueError: The parameters were changed or moved, or their key is gone.
            KeyRingError: There are no keys.
        """
        if row["sealed_parameters"] is None:
            return row
        place = MODEL_PARAMETERS.place(row["purpose"], row["version"])
        opened = json.loads(self._ring.open(place, bytes(row["sealed_parameters"])))
        return {**row, "manifest": row["manifest"] | opened}
