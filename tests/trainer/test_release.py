import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.trainer.sample_rows import make_fill
from trainer.artifact import FILES, read_artifact, write_artifact
from trainer.canonical import encode_canonical
from trainer.encodings import read_encodings
from trainer.errors import ArtifactReadError, AuthorKeyError, NotEnoughDataError
from trainer.evaluate import evaluate_slippage, select_stop_losses
from trainer.export import run_onnx
from trainer.release import ReleasePlan, release_slippage
from trainer.rows import StopFill
from trainer.sign import load_author_key, verify_release
from trainer.simulate import SimulatedMarket, simulate_market
from trainer.source import DataFolder, read_stop_fills


def test_a_release_has_exactly_the_four_files(release_dir: Path) -> None:
    assert {entry.name for entry in release_dir.iterdir()} == FILES


def test_the_manifest_and_encodings_are_canonical(release_dir: Path) -> None:
    for name in ("manifest.json", "encodings.json", "envelope.dsse.json"):
        raw = (release_dir / name).read_bytes()
        assert encode_canonical(json.loads(raw)) == raw


def test_golden_rows_hold_in_onnxruntime(release_dir: Path) -> None:
    artifact = read_artifact(release_dir)
    golden = artifact.manifest["golden"]
    assert len(golden) >= 16
    rows = np.array([row["features"] for row in golden], dtype=np.float32)
    assert run_onnx(artifact.model, rows).tolist() == [row["outputs"] for row in golden]


