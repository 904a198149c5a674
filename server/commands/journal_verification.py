"""What `riskgate journal verify` reads and how it says what it found."""

from pathlib import Path

import typer

from server.commands.options import print_json
from server.errors import UnavailableError
from server.journal.checkpoint_files import CheckpointFiles
from server.journal.verification import Verified, verify_journal
from server.record.journal_checkpoints import JournalCheckpoints
from server.security.keys import CHECKPOINT_PUBLIC_KEY_FILE, load_public_key
from server.settings import load_settings
from server.shards import CHECKPOINT_FOLDER, Shard
from server.stack_state import StackState


def verify_data_dir(
    folder: Path, shard_text: str | None, key_path: Path | None, *, from_record: bool | None
) -> tuple[Verified, list[str]]:
    """Verify the journal of a data directory.

    Args:
        folder: Of the journal; what else is needed stands beside it.
        shard_text: Whose it is, as I/N; None: the engine is not one of several.
        key_path: Of the public key; None: the one in the data directory.
        from_record: Whether PostgreSQL must be asked too; None: if it can be reached.

    Returns:
        What was found, and what the operator should know besides.

    Raises:
        UnavailableError: PostgreSQL must be asked and cannot be reached.
        TrustSetInvalidError: There is no usable public key.
        ConfigurationError: PostgreSQL must be asked and no URL is known.
    """
    data_dir = folder.parent
    shard = Shard.parse(shard_text or "0/1")
    key = load_public_key(key_path or data_dir / "keys" / CHECKPOINT_PUBLIC_KEY_FILE)
    files = CheckpointFiles(shard.folder(data_dir, CHECKPOINT_FOLDER))
    url = None if from_record is False else find_database_url(data_dir, required=bool(from_record))
    if url is None:
        return verify_journal(folder, key, files, None, shard), ["PostgreSQL was not asked"]
    with JournalCheckpoints(url, shard) as record:
        try:
            record.connect()
        except UnavailableError as error:
            if from_record:
                raise
            note = f"PostgreSQL was not asked: {error}"
            return verify_journal(folder, key, files, None, shard), [note]
        # From here on it must answer: what can be reached and then refuses is no excuse.
        return verify_journal(folder, key, files, record, shard), []


def find_database_url(data_dir: Path, *, required: bool) -> str | None:
    """Return the PostgreSQL of the settings, else of the stack that runs in a data directory.

    Raises:
        ConfigurationError: It is required and not known.
    """
    settings = load_settings(data_dir=data_dir)
    state = StackState.read(data_dir)
    if settings.database_url is None and state is not None:
        return state.database_url
    if settings.database_url is None and not required:
        return None
    return settings.database_url_text()


def show_verified(verified: Verified, notes: list[str], *, as_json: bool) -> None:
    """Print the outcome; findings go to standard error."""
    if as_json:
        findings = [finding._asdict() for finding in verified.findings]
        outcome = {"intact": verified.is_intact, "notes": notes, **verified._asdict()}
        print_json({**outcome, "findings": findings})
        return
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    for finding in verified.findings:
        typer.echo(finding.describe(), err=True)
    if verified.oldest_entry > 1:
        typer.echo(f"begins with entry {verified.oldest_entry}: older segments are gone")
    typer.echo(
        f"{verified.entry_count} entries, {verified.segment_count} segments, "
        f"{verified.checkpoint_count} checkpoints: "
        + (
            f"intact, sealed up to entry {verified.sealed_entry}"
            if verified.is_intact
            else "NOT intact"
        )
    )
