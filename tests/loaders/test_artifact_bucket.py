"""Artifacts in a bucket: the promises of the directory, kept by a real S3 interface."""

import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from moto.server import ThreadedMotoServer

from server.errors import ConfigurationError, UnavailableError
from server.loaders.artifact_bucket import ArtifactBucket
from server.loaders.artifact_mirror import ArtifactMirror, open_artifact_store
from server.loaders.artifact_store import ArtifactStore
from server.loaders.bucket_address import BucketAddress
from server.loaders.manifest import ARTIFACT_BYTES_MAX
from server.loaders.model_source import ModelSource
from server.security.keys import ensure_development_keys
from server.security.trust_set import follow_trust_set
from server.trust_errors import (
    ArtifactError,
    ArtifactExistsError,
    ArtifactHashMismatchError,
    ArtifactManifestInvalidError,
    ArtifactNotFoundError,
    ArtifactTooLargeError,
    ArtifactUnknownFileError,
)
from tests.artifact_builder import build_artifact, build_small_model, load_author_key

KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"author").digest())
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"other author").digest())
GOOD = build_artifact(KEY)
NEWER = build_artifact(KEY, build_small_model(8))
DIGEST = sha256(GOOD["manifest.json"]).hexdigest()
FOLDER = f"models/sha256/{DIGEST}/"

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def url(endpoint: str, request: pytest.FixtureRequest) -> str:
    name = f"artifacts-{sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=name)
    return f"s3://{name}/models?endpoint={endpoint}"


@pytest.fixture
def bucket(url: str) -> ArtifactBucket:
    return ArtifactBucket(BucketAddress.parse(url))


@pytest.fixture
def objects(url: str) -> Any:
    """The bucket, for somebody who goes round the store."""
    address = BucketAddress.parse(url)
    return boto3.resource("s3", endpoint_url=address.endpoint).Bucket(address.bucket)


def test_what_is_put_reads_back(bucket: ArtifactBucket, objects: Any) -> None:
    assert bucket.list_digests() == []
    assert bucket.put(GOOD) == DIGEST
    newer = bucket.put(NEWER)
    assert bucket.read(DIGEST) == GOOD
    assert bucket.read(newer) == NEWER
    assert bucket.list_digests() == sorted([DIGEST, newer])
    assert {entry.key for entry in objects.objects.filter(Prefix=FOLDER)} == {
        FOLDER + name for name in GOOD
    }


def test_the_same_bytes_again_change_nothing(bucket: ArtifactBucket, objects: Any) -> None:
    bucket.put(GOOD)
    before = {entry.key: entry.last_modified for entry in objects.objects.all()}
    assert bucket.put(GOOD) == DIGEST
    assert {entry.key: entry.last_modified for entry in objects.objects.all()} == before


def test_another_envelope_never_takes_the_place_of_the_first(bucket: ArtifactBucket) -> None:
    other = build_artifact(OTHER_KEY)
    assert other["manifest.json"] == GOOD["manifest.json"]
    bucket.put(GOOD)
    with pytest.raises(ArtifactExistsError):
        bucket.put(other)
    assert bucket.read(DIGEST) == GOOD


def test_an_artifact_without_its_envelope_is_none_yet(bucket: ArtifactBucket, objects: Any) -> None:
    for name in ("manifest.json", "model.onnx"):
        objects.put_object(Key=FOLDER + name, Body=GOOD[name])
    assert bucket.list_digests() == []
    with pytest.raises(ArtifactNotFoundError):
        bucket.read(DIGEST)
    assert bucket.put(GOOD) == DIGEST
    assert bucket.read(DIGEST) == GOOD


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("model.onnx", b"x", ArtifactHashMismatchError),
        ("model.onnx", NEWER["model.onnx"], ArtifactHashMismatchError),
        ("manifest.json", b"{}", ArtifactManifestInvalidError),
        ("readme.txt", b"", ArtifactUnknownFileError),
        ("more/model.onnx", b"", ArtifactUnknownFileError),
        ("encodings.json", bytes(ARTIFACT_BYTES_MAX + 1), ArtifactTooLargeError),
        ("encodings.json", None, ArtifactUnknownFileError),
        ("envelope.dsse.json", None, ArtifactNotFoundError),
    ],
)
def test_what_somebody_changed_in_the_bucket_is_refused(
    bucket: ArtifactBucket,
    objects: Any,
    name: str,
    content: bytes | None,
    error: type[ArtifactError],
) -> None:
    bucket.put(GOOD)
    if content is None:
        objects.Object(FOLDER + name).delete()
    else:
        objects.put_object(Key=FOLDER + name, Body=content)
    with pytest.raises(ArtifactError) as caught:
        bucket.read(DIGEST)
    assert type(caught.value) is error


def test_all_files_of_another_artifact_under_this_digest_are_refused(
    bucket: ArtifactBucket, objects: Any
) -> None:
    for name, content in NEWER.items():
        objects.put_object(Key=FOLDER + name, Body=content)
    with pytest.raises(ArtifactHashMismatchError, match="digest"):
        bucket.read(DIGEST)


