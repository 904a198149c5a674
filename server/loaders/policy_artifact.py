"""Turn the bytes of a risk policy's artifact into a verified policy, or refuse with one error.

The signed chain is that of a model (`server/loaders/release.py`); what follows here is the content.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.loaders.manifest import POLICY_FILE, PolicyManifest
from server.loaders.policy_file import parse_policy
from server.loaders.release import open_release
from server.security.keys import TrustedKey, TrustSet
from server.trust_errors import ArtifactManifestInvalidError


@dataclass(frozen=True, slots=True)
class VerifiedPolicy:
    """A risk policy that passed every check; built only by `verify_policy`.

    Attributes:
        digest: SHA-256 hex of the manifest's bytes. Answers carry another digest, that of
            `policy.json` alone.
        manifest: The parsed manifest.
        author: The key that signed the release.
        policy: The content of `policy.json`.
    """

    digest: str
    manifest: PolicyManifest
    author: TrustedKey
    policy: dict[str, Any]


def verify_policy(files: Mapping[str, bytes], trust: TrustSet) -> VerifiedPolicy:
    """Verify the artifact of a risk policy.

    Args:
        files: The three files by name, read once; these very bytes are checked and used.
        trust: The accepted author keys.

    Raises:
        ArtifactError: One subclass for each reason, see `server/errors.py`.
    """
    files = dict(files)
    digest, manifest, author = open_release(files, trust, PolicyManifest)
    policy = parse_policy(files[POLICY_FILE])
    if policy["version"] != manifest.version:
        raise ArtifactManifestInvalidError("the policy has another version than the manifest")
    return VerifiedPolicy(digest, manifest, author, policy)
