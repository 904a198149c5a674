"""What a report says of a run of the tests, and that nobody can change it unseen."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from server import cli
from server.assessment.control_map import Control, ControlMap, Source
from server.assessment.page import render_page, strip_results
from server.assessment.report import (
    Report,
    judge_control,
    make_report,
    open_report,
    sign_report,
)
from server.assessment.run_results import RunResults, read_results
from server.commands.controls import ENVELOPE_FILE
from server.errors import PreconditionError
from server.security.canonical import decode_canonical, encode_canonical
from server.security.keys import ensure_witness_key
from server.security.statements import parse_envelope, sign_statement

ROOT: Final = Path(__file__).parents[2]
RUN: Final = """
import pytest
def test_good(): pass
@pytest.mark.parametrize("number", [1, 2])
def test_twice(number): pass
@pytest.mark.parametrize("number", [1, 2])
def test_half_skipped(number):
    if number == 2: pytest.skip("not here")
def test_skipped(): pytest.skip("not here")
@pytest.mark.parametrize("number", [1, 2])
def test_half_bad(number): assert number == 1
@pytest.fixture
def broken(): raise RuntimeError
def test_error(broken): pass
@pytest.fixture
def dirty():
    yield
    raise RuntimeError
def test_left_dirty(dirty): pass
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> RunResults:
    """What pytest itself writes of tests that come out in every way."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_run.py").write_text(RUN, encoding="utf-8")
    path = folder / "tests.xml"
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={path}"]
    subprocess.run([*words, "tests"], cwd=folder, check=False, capture_output=True, timeout=60)
    return read_results(path)


def control(*tests: str, campaigns: tuple[str, ...] = ()) -> Control:
    return Control(
        id="one",
        title="One",
        sources=("rule",),
        how="It does.",
        tests=tuple(f"tests/test_run.py::{test}" for test in tests),
        campaigns=tuple(f"tests/test_run.py::{test}" for test in campaigns),
    )


@pytest.mark.parametrize("tests", [("test_good",), ("test_twice",), ("test_good", "test_twice")])
def test_a_control_passes_when_all_its_tests_ran_and_passed(
    tests: tuple[str, ...], results: RunResults
) -> None:
    assert judge_control(control(*tests), results).result == "passed"


@pytest.mark.parametrize(
    "tests",
    [(), ("test_skipped",), ("test_half_skipped",), ("test_good", "test_skipped"),
     ("test_good", "test_that_is_not_there")],
)  # fmt: skip
def test_a_skipped_or_missing_test_never_shows_a_control(
    tests: tuple[str, ...], results: RunResults
) -> None:
    assert judge_control(control(*tests), results).result == "not shown"
    assert judge_control(control(*tests), None).result == "not shown"


@pytest.mark.parametrize("test", ["test_half_bad", "test_error", "test_left_dirty"])
def test_one_case_that_fails_fails_the_control(test: str, results: RunResults) -> None:
    assert judge_control(control("test_good", test), results).result == "failed"
    assert judge_control(control("test_skipped", test), results).result == "failed"
    assert judge_control(control("test_good", campaigns=(test,)), results).result == "failed"


def test_a_long_proof_alone_shows_nothing(results: RunResults) -> None:
    assert judge_control(control(campaigns=("test_good",)), results).result == "not shown"
    shown = judge_control(control("test_good", campaigns=("test_skipped",)), results)
    assert shown.result == "passed"


def one_report(results: RunResults, *, tested_ns: int = 2**62) -> Report:
    controls = ControlMap(
        sources={"rule": Source(name="Rule", asks="something")},
        controls=(control("test_good"),),
        operational={},
    )
    return make_report(
        controls, "0" * 64, results, root=ROOT, release="0.1.0",
        made_at="2026-01-01T00:00:00+00:00", tested_ns=tested_ns,
    )  # fmt: skip


def test_a_report_counts_the_run_and_names_what_changed_since(results: RunResults) -> None:
    report = one_report(results)
    assert report.run == {"passed": 5, "failed": 3, "skipped": 2}
    assert report.totals == {"passed": 1, "failed": 0, "not shown": 0}
    assert report.changed_since == []
    assert one_report(results, tested_ns=0).changed_since


def test_a_report_is_signed_and_any_change_is_found(results: RunResults) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    raw = sign_report(one_report(results), key)
    assert open_report(raw, key.public_key()) == one_report(results)
    with pytest.raises(PreconditionError, match="not signed by the given key"):
        open_report(raw, other.public_key())
    envelope = decode_canonical(raw)
    said = decode_canonical(parse_envelope(raw).payload)
    better = {**said, "totals": {"passed": 2, "failed": 0, "not shown": 0}}
    forged = sign_statement(encode_canonical(better), "controls", other)
    mixed = encode_canonical({**envelope, "payload": decode_canonical(forged)["payload"]})
    for place in range(0, len(raw), 97):
        flipped = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(PreconditionError):
            open_report(flipped, key.public_key())
    for forgery in (mixed, forged, b"", b"{}", raw + b" "):
        with pytest.raises(PreconditionError):
            open_report(forgery, key.public_key())


def test_a_statement_of_another_kind_is_no_report(results: RunResults) -> None:
    key = Ed25519PrivateKey.generate()
    payload = encode_canonical(one_report(results).model_dump())
    with pytest.raises(PreconditionError, match="no envelope of its kind"):
        open_report(sign_statement(payload, "head", key), key.public_key())
    with pytest.raises(PreconditionError):
        open_report(sign_statement(b'{"statement":"x"}', "controls", key), key.public_key())


@pytest.mark.parametrize("content", [None, "", "<testsuites", "no xml"])
def test_results_that_cannot_be_read_are_refused_by_name(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "tests.xml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(PreconditionError, match=r"tests\.xml"):
        read_results(path)


def run_command(*words: str) -> Any:
    return CliRunner().invoke(cli.app, ["controls", *words])


def test_report_and_verify_as_commands(results: RunResults, tmp_path: Path) -> None:
    keys, out, junit = tmp_path / "keys", tmp_path / "out", tmp_path / "tests.xml"
    ensure_witness_key(keys)
    junit.write_text("<testsuites><testsuite timestamp='2026-01-01T00:00:00'/></testsuites>")
    where = ("--data-dir", str(tmp_path))
    made = run_command("report", "--junit", str(junit), "--out", str(out), *where)
    assert made.exit_code == 0, made.output
    assert "0 controls passed, 0 failed" in made.output
    verified = run_command("verify", str(out / ENVELOPE_FILE), *where)
    assert verified.exit_code == 0, verified.output
    assert "not shown: kill" in verified.output
    report = json.loads((out / "controls.json").read_text(encoding="utf-8"))
    assert report["totals"]["passed"] == 0
    page = (out / "controls.md").read_text(encoding="utf-8")
    assert strip_results(page) == strip_results((ROOT / "docs" / "controls.md").read_text())
    raw = (out / ENVELOPE_FILE).read_bytes()
    (out / ENVELOPE_FILE).write_bytes(raw.replace(b"payloadType", b"payloadtype"))
    forged = run_command("verify", str(out / ENVELOPE_FILE), *where)
    assert forged.exit_code == 1
    assert "no report that can be believed" in forged.output


def test_a_page_differs_in_nothing_but_its_results(results: RunResults) -> None:
    controls = ControlMap(
        sources={"rule": Source(name="Rule", asks="something")},
        controls=(control("test_good"),),
        operational={},
    )
    bare, full = render_page(controls), render_page(controls, one_report(results))
    assert bare != full
    assert "| passed |" in full
    assert strip_results(bare) == strip_results(full)
