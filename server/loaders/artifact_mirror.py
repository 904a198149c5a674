"""A bucket of artifacts with a directory in front of it, so that each is fetched only once.

What is in the directory is used without asking the bucket: both are write-once and named by
content, and an engine that starts must not need the network for the model that it had.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from server.errors import ConfigurationError
from server.loaders.artifact_bucket import ArtifactBucket
from server.loaders.artifact_store import ArtifactStore, Store
from server.loaders.bucket_address import BucketAddress
from server.trust_errors import ArtifactError, ArtifactNotFoundError

log = logging.getLogger(__name__)


class ArtifactMirror:
    """Writes to the bucket first; reads from the directory first.

    Args:
        bucket: What counts.
        directory: Holds copies.
    """

    def __init__(self, bucket: Store, directory: Store) -> None:
        self._bucket = bucket
        self._directory = directory

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store an artifact in both and return its digest.

        Raises:
            ArtifactError: As of `ArtifactStore.put`.
            UnavailableError: The bucket cannot be reached; nothing is stored in the directory.
        """
        self._bucket.put(files)
        return self._directory.put(files)

    def read(self, digest: str) -> Mapping[str, bytes]:
        """Read an artifact, from the bucket if there is no copy, and check every hash.

        Raises:
            ArtifactError: As of `ArtifactStore.read`.
            UnavailableError: There is no copy, and the bucket cannot be reached.
        """
        try:
            return self._directory.read(digest)
        except ArtifactNotFoundError:
            files = self._bucket.read(digest)
        try:
            self._directory.put(files)
        except (ArtifactError, OSError) as error:
            log.warning("artifact %s is not copied: %s", digest, error)
        return files

    def list_digests(self) -> list[str]:
        """Return the digests of all artifacts in the bucket, sorted.

        Raises:
            UnavailableError: The bucket cannot be reached.
        """
        return self._bucket.list_digests()


def open_artifact_store(data_dir: Path, url: str | None = None) -> Store:
    """Return the artifacts of a data directory: its own ones, or those of a bucket.

    Args:
        data_dir: `artifacts/` in it holds the artifacts, or copies of them.
        url: The setting `artifact_store_url`; None: there is no bucket.

    Raises:
        ConfigurationError: The URL cannot be used, or boto3 is not installed.
    """
    directory = ArtifactStore(data_dir / "artifacts")
    if url is None:
        return directory
    try:
        address = BucketAddress.parse(url)
    except ValueError as error:
        raise ConfigurationError([f"artifact_store_url: {error}"]) from error
    return ArtifactMirror(ArtifactBucket(address), directory)