def test_the_signature_holds(release_dir: Path, author_key: Ed25519PrivateKey) -> None:
    artifact = read_artifact(release_dir)
    verify_release(artifact.envelope, artifact.manifest_bytes, author_key.public_key())


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_flipped_byte_is_refused(
    name: str, release_dir: Path, author_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    size = (release_dir / name).stat().st_size
    for position in np.random.default_rng(9).integers(size, size=12):
        folder = tmp_path / f"{name}-{position}"
        shutil.copytree(release_dir, folder, dirs_exist_ok=True)
        content = bytearray((folder / name).read_bytes())
        content[position] ^= 1
        (folder / name).write_bytes(content)
        with pytest.raises(ArtifactReadError):
            read_and_verify(folder, author_key)


def read_and_verify(folder: Path, author_key: Ed25519PrivateKey) -> None:
    artifact = read_artifact(folder)
    verify_release(artifact.envelope, artifact.manifest_bytes, author_key.public_key())


def test_another_author_is_refused(release_dir: Path) -> None:
    artifact = read_artifact(release_dir)
    stranger = Ed25519PrivateKey.generate().public_key()
    with pytest.raises(ArtifactReadError, match="signature"):
        verify_release(artifact.envelope, artifact.manifest_bytes, stranger)


def test_an_unknown_file_is_refused(release_dir: Path, tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(release_dir, folder)
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(ArtifactReadError, match=r"notes\.txt"):
        read_artifact(folder)


def test_a_release_is_never_overwritten(release_dir: Path) -> None:
    with pytest.raises(FileExistsError):
        write_artifact(release_dir, dict.fromkeys(FILES, b""))


def test_the_server_accepts_the_signature(release_dir: Path, author_key: Ed25519PrivateKey) -> None:
    from server.security.envelope import verify_release as verify_as_server
    from server.security.keys import TrustedKey, TrustSet, compute_keyid

    raw = author_key.public_key().public_bytes_raw()
    keyid = compute_keyid(raw)
    key = TrustedKey(keyid=keyid, person="author", role="author", public_key_hex=raw.hex())
    artifact = read_artifact(release_dir)
    statement, author = verify_as_server(artifact.envelope, TrustSet(1, {keyid: key}))
    assert author.keyid == keyid
    assert statement.manifest_sha256 == artifact.digest


def test_evaluating_the_training_data_repeats_the_manifest(
    release_dir: Path, market: SimulatedMarket
) -> None:
    artifact = read_artifact(release_dir)
    report = evaluate_slippage(market.fills, artifact)
    stored = artifact.manifest["metrics"]["holdout"]
    assert report["training_rows_match"]
    assert {name: report[name] for name in stored} == stored


def test_evaluation_leaves_out_training_rows_and_targets(
    release_dir: Path, market: SimulatedMarket
) -> None:
    artifact = read_artifact(release_dir)
    edge = artifact.trained_until + artifact.embargo
    later = [fill for fill in select_stop_losses(market.fills) if fill.ts > edge]
    assert evaluate_slippage(market.fills, artifact)["rows"] == len(later)


def test_unseen_data_alone_are_judged_against_the_stored_baselines(
    release_dir: Path, market: SimulatedMarket
) -> None:
    artifact = read_artifact(release_dir)
    edge = artifact.trained_until + artifact.embargo
    later = [fill for fill in market.fills if fill.ts > edge]
    whole, alone = evaluate_slippage(market.fills, artifact), evaluate_slippage(later, artifact)
    assert alone["baselines_from"] == "manifest"
    for name in ("mae_pips", "baseline_mae_pips", "champion_pinball_q90_pips", "coverage_q90"):
        assert alone[name] == pytest.approx(whole[name], abs=1e-12)


def test_other_accounts_of_the_same_weeks_are_unseen(
    release_dir: Path, market: SimulatedMarket
) -> None:
    renamed = [replace(fill, provider_id=f"new_{fill.provider_id}") for fill in market.fills]
    report = evaluate_slippage(renamed, read_artifact(release_dir))
    assert report["baselines_from"] == "manifest"
    assert report["rows"] > 0.9 * len(select_stop_losses(renamed))


def test_training_rows_alone_cannot_be_judged(release_dir: Path, market: SimulatedMarket) -> None:
    artifact = read_artifact(release_dir)
    seen = [fill for fill in market.fills if fill.ts <= artifact.trained_until]
    with pytest.raises(NotEnoughDataError):
        evaluate_slippage(seen, artifact)


def test_a_holdout_row_has_no_say_in_the_model(
    author_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    market = simulate_market(seed=4, trade_count=700)
    plan = ReleasePlan()
    release_slippage(market.fills, tmp_path / "a", author_key, plan)
    artifact = read_artifact(tmp_path / "a")
    spoiled = [
        replace(fill, slippage_pips=99.0) if fill.ts > artifact.trained_until else fill
        for fill in market.fills
    ]
    release_slippage(spoiled, tmp_path / "b", author_key, plan)
    other = read_artifact(tmp_path / "b")
    assert other.model == artifact.model
    assert other.encodings == artifact.encodings
    assert other.manifest["metrics"]["baseline"] == artifact.manifest["metrics"]["baseline"]


def test_training_on_everything_reports_no_holdout(
    author_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    fills = simulate_market(seed=4, trade_count=400).fills
    release = release_slippage(fills, tmp_path / "a", author_key, ReleasePlan(train_fraction=1.0))
    assert release.metrics["holdout"] is None
    assert release.training["rows"] == len(select_stop_losses(fills))


@pytest.mark.parametrize("version", ["1", "1.0.0-rc1", "01.0.0", "1.0.0\n", ""])
def test_a_version_that_is_not_semantic_is_refused(version: str) -> None:
    with pytest.raises(ValueError, match="version"):
        ReleasePlan(version=version)


def test_a_missing_key_names_the_mend(tmp_path: Path) -> None:
    with pytest.raises(AuthorKeyError, match=r"riskgate serve.*--key"):
        load_author_key(tmp_path / "author.pem")


def test_a_key_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    pem = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(AuthorKeyError, match="Ed25519"):
        load_author_key(tmp_path / "key.pem")


def test_bars_and_targets_alone_are_too_little_to_train_on(
    author_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    targets: list[StopFill] = [make_fill(number, exit_reason="tp") for number in range(500)]
    with pytest.raises(NotEnoughDataError):
        release_slippage(targets, tmp_path / "a", author_key, ReleasePlan())
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    "train_fraction",
    [
        pytest.param(0.6, marks=pytest.mark.campaign),
        0.7,
        pytest.param(0.8, marks=pytest.mark.campaign),
    ],
)
def test_the_model_beats_its_baselines_on_real_fills(
    train_fraction: float, real_data: DataFolder, author_key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    plan = ReleasePlan(train_fraction=train_fraction, embargo=timedelta(hours=24))
    fills = read_stop_fills(real_data)
    release = release_slippage(fills, tmp_path / "a", author_key, plan)
    holdout = release.metrics["holdout"]
    assert holdout["mae_pips"] <= holdout["baseline_mae_pips"]
    assert holdout["pinball_q90_gain_over_baseline"] >= 0.05
    assert 0.86 <= holdout["coverage_q90"] <= 0.94


def test_encodings_are_those_the_features_came_from(release_dir: Path) -> None:
    document = json.loads((release_dir / "encodings.json").read_bytes())
    assert read_encodings(document) == read_artifact(release_dir).encodings
