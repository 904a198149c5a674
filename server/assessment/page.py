"""The page of controls, docs/controls.md: the map for people, with or without results."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from server.assessment.control_map import Control, ControlMap
from server.assessment.report import Report, ShownControl

_HEAD: Final = """\
# Controls: which rule, which check, which test

Made from `server/assessment/controls.yaml` by `riskgate controls map`: change that, not this.
The result of a control is that of the run named below the table: `passed` only if every one of its
tests ran and passed. `riskgate controls report` makes the same of any run as a signed file, for the
yearly self-assessment. The rules are told in our words; whether a control is enough for a firm is
for the firm to say.
"""
_NOT_RUN: Final = "not shown"
_RESULT_CELL: Final = re.compile(r"^(\| \[[^|]+\| )(passed|failed|not shown)( \|)", re.MULTILINE)
_RUN_LINE: Final = re.compile(r"^Results: .*$", re.MULTILINE)


def render_page(controls: ControlMap, report: Report | None = None) -> str:
    """Return the page in Markdown."""
    shown = {each.id: each for each in report.controls} if report else {}
    lines = [_HEAD, "| control | result | asked for by | says so by |", "|---|---|---|---|"]
    for control in controls.controls:
        result = shown[control.id].result if control.id in shown else _NOT_RUN
        lines.append(
            f"| [{control.title}](#{control.id}) | {result} "
            f"| {', '.join(controls.sources[key].name for key in control.sources)} "
            f"| {_code(control.reasons)} |"
        )
    lines += ["", _describe_run(report), "", "## What the rules ask for", ""]
    lines += [f"- **{source.name}**: {source.asks}" for source in controls.sources.values()]
    lines += ["", "## The controls", ""]
    for control in controls.controls:
        lines += _describe(control, controls, shown.get(control.id))
    lines += ["## Reasons that no rule asks for", ""]
    lines += [f"- `{reason}`: {why}" for reason, why in controls.operational.items()]
    return "\n".join(lines) + "\n"


def strip_results(page: str) -> str:
    """Return a page without what differs from run to run."""
    return _RUN_LINE.sub("Results:", _RESULT_CELL.sub(r"\1\3", page))


def _describe_run(report: Report | None) -> str:
    if report is None:
        return "Results: of no run."
    totals, run = report.totals, report.run
    return (
        f"Results: {totals['passed']} controls passed, {totals['failed']} failed, "
        f"{totals['not shown']} not shown, by the run of {report.tested_at[:19]} with "
        f"{run['passed']:,} cases passed, {run['failed']:,} failed, {run['skipped']:,} skipped."
    )


def _describe(control: Control, controls: ControlMap, shown: ShownControl | None) -> Iterator[str]:
    yield f"### {control.id}"
    yield ""
    yield f"{control.title}. {control.how}"
    yield ""
    asked = "; ".join(controls.sources[key].name for key in control.sources)
    for name, text in (
        ("Asked for by", asked),
        ("Says so by", _code(control.reasons)),
        ("Calls", _code(control.calls)),
        ("Commands", _code(f"riskgate {each}" for each in control.commands)),
        ("Where", ", ".join(f"[{each}](../{each})" for each in control.files)),
        ("Not done", control.limits),
    ):
        if text:
            yield f"- {name}: {text}"
    counts = {each.id: each for each in (*shown.tests, *shown.campaigns)} if shown else {}
    for name, tests in (("Shown by", control.tests), ("Long proofs", control.campaigns)):
        if tests:
            yield f"- {name}:"
        for test in tests:
            found = counts.get(test)
            failed = f" ({found.failed} failed)" if found and found.failed else ""
            yield f"  - `{test}`{failed}"
    yield ""


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
