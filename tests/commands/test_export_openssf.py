"""`riskgate models export-openssf`: what it writes is accepted by the tools of that format."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

from server.cli import app
from server.loaders.artifact_store import ArtifactStore
from server.loaders.openssf_export import ensure_export_key
from server.security.keys import ensure_development_keys
from tests.artifact_builder import build_artifact, load_author_key


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    ensure_development_keys(tmp_path / "keys")
    return build_artifact(load_author_key(tmp_path / "keys"))


def export(tmp_path: Path, artifact: str, *arguments: str) -> Result:
    words = ["models", "export-openssf", artifact, str(tmp_path / "out"), *arguments]
    return CliRunner().invoke(app, [*words, "--data-dir", str(tmp_path)])


def require_model_signing() -> Any:
    return pytest.importorskip("model_signing", reason="the extra openssf is not installed")


def verify(tmp_path: Path, signature: Path) -> None:
    from model_signing import verifying

    config = verifying.Config().use_elliptic_key_verifier(
        public_key=tmp_path / "keys" / "openssf.pub.pem"
    )
    config.verify(tmp_path / "out", signature)


def test_an_export_is_accepted_by_the_library_of_the_format(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    require_model_signing()
    digest = ArtifactStore(tmp_path / "artifacts").put(files)
    result = export(tmp_path, digest, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["digest"], answer["version"]) == (digest, "1.0.0")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    verify(tmp_path, Path(answer["signature"]))
    (tmp_path / "out" / "model.onnx").write_bytes(b"x")
    with pytest.raises(ValueError, match="mismatch"):
        verify(tmp_path, Path(answer["signature"]))


def test_a_directory_is_exported_once(tmp_path: Path, files: dict[str, bytes]) -> None:
    require_model_signing()
    folder = tmp_path / "release"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    result = export(tmp_path, str(folder))
    assert result.exit_code == 0, result.output
    verify(tmp_path, tmp_path / "out.sig")
    again = export(tmp_path, str(folder))
    assert again.exit_code != 0
    assert "already exists" in again.output


def test_a_key_of_another_kind_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    require_model_signing()
    digest = ArtifactStore(tmp_path / "artifacts").put(files)
    result = export(tmp_path, digest, "--key", str(tmp_path / "keys" / "author.pem"))
    assert result.exit_code != 0
    assert "no usable elliptic curve key" in result.output
    assert not (tmp_path / "out").exists()


def test_an_artifact_that_nobody_trusted_released_is_not_exported(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    digest = ArtifactStore(tmp_path / "artifacts").put(build_artifact(Ed25519PrivateKey.generate()))
    result = export(tmp_path, digest)
    assert result.exit_code != 0
    assert "untrusted" in result.output or "not a trusted author" in result.output
    assert not (tmp_path / "out").exists()


def test_without_the_extra_the_operator_is_told_what_to_install(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    digest = ArtifactStore(tmp_path / "artifacts").put(files)
    result = export(tmp_path, digest)
    assert result.exit_code != 0
    assert "extra openssf" in " ".join(result.output.split())


def test_the_key_of_exports_is_made_once(tmp_path: Path) -> None:
    path = ensure_export_key(tmp_path / "keys")
    before = path.read_bytes()
    assert ensure_export_key(tmp_path / "keys").read_bytes() == before
    assert path.stat().st_mode & 0o077 == 0
