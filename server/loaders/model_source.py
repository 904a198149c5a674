"""Artifacts by digest: the same files, verified in the same way, wherever they are needed."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from server.loaders.artifact import VerifiedArtifact, verify_artifact
from server.loaders.artifact_mirror import open_artifact_store
from server.loaders.manifest import find_manifest_type
from server.loaders.release import open_release
from server.security.keys import TrustedKey, TrustSet
from server.security.trust_set import load_trust_set

KEPT: Final = 16


class ModelSource:
    """Finds the artifacts of one data directory; each is verified once.

    Args:
        data_dir: Holds `artifacts/` and `keys/trust/`.
        store_url: The setting `artifact_store_url`.
    """

    def __init__(self, data_dir: Path, store_url: str | None = None) -> None:
        self._store = open_artifact_store(data_dir, store_url)
        self._keys_dir = data_dir / "keys"
        self._found: OrderedDict[bytes, VerifiedArtifact] = OrderedDict()
        self._authors: dict[tuple[str, int], TrustedKey] = {}

    def load_trust(self) -> TrustSet:
        """Return the trust set as it is now.

        Raises:
            TrustSetInvalidError: There is none that may be used.
        """
        return load_trust_set(self._keys_dir)

    def find(self, digest: bytes) -> VerifiedArtifact:
        """Return the verified model of a digest (32 bytes).

        Raises:
            RiskgateError: It is not in the store, or is refused.
        """
        if digest not in self._found:
            files = self._store.read(digest.hex())
            self._found[digest] = verify_artifact(files, self.load_trust())
        self._found.move_to_end(digest)
        while len(self._found) > KEPT:
            self._found.popitem(last=False)
        return self._found[digest]

    def find_author(self, digest: str, trust: TrustSet) -> TrustedKey:
        """Return who released an artifact, if that is an author in this trust set.

        Args:
            digest: SHA-256 hex of its manifest.
            trust: Accepted keys.

        Raises:
            RiskgateError: It is not in the store, or its release is refused.
        """
        name = (digest, trust.version)
        if name not in self._authors:
            self._authors[name] = read_author(self._store.read(digest), trust)
        return self._authors[name]


def read_author(files: Mapping[str, bytes], trust: TrustSet) -> TrustedKey:
    """Return who released these files, of a model or of a risk policy.

    Raises:
        ArtifactError: The release is refused.
    """
    return open_release(files, trust, find_manifest_type(files))[2]
