"""`riskgate evidence`: what an auditor gets, and what a script that knows nothing of us finds."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from server.embedded.process import wait_until
from tests.artifact_builder import build_artifact, load_author_key
from tests.stack_harness import Stack, running_stack

SCRIPT = Path(__file__).parents[2] / "scripts" / "verify_evidence.py"
ORDER = ["--account", "steady", "--symbol", "EURUSD", "--side", "buy", "--entry", "1.1"]
ORDER += ["--stop", "1.098", "--provider", "channel_12345"]
ORDER += ["--provider-type", "channel_source"]

Document = dict[str, Any]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        stack.answer(
            "apply", "--reason", "test", "-f", str(Path(__file__).with_name("outages.yaml"))
        )
        yield stack


@pytest.fixture(scope="module")
def case(stack: Stack) -> Document:
    """Evidence of a decision in which a model spoke."""
    folder = stack.data_dir.with_name("artifact")
    folder.mkdir()
    for name, content in build_artifact(load_author_key(stack.data_dir / "keys")).items():
        (folder / name).write_bytes(content)
    stack.answer("models push", str(folder))
    stack.answer("models propose", "1.0.0", "--reason", "better on last month's fills")
    stack.answer("models approve", "1.0.0", "--as", "both", "--reason", "the figures are right")
    stack.answer("models activate", "1.0.0", "--reason", "approved by both")
    answers: list[Document] = []

    def by_the_model() -> bool:
        answers.append(stack.answer("decide", *ORDER))
        return bool(answers[-1]["model_digest"])

    assert wait_until(by_the_model, timeout_s=60)
    return collect(stack, int(answers[-1]["decision_id"]))


def collect(stack: Stack, decision_id: int) -> Document:
    out = stack.data_dir.with_name(f"evidence-{decision_id}.json")

    def collected() -> bool:
        done = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("riskgate")), "evidence", str(decision_id)),
                *("--data-dir", str(stack.data_dir), "--out", str(out)),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        # Signed checkpoints and heads come some seconds later.
        assert done.returncode == 0 or "try again" in done.stderr, done.stderr
        return done.returncode == 0

    assert wait_until(collected, timeout_s=120)
    found: Document = json.loads(out.read_text())
    return found


def pins(stack: Stack) -> list[str]:
    """What an auditor was given beforehand."""
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("riskgate")), "evidence", "--pins"),
            *("--data-dir", str(stack.data_dir)),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    pinned = done.stdout.split()
    keys = stack.data_dir / "keys"
    assert pinned[0] == (keys / "trust.pin").read_text().strip()
    assert [len(each) for each in pinned] == [64, 64, 64]
    return pinned


def verify(case: Document, pinned: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the script where nothing of Riskgate can be imported."""
    path = folder / "case.json"
    path.write_text(json.dumps(case))
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _RUN, str(SCRIPT), str(path), *pinned],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )


# Only the site-packages of `cryptography`, without the editable install of this project.
_RUN = f"""
import runpy, sys
sys.path.append({str(Path(base64.__file__).parent)!r})
sys.path.append({next(p for p in sys.path if p.endswith("site-packages"))!r})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not [name for name in sys.modules if name.startswith(("server", "riskgate"))]
"""


def test_evidence_when_verified_offline_then_every_link_holds(
    stack: Stack, case: Document, tmp_path: Path
) -> None:
    done = verify(case, pins(stack), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    decision = case["decision"]
    assert f"decision {decision['decision_id']} of " in done.stdout
    assert f"{decision['answer']['lot_size']:g} lots" in done.stdout
    assert case["decision"]["is_same"]
    digest = sha256(base64.b64decode(case["model"]["manifest"])).hexdigest()
    assert case["decision"]["model"]["digest"] == digest


def flip(text: str, position: float = 0.5) -> str:
    """Turn one bit of a base64 text."""
    raw = bytearray(base64.b64decode(text))
    raw[int(len(raw) * position)] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def _swap_approval(case: Document) -> None:
    envelope = json.loads(base64.b64decode(case["model"]["activation"]))
    envelope["signatures"] = envelope["signatures"][:1]
    case["model"]["activation"] = base64.b64encode(json.dumps(envelope).encode()).decode()


def _other_entry(case: Document) -> None:
    case["checkpoint"]["index"] += -1 if case["checkpoint"]["index"] else 1


def unsigned(text: str) -> str:
    """Return an envelope without its signatures, which nothing in it contradicts."""
    envelope = json.loads(base64.b64decode(text))
    envelope["signatures"] = []
    return base64.b64encode(json.dumps(envelope).encode()).decode()


def _released_by_an_approver(case: Document) -> None:
    """Put what approvers have signed there: their keys are trusted, for something else."""
    case["model"]["release"] = case["model"]["activation"]


FORGERIES: dict[str, Callable[[Document], None]] = {
    "the journal entry": lambda case: case.update(entry=flip(case["entry"])),
    "the checkpoint": lambda case: case["checkpoint"].update(
        envelope=flip(case["checkpoint"]["envelope"])
    ),
    "the fingerprints": lambda case: case["checkpoint"].update(
        fingerprints=flip(case["checkpoint"]["fingerprints"])
    ),
    "the place in the journal": _other_entry,
    "the manifest": lambda case: case["model"].update(manifest=flip(case["model"]["manifest"])),
    "the release": lambda case: case["model"].update(release=flip(case["model"]["release"])),
    "the activation": lambda case: case["model"].update(
        activation=flip(case["model"]["activation"])
    ),
    "one approver": _swap_approval,
    "the trust set": lambda case: case.update(trust=[flip(case["trust"][0])]),
    "the ledger's entry": lambda case: case["model"]["ledger"].update(
        entry=flip(case["model"]["ledger"]["entry"])
    ),
    "the ledger's path": lambda case: case["model"]["ledger"]["inclusion"]["path"].__setitem__(
        -1, "00" * 32
    ),
    "the signed head": lambda case: case["model"]["ledger"].update(
        head=flip(case["model"]["ledger"]["head"])
    ),
    "the checkpoint, signed by nobody": lambda case: case["checkpoint"].update(
        envelope=unsigned(case["checkpoint"]["envelope"])
    ),
    "the release, signed by nobody": lambda case: case["model"].update(
        release=unsigned(case["model"]["release"])
    ),
    "the head, signed by nobody": lambda case: case["model"]["ledger"].update(
        head=unsigned(case["model"]["ledger"]["head"])
    ),
    "the release, by an approver": _released_by_an_approver,
    "the decision": lambda case: case["decision"].update(
        decision_id=case["decision"]["decision_id"] + 1
    ),
    "that a model spoke": lambda case: case.update(model=None),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_evidence_when_one_part_is_forged_then_the_script_refuses(
    stack: Stack, case: Document, tmp_path: Path, name: str
) -> None:
    forged: Document = json.loads(json.dumps(case))
    FORGERIES[name](forged)
    assert forged != case
    done = verify(forged, pins(stack), tmp_path)
    assert done.returncode != 0
    assert "verified" not in done.stdout


@pytest.mark.parametrize("which", range(3))
def test_evidence_when_a_pinned_key_is_another_then_the_script_refuses(
    stack: Stack, case: Document, tmp_path: Path, which: int
) -> None:
    pinned = pins(stack)
    pinned[which] = "11" * 32
    assert verify(case, pinned, tmp_path).returncode != 0
