"""Make the files of a risk policy's artifact, signed; the counterpart of `policy_artifact.py`."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.loaders.manifest import ENVELOPE_FILE, MANIFEST_FILE, POLICY_FILE
from server.loaders.policy_file import parse_policy
from server.policy import RISK_POLICY, canonical_bytes
from server.security.canonical import encode_canonical
from server.security.envelope import STATEMENT, ReleaseStatement
from server.security.signature import sign_release


def build_policy_release(
    policy: dict[str, Any], author: str, key: Ed25519PrivateKey
) -> dict[str, bytes]:
    """Return the three files of an artifact by name.

    Args:
        policy: In the shape of `server/policy.py`; its version is that of the release.
        author: Stated in the manifest.
        key: Signs.

    Raises:
        ArtifactPolicyInvalidError: The server would refuse the policy.
    """
    content = canonical_bytes(policy)
    parse_policy(content)
    manifest = encode_canonical(
        {
            "format": 1,
            "purpose": RISK_POLICY,
            "algorithm": "knots",
            "version": policy["version"],
            "author": author,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "files": {
                POLICY_FILE: {"sha256": sha256(content).hexdigest(), "bytes": len(content)},
            },
        }
    )
    statement = ReleaseStatement(
        statement=STATEMENT,
        purpose=RISK_POLICY,
        version=policy["version"],
        manifest_sha256=sha256(manifest).hexdigest(),
    )
    envelope = sign_release(statement, key)
    return {POLICY_FILE: content, MANIFEST_FILE: manifest, ENVELOPE_FILE: envelope}
