"""The report of a self-assessment: what each control's tests have shown, signed.

Shown means: every named test ran in every case and passed. What was skipped, left out or has no
test is "not shown", whatever else passed.
"""

from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict

from server.assessment.control_map import Control, ControlMap
from server.assessment.run_results import RunResults
from server.errors import PreconditionError
from server.security.canonical import decode_canonical, encode_canonical
from server.security.sole_signer import open_signed
from server.security.statements import Kind, sign_statement

Result = Literal["passed", "failed", "not shown"]
RESULTS: Final[tuple[Result, ...]] = ("passed", "failed", "not shown")
_KIND: Final[Kind] = "controls"
# What an engine, a control process and their contract are made of, and what judges them.
_SOURCES: Final = ("server", "riskgate", "protos", "tests")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ShownTest(_Part):
    """One test: how many cases of it came out how."""

    id: str
    passed: int
    failed: int
    skipped: int


class ShownControl(_Part):
    """One control and its result; long proofs are listed, and only a failed one changes it."""

    id: str
    title: str
    sources: list[str]
    reasons: list[str]
    result: Result
    tests: list[ShownTest]
    campaigns: list[ShownTest]


class Report(_Part):
    """What is signed.

    Attributes:
        made_at: RFC 3339, UTC.
        release: Version of riskgate.
        sources_sha256: Of all sources and tests as they are.
        changed_since: Sources that are newer than the run of the tests, at most 20.
        map_sha256: Of the map of controls.
        results_sha256: Of the file that the results were read from.
        tested_at: When that run began, as it says.
        run: Cases of the whole run by outcome.
        totals: Controls by result.
    """

    statement: Literal["riskgate.controls.v1"] = "riskgate.controls.v1"
    made_at: str
    release: str
    sources_sha256: str
    changed_since: list[str]
    map_sha256: str
    results_sha256: str
    tested_at: str
    run: dict[str, int]
    totals: dict[str, int]
    controls: list[ShownControl]


def judge_control(control: Control, results: RunResults | None) -> ShownControl:
    """Say what a run has shown of a control; without a run nothing is shown."""
    tests = [_show(test, results) for test in control.tests]
    campaigns = [_show(test, results) for test in control.campaigns]
    result: Result = "passed"
    if not tests or any(test.skipped or not test.passed for test in tests):
        result = "not shown"
    if any(test.failed for test in (*tests, *campaigns)):
        result = "failed"
    return ShownControl(
        id=control.id,
        title=control.title,
        sources=list(control.sources),
        reasons=list(control.reasons),
        result=result,
        tests=tests,
        campaigns=campaigns,
    )


def _show(test: str, results: RunResults | None) -> ShownTest:
    counts = Counter((results.cases if results else {}).get(test, {}).values())
    return ShownTest(
        id=test, passed=counts["passed"], failed=counts["failed"], skipped=counts["skipped"]
    )


def make_report(
    controls: ControlMap,
    map_sha256: str,
    results: RunResults,
    *,
    root: Path,
    release: str,
    made_at: str,
    tested_ns: int,
) -> Report:
    """Return the report of a run.

    Args:
        controls: The map.
        map_sha256: Of its file.
        results: Of the run.
        root: Of the project, with its tests.
        release: Version of riskgate.
        made_at: RFC 3339, UTC.
        tested_ns: When the file of the results was written, Unix nanoseconds.
    """
    shown = [judge_control(control, results) for control in controls.controls]
    digest, newer = _look_at_sources(root, tested_ns)
    totals = Counter(each.result for each in shown)
    return Report(
        made_at=made_at,
        release=release,
        sources_sha256=digest,
        changed_since=newer[:20],
        map_sha256=map_sha256,
        results_sha256=results.sha256,
        tested_at=results.started_at,
        run={each: results.count(each) for each in ("passed", "failed", "skipped")},
        totals={result: totals[result] for result in RESULTS},
        controls=shown,
    )


def _look_at_sources(root: Path, tested_ns: int) -> tuple[str, list[str]]:
    digest, newer = sha256(), list[str]()
    paths = (path for name in _SOURCES for path in (root / name).rglob("*"))
    for path in sorted(paths):
        if not path.is_file() or path.suffix == ".pyc":
            continue
        name, content = path.relative_to(root).as_posix(), path.read_bytes()
        digest.update(b"%d %s %d\0" % (len(name), name.encode(), len(content)) + content)
        if path.stat().st_mtime_ns > tested_ns:
            newer.append(name)
    return digest.hexdigest(), newer


def sign_report(report: Report, key: Ed25519PrivateKey) -> bytes:
    """Return the signed envelope of a report."""
    return sign_statement(encode_canonical(report.model_dump()), _KIND, key)


def open_report(raw: bytes, key: Ed25519PublicKey) -> Report:
    """Verify an envelope over the very bytes that were read.

    Raises:
        PreconditionError: It is no envelope in canonical form, not signed by the key alone, or
            holds no report.
    """
    try:
        payload = open_signed(raw, _KIND, key, "given")
        return Report.model_validate(decode_canonical(payload))
    except ValueError as error:
        raise PreconditionError(f"this is no report that can be believed: {error}") from error
