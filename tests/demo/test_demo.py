"""The whole demo, started as `make demo` starts it; takes minutes, so `make test-all` runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"


@pytest.mark.campaign
@pytest.mark.parametrize("recorded", [False, True], ids=["simulated", "recorded"])
def test_demo_when_run_then_every_order_gets_a_decision_and_all_ends_flat(
    tmp_path: Path, *, recorded: bool
) -> None:
    if recorded and not DATA.is_dir():
        pytest.skip("the recorded data are not beside the repository")
    data = ["--data", str(DATA)] if recorded else []
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--data-dir", str(tmp_path / "stack"), *data],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "INSECURE: the demo serves without TLS" in done.stdout
    assert "all positions are flat again" in done.stdout
    kind = "recorded data" if recorded else "simulated market"
    assert kind in done.stdout
    rows = [line.split("│") for line in done.stdout.splitlines() if line.startswith("│ account")]
    counts = [[int(cell.replace(",", "")) for cell in row[2:6]] for row in rows]
    assert len(counts) == 2
    assert sum(count[3] for count in counts) == 0
    assert sum(map(sum, counts)) >= (2_000 if recorded else 1_000)
    assert not (tmp_path / "stack" / "state.json").exists()
