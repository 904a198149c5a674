"""What `riskgate audit verify` reads."""

from itertools import zip_longest
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.commands.journal_verification import find_database_url
from server.errors import NotFoundError
from server.record.audit_chain import AuditLog
from server.security.audit_verification import Verified, verify_log
from server.security.head_files import HEADS_FOLDER, HeadFiles, read_heads
from server.security.heads import Head
from server.security.key_files import load_public_key
from server.security.keys import WITNESS_PUBLIC_KEY_FILE
from server.settings import load_settings
from server.trust_errors import AuditTamperedError


def verify_data_dir(data_dir: Path | None, folders: list[Path], key_path: Path | None) -> Verified:
    """Verify the audit log of a stack.

    Args:
        data_dir: Of the stack; None: as the settings say.
        folders: Where signed heads stand; none: those of the data directory and their copy.
        key_path: Of the witness's public key; None: the one in the data directory.

    Raises:
        NotFoundError: There is no head at all, so nothing vouches for the log.
        AuditTamperedError: The heads are forged or contradict each other.
        TrustSetInvalidError: There is no usable public key.
        UnavailableError: PostgreSQL cannot be reached.
        ConfigurationError: No PostgreSQL is known.
    """
    settings = load_settings(data_dir=data_dir)
    key = load_public_key(key_path or settings.data_dir / "keys" / WITNESS_PUBLIC_KEY_FILE)
    copy_dir = settings.heads_copy_dir
    own = settings.data_dir / HEADS_FOLDER
    places = [HeadFiles(folder) for folder in folders or [own, *([copy_dir] if copy_dir else [])]]
    heads = read_all_heads(places, key)
    if not heads:
        raise NotFoundError("signed head", str(places[0].folder))
    fingerprints = max((place.read_fingerprints() for place in places), key=len)
    url = find_database_url(settings.data_dir, required=True)
    with AuditLog(str(url)) as log:
        return verify_log(log.read, log.read_head_row(), heads, fingerprints)


def read_all_heads(places: list[HeadFiles], key: Ed25519PublicKey) -> list[Head]:
    """Return the heads of the place that has most; the others must have their beginning.

    Raises:
        AuditTamperedError: They contradict each other, or one is forged.
    """
    chains = sorted((read_heads(place, key) for place in places), key=len)
    for chain in chains:
        for head, longest in zip_longest(chain, chains[-1][: len(chain)]):
            if head.link != longest.link:
                raise AuditTamperedError(f"head {head.statement.number} is not the same everywhere")
    return chains[-1]
