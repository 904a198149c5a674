"""The artifacts of another data directory, copied into our own, so that we can do without it."""

import logging
from pathlib import Path

from server.errors import RiskgateError
from server.loaders.artifact import VerifiedArtifact
from server.loaders.artifact_store import ArtifactStore
from server.loaders.model_source import ModelSource
from server.security.trust_set import follow_trust_set

log = logging.getLogger(__name__)


class CopiedModels:
    """Copies what is new; each artifact is verified against our own trust set when it is used.

    Args:
        theirs: Data directory with the artifacts.
        ours: Data directory that gets them. Without a trust set it gets theirs, once; from then on
            only versions that follow its own.
    """

    def __init__(self, theirs: Path, ours: Path) -> None:
        self._theirs = ArtifactStore(theirs / "artifacts")
        self._ours = ArtifactStore(ours / "artifacts")
        self._source = ModelSource(ours)
        self._known = set(self._ours.list_digests())
        self._keys = theirs / "keys", ours / "keys"
        self._trust_problem = ""

    def copy_new(self) -> None:
        """Copy every artifact that we do not have; one that cannot be read is passed over."""
        self._copy_trust_set()
        for digest in self._theirs.list_digests():
            if digest in self._known:
                continue
            self._known.add(digest)
            try:
                self._ours.put(self._theirs.read(digest))
            except RiskgateError as error:
                log.warning("artifact %s is not copied: %s", digest, error)

    def _copy_trust_set(self) -> None:
        theirs, ours = self._keys
        if not theirs.is_dir():
            return
        try:
            if copied := follow_trust_set(theirs, ours):
                log.info("%d versions of the trust set are those of %s", copied, theirs)
        except (RiskgateError, OSError) as error:
            if str(error) != self._trust_problem:
                log.warning("the trust set of %s is not copied: %s", theirs, error)
            self._trust_problem = str(error)

    def find(self, digest: bytes) -> VerifiedArtifact:
        """Return the verified model of a digest (32 bytes).

        Raises:
            RiskgateError: It is in neither store, or is refused.
        """
        if digest.hex() not in self._known:
            self.copy_new()
        return self._source.find(digest)
