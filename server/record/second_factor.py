"""Second factors on record: the secret (sealed), what is used up, and how often somebody guessed.

A code is judged while its row is locked, and the outcome is committed before anybody hears it: the
same code at two replicas is right at one of them only.
"""

import logging
from typing import Final

from server.record.pool import Database, Pool, connection
from server.record.sealed_fields import SECOND_FACTOR_SECRET, ring_of
from server.security.field_encryption import KeyRing
from server.security.one_time_codes import (
    WRONG_CODES_MAX,
    Judgement,
    Verdict,
    is_code,
    judge_code,
)
from server.trust_errors import SecondFactorError

log = logging.getLogger(__name__)

_LOCKED_ROW: Final = (
    "SELECT secret, last_step, wrong_codes FROM riskgate.second_factor WHERE uri = %s FOR UPDATE"
)
_REASONS: Final[dict[Verdict, str]] = {
    "wrong": "the code is wrong",
    "used": "the code was used before",
    "locked": f"locked after {WRONG_CODES_MAX} wrong codes until an administrator restores it",
    "clock": "the clock of the server is wrong",
}


async def check_code(pool: Pool, uri: str, code: str, *, now_s: float) -> None:
    """Do nothing if a code is right, and use it up.

    Args:
        pool: Of the record; its key ring must be known (`use_ring`).
        uri: Who calls.
        code: What came in the metadata; empty: nothing.
        now_s: Unix seconds.

    Raises:
        SecondFactorError: It is absent, malformed, wrong or used before, nothing is enrolled, or
            too many were wrong.
        SealedValueError: The secret cannot be opened.
        UnavailableError: PostgreSQL is away.
    """
    if not is_code(code):
        raise SecondFactorError(detail="six digits are needed" if code else "no code was sent")
    async with connection(pool) as database:
        judgement = await _judge(database, ring_of(pool), uri, code, now_s)
    if judgement is None:
        raise SecondFactorError(detail="none is enrolled: riskgate identities enroll")
    if judgement.verdict != "right":
        log.warning("second factor of %s: %s", uri, _REASONS[judgement.verdict])
        raise SecondFactorError(detail=_REASONS[judgement.verdict])


async def _judge(
    database: Database, ring: KeyRing, uri: str, code: str, now_s: float
) -> Judgement | None:
    row = await (await database.execute(_LOCKED_ROW, [uri])).fetchone()
    if row is None:
        return None
    secret = ring.open(SECOND_FACTOR_SECRET.place(uri), row["secret"])
    judgement = judge_code(
        secret.decode("ascii"),
        code,
        now_s=now_s,
        last_step=row["last_step"],
        wrong_codes=row["wrong_codes"],
    )
    await database.execute(
        "UPDATE riskgate.second_factor SET last_step = %s, wrong_codes = %s WHERE uri = %s",
        [judgement.last_step, judgement.wrong_codes, uri],
    )
    return judgement


class SecondFactorRepository:
    """Second factors by uri; each method runs in the caller's transaction."""

    async def is_enrolled(self, database: Database, uri: str) -> bool:
        """Tell whether an identity has a secret."""
        query = "SELECT 1 FROM riskgate.second_factor WHERE uri = %s"
        return await (await database.execute(query, [uri])).fetchone() is not None

    async def enroll(self, database: Database, ring: KeyRing, uri: str, secret: str) -> None:
        """Give an identity a secret in the place of the one it had.

        Steps that are used up and wrong codes stay: enrolling unlocks nothing.
        """
        sealed = ring.seal(SECOND_FACTOR_SECRET.place(uri), secret.encode("ascii"))
        await database.execute(
            "INSERT INTO riskgate.second_factor (uri, secret, last_step) VALUES (%s, %s, 0)"
            " ON CONFLICT (uri) DO UPDATE SET secret = EXCLUDED.secret, enrolled_at = now()",
            [uri, sealed],
        )

    async def unlock(self, database: Database, uri: str) -> bool:
        """Forget wrong codes; False when it was not locked."""
        query = (
            "UPDATE riskgate.second_factor SET wrong_codes = 0 WHERE (uri, wrong_codes) = (%s, %s)"
        )
        return (await database.execute(query, [uri, WRONG_CODES_MAX])).rowcount > 0

    async def forget(self, database: Database, uri: str) -> bool:
        """Remove the secret of an identity, so that it can enroll again; False: it had none."""
        query = "DELETE FROM riskgate.second_factor WHERE uri = %s"
        return (await database.execute(query, [uri])).rowcount > 0
