"""What `riskgate ledger …` reads: rows of the record, and signed heads from outside it."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from server.commands.audit_verification import read_all_heads
from server.commands.journal_verification import find_database_url
from server.errors import NotFoundError
from server.record import deployments, ledger
from server.record.pool import connection, open_pool
from server.security.head_files import HEADS_FOLDER, HeadFiles
from server.security.heads import Head
from server.security.key_files import load_public_key
from server.security.keys import WITNESS_PUBLIC_KEY_FILE
from server.security.ledger_tree import (
    LedgerAccount,
    LedgerEntry,
    LedgerFault,
    LedgerHead,
    LedgerTree,
    verify_entries,
)
from server.settings import load_settings


def verify_ledger(
    data_dir: Path | None, folders: list[Path], key_path: Path | None
) -> LedgerAccount:
    """Verify the ledger of a stack.

    Args:
        data_dir: Of the stack; None: as the settings say.
        folders: Where signed heads stand; none: those of the data directory and their copy.
        key_path: Of the witness's public key; None: the one in the data directory.

    Raises:
        NotFoundError: There is no head at all, so nothing vouches for the ledger.
        RiskgateError: The heads are forged, or PostgreSQL is away.
    """
    heads = [_ledger_head(head) for head in _read_heads(data_dir, folders, key_path)]
    entries, faults = asyncio.run(_read_record(_database_url(data_dir)))
    account = verify_entries(entries, heads)
    account.faults = sorted([*account.faults, *faults], key=lambda fault: fault.entry_id)
    return account


def prove_entry(data_dir: Path | None, entry_id: int) -> dict[str, Any]:
    """Return an entry, the proof that it is in the ledger, and the signed head that says so.

    Raises:
        NotFoundError: There is no such entry, or no signed head covers it yet.
        RiskgateError: The heads are forged, or PostgreSQL is away.
    """
    heads = _read_heads(data_dir, [], None)
    head = next((each for each in heads if each.statement.ledger_entries >= entry_id), None)
    if head is None:
        raise NotFoundError("signed head of entry", str(entry_id))
    entries, _ = asyncio.run(_read_record(_database_url(data_dir)))
    found = next((each for each in entries if each.entry_id == entry_id), None)
    if found is None:
        raise NotFoundError("ledger entry", str(entry_id))
    tree = LedgerTree(each.content for each in entries)
    return {
        "entry": found.content.decode(),
        "leaf_hash": found.leaf_hash.hex(),
        "proof": tree.prove_inclusion(entry_id, head.statement.ledger_entries),
        "ledger": asdict(_ledger_head(head)),
        "head": head.raw.decode(),
    }


def _read_heads(data_dir: Path | None, folders: list[Path], key_path: Path | None) -> list[Head]:
    settings = load_settings(data_dir=data_dir)
    key = load_public_key(key_path or settings.data_dir / "keys" / WITNESS_PUBLIC_KEY_FILE)
    copy_dir = settings.heads_copy_dir
    own = [settings.data_dir / HEADS_FOLDER, *([copy_dir] if copy_dir else [])]
    places = [HeadFiles(folder) for folder in folders or own]
    heads = read_all_heads(places, key)
    if not heads:
        raise NotFoundError("signed head", str(places[0].folder))
    return heads


def _ledger_head(head: Head) -> LedgerHead:
    return LedgerHead(head.statement.ledger_entries, head.statement.ledger_root)


def _database_url(data_dir: Path | None) -> str:
    return str(find_database_url(load_settings(data_dir=data_dir).data_dir, required=True))


async def _read_record(database_url: str) -> tuple[list[LedgerEntry], list[LedgerFault]]:
    async with open_pool(database_url) as pool, connection(pool) as database:
        # One moment for all of it, so that a move in between is no fault.
        await database.set_read_only(True)
        await database.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        entries = [entry async for entry in ledger.read_entries(database)]
        return entries, await deployments.compare_with_ledger(database)
