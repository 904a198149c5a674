"""What a run of the tests has shown, read from the JUnit file that pytest writes."""

from collections import defaultdict
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple
from xml.etree import ElementTree as ET

from server.errors import PreconditionError

# In the order of severity: of several outcomes of one case the worst counts.
Outcome = Literal["failed", "skipped", "passed"]
_ORDER: Final[tuple[Outcome, ...]] = ("failed", "skipped", "passed")
_BYTES_MAX: Final = 1 << 28


class RunResults(NamedTuple):
    """Outcomes of one run.

    Attributes:
        cases: By test id without parameters: the outcome of each case, by its full name.
        started_at: As the file says it; empty without.
        sha256: Of the file.
    """

    cases: dict[str, dict[str, Outcome]]
    started_at: str
    sha256: str

    def count(self, outcome: Outcome) -> int:
        """Return how many cases of the whole run came out so."""
        return sum(each == outcome for cases in self.cases.values() for each in cases.values())


def read_results(path: Path) -> RunResults:
    """Read a JUnit file of pytest.

    Raises:
        PreconditionError: It is missing, too large, or no such file.
    """
    try:
        raw = path.read_bytes()
        if len(raw) > _BYTES_MAX:
            raise PreconditionError(f"{path} is larger than any run of the tests")
        # Who can write this file can write the tests' sources too; expat bounds expansion.
        root = ET.fromstring(raw)  # noqa: S314
    except OSError as error:
        raise PreconditionError(
            f"{path} cannot be read: run `make test`, or name a JUnit file of pytest"
        ) from error
    except ET.ParseError as error:
        raise PreconditionError(f"{path} is no JUnit file: {error}") from error
    cases: dict[str, dict[str, Outcome]] = defaultdict(dict)
    for case in root.iter("testcase"):
        name = case.get("name", "")
        test = f"{case.get('classname', '').replace('.', '/')}.py::{name.partition('[')[0]}"
        outcomes = (cases[test].get(name, "passed"), _outcome_of(case))
        cases[test][name] = min(outcomes, key=_ORDER.index)
    suites = list(root.iter("testsuite"))
    started_at = min((suite.get("timestamp", "") for suite in suites), default="")
    return RunResults(dict(cases), started_at, sha256(raw).hexdigest())


def _outcome_of(case: ET.Element) -> Outcome:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"
