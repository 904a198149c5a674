"""`riskgate controls map|report|verify`: which control answers which rule, and what shows it."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from server.commands.options import DataDir

if TYPE_CHECKING:
    from server.assessment.report import Report

controls = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Controls, rules and the tests that show them."
)
# Where `make test` leaves what the tests have shown.
RESULTS_FILE: Final = Path(".cache") / "tests.xml"
PAGE_FILE: Final = Path("docs") / "controls.md"
ENVELOPE_FILE: Final = "controls.dsse.json"

JUnit = Annotated[
    Path | None,
    typer.Option("--junit", help=f"JUnit file of pytest; absent: {RESULTS_FILE}."),
]


@controls.command("map")
def write_map(
    junit: JUnit = None,
    out: Annotated[
        Path | None, typer.Option("--out", help=f"File to write; absent: {PAGE_FILE}.")
    ] = None,
) -> None:
    """Write the page of controls, with the results of the last run of the tests, if any."""
    from server.assessment.control_map import load_map
    from server.assessment.page import render_page

    root = _find_project()
    has_results = junit is not None or (root / RESULTS_FILE).exists()
    report = _make_report(root, junit or root / RESULTS_FILE) if has_results else None
    path = out or root / PAGE_FILE
    path.write_text(render_page(load_map()[0], report), encoding="utf-8")
    typer.echo(path)


@controls.command()
def report(
    out: Annotated[Path, typer.Option("--out", help="Folder for the report; made if missing.")],
    junit: JUnit = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run the tests of all controls first; takes minutes.")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Private key that signs; absent: the data directory's witness."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write what the tests have shown of every control: Markdown, and JSON in a signed envelope."""
    from server.assessment.control_map import load_map
    from server.assessment.page import render_page
    from server.assessment.report import sign_report
    from server.security.keys import WITNESS_KEY_FILE, load_private_key

    if run and junit is not None:
        raise typer.BadParameter("--run makes its own results: leave --junit out")
    signer = load_private_key(key or _keys_of(data_dir) / WITNESS_KEY_FILE)
    root = _find_project()
    out.mkdir(parents=True, exist_ok=True)
    if run:
        junit = out / "tests.xml"
        _run_tests(root, junit)
    made = _make_report(root, junit or root / RESULTS_FILE)
    (out / ENVELOPE_FILE).write_bytes(sign_report(made, signer))
    (out / "controls.json").write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "controls.md").write_text(render_page(load_map()[0], made), encoding="utf-8")
    typer.echo(f"{out / ENVELOPE_FILE}: {_describe(made)}")


@controls.command()
def verify(
    file: Annotated[Path, typer.Argument(help=f"The {ENVELOPE_FILE} of a report.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Public key of the signer; absent: that of the data directory."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Verify the signature of a report and say what it says; status 1 if it cannot be believed."""
    from server.assessment.report import open_report
    from server.errors import PreconditionError
    from server.security.keys import WITNESS_PUBLIC_KEY_FILE, load_public_key

    signer = load_public_key(key or _keys_of(data_dir) / WITNESS_PUBLIC_KEY_FILE)
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise PreconditionError(f"{file} cannot be read") from error
    found = open_report(raw, signer)
    typer.echo(f"signed, made at {found.made_at}: {_describe(found)}")
    for control in found.controls:
        if control.result != "passed":
            typer.echo(f"  {control.result}: {control.id}")


def _keys_of(data_dir: Path | None) -> Path:
    from server.settings import load_settings

    return load_settings(data_dir=data_dir).data_dir / "keys"


def _find_project() -> Path:
    """Return the root of the project that this was installed from, with its tests."""
    import server
    from server.errors import PreconditionError

    root = Path(server.__path__[0]).parent
    if not (root / "tests").is_dir():
        raise PreconditionError(
            "the tests are not here: run this in the project, not an installation"
        )
    return root


def _run_tests(root: Path, junit: Path) -> None:
    """Run the tests of all controls; what fails stands in the results."""
    import subprocess
    import sys

    from server.assessment.control_map import load_map
    from server.errors import PreconditionError

    tests = sorted({test for each in load_map()[0].controls for test in each.tests})
    junit.unlink(missing_ok=True)
    words = [sys.executable, "-m", "pytest", "-q", f"--junit-xml={junit.resolve()}", *tests]
    done = subprocess.run(words, cwd=root, check=False)
    # 0: all passed, 1: some failed. Anything else is no run of these tests.
    if done.returncode not in {0, 1}:
        raise PreconditionError(f"pytest ended with status {done.returncode}: no results to report")


def _make_report(root: Path, junit: Path) -> "Report":
    from datetime import UTC, datetime
    from importlib.metadata import version

    from server.assessment.control_map import load_map
    from server.assessment.report import make_report
    from server.assessment.run_results import read_results

    controls_map, digest = load_map()
    results = read_results(junit)
    return make_report(
        controls_map,
        digest,
        results,
        root=root,
        release=version("riskgate"),
        made_at=datetime.fromtimestamp(int(time.time()), UTC).isoformat(),
        tested_ns=junit.stat().st_mtime_ns,
    )


def _describe(found: "Report") -> str:
    totals = found.totals
    text = (
        f"{totals['passed']} controls passed, {totals['failed']} failed, "
        f"{totals['not shown']} not shown; tested at {found.tested_at[:19]}"
    )
    if found.changed_since:
        text += f"; changed since then: {', '.join(found.changed_since[:3])} …"
    return text
