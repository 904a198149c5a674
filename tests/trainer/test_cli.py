import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from trainer.cli import data, evaluate, train

REQUIRED = {
    "mae_pips", "baseline_mae_pips", "pinball_q90_pips", "baseline_pinball_q90_pips",
    "coverage_q90", "rows", "by_account",
}  # fmt: skip
run = CliRunner().invoke


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    keys = tmp_path / "state" / "keys"
    keys.mkdir(parents=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (keys / "author.pem").write_bytes(pem)
    return tmp_path / "state"


def test_import_train_and_evaluate_from_the_record(
    data_dir: Path, tmp_path: Path, record_url: str
) -> None:
    (data_dir / "state.json").write_text(json.dumps({"database_url": record_url}))
    where = ["--data-dir", str(data_dir), "--json"]
    rows, out = tmp_path / "rows", tmp_path / "artifact"
    assert run(data, ["simulate", "--out", str(rows), "--trades", "900", *where]).exit_code == 0

    first = run(data, ["import", str(rows), *where])
    again = run(data, ["import", str(rows), *where])
    assert json.loads(first.stdout)["trade"] == {"read": 900, "added": 900}
    assert json.loads(again.stdout)["trade"] == {"read": 900, "added": 0}

    metrics = run(data, ["metrics", "--store", *where])
    assert {row["provider_id"] for row in json.loads(metrics.stdout)} >= {"sim_exact", "sim_rough"}

    trained = run(train, ["slippage", "--out", str(out), "--version", "1.2.3", *where])
    assert trained.exit_code == 0, trained.stderr
    from_record = run(evaluate, ["slippage", "--model", str(out), *where])
    from_folder = run(evaluate, ["slippage", "--model", str(out), "--data", str(rows), *where])
    report = json.loads(from_record.stdout)
    assert set(report) >= REQUIRED
    assert report == json.loads(from_folder.stdout)
    assert report["model"]["version"] == "1.2.3"


def test_train_without_a_key_fails_and_names_the_mend(tmp_path: Path) -> None:
    result = run(train, ["slippage", "--out", str(tmp_path / "a"), "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "riskgate serve" in " ".join(result.stderr.split())
    assert not (tmp_path / "a").exists()


def test_train_without_record_or_folder_fails_and_names_the_mend(
    data_dir: Path, tmp_path: Path
) -> None:
    result = run(train, ["slippage", "--out", str(tmp_path / "a"), "--data-dir", str(data_dir)])
    assert result.exit_code == 1
    assert "--data" in result.stderr


def test_evaluate_refuses_an_altered_artifact(
    release_dir: Path, tmp_path: Path, market_dir: Path
) -> None:
    import shutil

    folder = tmp_path / "altered"
    shutil.copytree(release_dir, folder)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    result = run(evaluate, ["slippage", "--model", str(folder), "--data", str(market_dir)])
    assert result.exit_code == 1
    assert "model.onnx" in result.stderr


def test_evaluate_prints_a_table_for_people(release_dir: Path, market_dir: Path) -> None:
    result = run(evaluate, ["slippage", "--model", str(release_dir), "--data", str(market_dir)])
    assert result.exit_code == 0
    assert "coverage_q90" in result.stdout