@pytest.mark.parametrize("name", ["", "..", "A" * 64, "0" * 64])
def test_a_name_that_is_no_stored_digest_is_not_found(bucket: ArtifactBucket, name: str) -> None:
    with pytest.raises(ArtifactNotFoundError):
        bucket.read(name)


def test_unfit_files_are_never_written(bucket: ArtifactBucket, objects: Any) -> None:
    with pytest.raises(ArtifactHashMismatchError):
        bucket.put(GOOD | {"model.onnx": b""})
    assert list(objects.objects.all()) == []


def test_a_service_that_is_away_is_said_to_be_unavailable(tmp_path: Path) -> None:
    for url in (
        "s3://artifacts?endpoint=http://127.0.0.1:1&region=us-east-1",
        "s3://artifacts?endpoint=https://127.0.0.1:1&region=us-east-1",
    ):
        store = open_artifact_store(tmp_path, url)
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1"):
            store.read(DIGEST)
        with pytest.raises(UnavailableError):
            store.put(GOOD)
        assert ArtifactStore(tmp_path / "artifacts").list_digests() == []


def test_a_bucket_that_does_not_exist_is_said_to_be_unavailable(url: str) -> None:
    address = BucketAddress.parse(url)._replace(bucket="somewhere-else")
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        ArtifactBucket(address).list_digests()


def test_the_mirror_fetches_once_and_then_does_without_the_bucket(url: str, tmp_path: Path) -> None:
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    assert open_artifact_store(writer, url).put(GOOD) == DIGEST
    assert ArtifactStore(writer / "artifacts").read(DIGEST) == GOOD
    store = open_artifact_store(reader, url)
    assert store.list_digests() == [DIGEST]
    assert store.read(DIGEST) == GOOD
    away = open_artifact_store(reader, "s3://artifacts?endpoint=http://127.0.0.1:1&region=x")
    assert away.read(DIGEST) == GOOD


def test_a_copy_that_was_damaged_is_refused(url: str, tmp_path: Path) -> None:
    store = open_artifact_store(tmp_path, url)
    store.put(GOOD)
    path = tmp_path / "artifacts" / "sha256" / DIGEST / "model.onnx"
    path.chmod(0o600)
    path.write_bytes(b"x")
    with pytest.raises(ArtifactHashMismatchError):
        store.read(DIGEST)


def test_without_a_url_the_data_directory_is_the_store(tmp_path: Path) -> None:
    assert isinstance(open_artifact_store(tmp_path), ArtifactStore)


def test_without_boto3_the_operator_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match="extra s3"):
        open_artifact_store(tmp_path, "s3://artifacts")


def test_the_directory_alone_never_loads_boto3(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from server.loaders.artifact_mirror import open_artifact_store; "
        f"open_artifact_store(Path({str(tmp_path)!r})).list_digests(); "
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://artifacts", ("artifacts", "", None, None)),
        ("s3://artifacts/", ("artifacts", "", None, None)),
        ("s3://a.b-c/models/eu?region=eu-west-1", ("a.b-c", "models/eu/", None, "eu-west-1")),
        (
            "s3://artifacts?endpoint=https://store.example:9000",
            ("artifacts", "", "https://store.example:9000", None),
        ),
    ],
)
def test_a_url_names_bucket_prefix_endpoint_and_region(
    url: str, address: tuple[str, str, str | None, str | None]
) -> None:
    assert BucketAddress.parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "artifacts",
        "http://artifacts",
        "s3://",
        "s3://A",
        "s3://key:secret@artifacts",
        "s3://artifacts/a//b",
        "s3://artifacts/a b",
        "s3://artifacts?endpoint=ftp://x",
        "s3://artifacts?endpoint=http://key:secret@x",
        "s3://artifacts?secret=x",
        "s3://artifacts#x",
    ],
)
def test_a_url_of_another_form_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="artifact_store_url"):
        open_artifact_store(tmp_path, url)


def test_a_copy_that_cannot_be_kept_is_used_all_the_same(
    bucket: ArtifactBucket, tmp_path: Path
) -> None:
    bucket.put(GOOD)
    (tmp_path / "artifacts").write_bytes(b"")
    mirror = ArtifactMirror(bucket, ArtifactStore(tmp_path / "artifacts" / "inside"))
    assert mirror.read(DIGEST) == GOOD


def test_an_engine_finds_author_and_model_in_the_bucket(url: str, tmp_path: Path) -> None:
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    ensure_development_keys(writer / "keys")
    assert follow_trust_set(writer / "keys", reader / "keys") == 1
    digest = open_artifact_store(writer, url).put(build_artifact(load_author_key(writer / "keys")))
    source = ModelSource(reader, url)
    assert source.find_author(digest, source.load_trust()).person == "development-author"
    assert source.find(bytes.fromhex(digest)).digest == digest
