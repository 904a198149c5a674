"""Which spools of denied calls are in the audit log already; see server/recorder/denials.py."""

from typing import Final

from server.record.pool import Database

_TAKE: Final = (
    "INSERT INTO riskgate.denial_offset (file, line_count) VALUES (%s, %s) ON CONFLICT DO NOTHING"
)
# Names are never used again, so a note is only needed until its file is deleted.
_FORGET: Final = "DELETE FROM riskgate.denial_offset WHERE updated_at < now() - interval '7 days'"


async def take_file(database: Database, file: str, line_count: int) -> bool:
    """Note in the caller's transaction that a file is taken over; False: it was before."""
    await database.execute(_FORGET)
    return (await database.execute(_TAKE, [file, line_count])).rowcount > 0
