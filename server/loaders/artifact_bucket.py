"""The artifact store in a bucket of an S3-compatible service: `PREFIX/sha256/<digest>/<name>`.

Write-once like the directory: every object is written on the condition that there is none of its
name, the envelope last, since an artifact without one is none. What was written is read back, for a
service that does not know the condition. Credentials come from where boto3 finds them (environment,
profile, role of the machine), never from the URL.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from server.errors import ConfigurationError, UnavailableError
from server.loaders.artifact_store import check_content, check_digest
from server.loaders.bucket_address import BucketAddress
from server.loaders.manifest import ARTIFACT_BYTES_MAX, ENVELOPE_FILE, find_manifest_type
from server.trust_errors import (
    ArtifactExistsError,
    ArtifactHashMismatchError,
    ArtifactNotFoundError,
    ArtifactTooLargeError,
)

CONNECT_TIMEOUT_S: Final = 5
READ_TIMEOUT_S: Final = 30
ATTEMPTS: Final = 3
_PRECONDITION_FAILED: Final = 412

_FOUND: Final = re.compile(rf"([0-9a-f]{{64}})/{re.escape(ENVELOPE_FILE)}")


class ArtifactBucket:
    """The artifacts in one bucket; see `ArtifactStore`, whose promises it keeps.

    Args:
        address: Where they are.

    Raises:
        ConfigurationError: boto3 is not installed.
    """

    def __init__(self, address: BucketAddress) -> None:
        self._address = address
        self._root = f"{address.prefix}sha256/"
        self._client = _connect(address)

    def put(self, files: Mapping[str, bytes]) -> str:
        """Store an artifact and return its digest; storing the same bytes again changes nothing.

        Raises:
            ArtifactError: As of `ArtifactStore.put`.
            UnavailableError: The service does not answer, or refuses.
        """
        digest = check_content(files)
        for name in sorted(files, key=lambda name: (name == ENVELOPE_FILE, name)):
            self._put_object(f"{self._root}{digest}/{name}", files[name])
        if self.read(digest) != dict(files):
            raise ArtifactExistsError(f"{digest} is stored with other bytes")
        return digest

    def read(self, digest: str) -> Mapping[str, bytes]:
        """Read an artifact into memory and check every hash.

        Raises:
            ArtifactError: As of `ArtifactStore.read`.
            UnavailableError: The service does not answer, or refuses.
        """
        check_digest(digest)
        folder = f"{self._root}{digest}/"
        names = [key.removeprefix(folder) for key in self._list_keys(folder)]
        if ENVELOPE_FILE not in names:
            raise ArtifactNotFoundError("no such artifact")
        find_manifest_type(names)
        files: dict[str, bytes] = {}
        bytes_left = ARTIFACT_BYTES_MAX
        for name in sorted(names):
            files[name] = self._get_object(folder + name, bytes_left)
            bytes_left -= len(files[name])
        if check_content(files) != digest:
            raise ArtifactHashMismatchError(f"the manifest does not have the digest {digest}")
        return files

    def list_digests(self) -> list[str]:
        """Return the digests of all stored artifacts, sorted.

        Raises:
            UnavailableError: The service does not answer, or refuses.
        """
        keys = (key.removeprefix(self._root) for key in self._list_keys(self._root))
        return sorted(match[1] for key in keys if (match := _FOUND.fullmatch(key)))

    def _put_object(self, key: str, content: bytes) -> None:
        with _translated():
            try:
                self._client.put_object(
                    Bucket=self._address.bucket, Key=key, Body=content, IfNoneMatch="*"
                )
            except self._client.exceptions.ClientError as error:
                # There is one already: what is there is compared afterwards.
                if _status_of(error) != _PRECONDITION_FAILED:
                    raise

    def _get_object(self, key: str, bytes_max: int) -> bytes:
        with _translated():
            answer = self._client.get_object(Bucket=self._address.bucket, Key=key)
            content: bytes = answer["Body"].read(bytes_max + 1)
            answer["Body"].close()
        if len(content) > bytes_max:
            raise ArtifactTooLargeError(f"more than {ARTIFACT_BYTES_MAX} bytes")
        return content

    def _list_keys(self, prefix: str) -> list[str]:
        with _translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._address.bucket, Prefix=prefix
            )
            return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _connect(address: BucketAddress) -> Any:
    try:
        import boto3  # noqa: PLC0415 an optional extra
        from botocore.config import Config  # noqa: PLC0415 same
    except ImportError as error:
        raise ConfigurationError(
            ["artifact_store_url: needs boto3; install riskgate with the extra s3"]
        ) from error
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # Not every compatible service knows the newer checksums; ours are checked anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with _translated():
        return boto3.client(
            "s3", endpoint_url=address.endpoint, region_name=address.region, config=config
        )


@contextmanager
def _translated() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 an optional extra
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 comes with it

    try:
        yield
    except (BotoCoreError, ClientError, HTTPError) as error:
        raise UnavailableError("artifact store", str(error)) from error


def _status_of(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
