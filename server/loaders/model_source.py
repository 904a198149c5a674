"""Models by digest, for a journal that is replayed: the same files, verified in the same way."""

from pathlib import Path

from server.loaders.artifact import VerifiedArtifact, verify_artifact
from server.loaders.artifact_store import ArtifactStore
from server.security.keys import TRUST_FILE, load_trust_set


class ModelSource:
    """Finds the models of one data directory; each is verified once.

    Args:
        data_dir: Holds `artifacts/` and `keys/trust.json`.
    """

    def __init__(self, data_dir: Path) -> None:
        self._store = ArtifactStore(data_dir / "artifacts")
        self._trust_path = data_dir / "keys" / TRUST_FILE
        self._found: dict[bytes, VerifiedArtifact] = {}

    def find(self, digest: bytes) -> VerifiedArtifact:
        """Return the verified model of a digest (32 bytes).

        Raises:
            RiskgateError: It is not in the store, or is refused.
        """
        if digest not in self._found:
            files = self._store.read(digest.hex())
            self._found[digest] = verify_artifact(files, load_trust_set(self._trust_path))
        return self._found[digest]
