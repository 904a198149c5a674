"""The checks that every artifact passes before its content is looked at.

The order is the specification: size cap and file names, envelope and signature, SHA-256 of the
manifest against the signed statement, manifest, SHA-256 of the other files.
"""

from collections.abc import Mapping
from hashlib import sha256

from server.loaders.manifest import (
    ENVELOPE_FILE,
    MANIFEST_FILE,
    AnyManifest,
    check_file_hashes,
    check_sizes,
    find_manifest_type,
    parse_manifest,
)
from server.security.envelope import verify_release
from server.security.keys import TrustedKey, TrustSet
from server.trust_errors import (
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactUnknownFileError,
)


def open_release(
    files: Mapping[str, bytes], trust: TrustSet, kind: type[AnyManifest]
) -> tuple[str, AnyManifest, TrustedKey]:
    """Check who released these files and that they are the released ones.

    Args:
        files: The files by name, read once.
        trust: The accepted author keys.
        kind: What artifact it must be.

    Returns:
        Digest of the artifact (SHA-256 hex of the manifest's bytes), manifest, author.

    Raises:
        ArtifactError: One subclass for each reason, see `server/errors.py`.
    """
    check_sizes(files)
    if find_manifest_type(files) is not kind:
        raise ArtifactUnknownFileError("an artifact of another kind")
    statement, author = verify_release(files[ENVELOPE_FILE], trust)
    digest = sha256(files[MANIFEST_FILE]).hexdigest()
    if digest != statement.manifest_sha256:
        raise ArtifactHashMismatchError("the manifest is not the one that was signed")
    manifest = parse_manifest(files[MANIFEST_FILE], kind)
    if (manifest.purpose, manifest.version) != (statement.purpose, statement.version):
        raise ArtifactManifestInvalidError("the manifest contradicts the signed statement")
    check_file_hashes(manifest, files)
    return digest, manifest, author
