"""Every reason that an answer can have has an index, a name and a test that reaches it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from riskgate.v1 import types_pb2
from server.hotpath import reasons
from server.hotpath.reasons import (
    CAP_RUNS,
    CHECK_UNITS,
    R_BATCH_DENIED,
    R_FENCED,
    R_JOURNAL_FAILED,
    R_JOURNAL_FULL,
    REASON_CODES,
    REASONS_MAX,
)

TESTS: Final = Path(__file__).parents[1]
# The twin's random worlds reach all others, in test_twin.py, and count how often.
REACHED_ELSEWHERE: Final = {
    R_BATCH_DENIED: "services/test_decision_port.py",
    R_JOURNAL_FULL: "faults/test_disk_full.py",
    R_JOURNAL_FAILED: "faults/test_sync_errors.py",
    R_FENCED: "journal/test_fencing.py",
}
NAMES: Final = {index: name for name, index in vars(reasons).items() if name.startswith("R_")}


def _asserted_names(path: Path) -> Iterator[str]:
    """Yield the names that stand in assertions of a test file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assert):
            for part in ast.walk(node):
                if isinstance(part, ast.Name | ast.Attribute):
                    yield part.id if isinstance(part, ast.Name) else part.attr


def test_every_reason_of_the_interface_has_one_index_and_one_name() -> None:
    numbers = dict(types_pb2.Reason.items())
    numbers.pop("REASON_UNSPECIFIED")
    assert sorted(REASON_CODES) == sorted(numbers.values())
    assert len(REASON_CODES) <= REASONS_MAX
    named = {name.removeprefix("REASON_"): code for name, code in numbers.items()}
    ours = {name.removeprefix("R_"): REASON_CODES[index] for index, name in NAMES.items()}
    assert ours == named


def test_every_limit_on_size_says_its_unit() -> None:
    limits = {reason for first, last in CAP_RUNS for reason in range(first, last + 1)}
    assert limits <= CHECK_UNITS.keys()


def test_a_reason_that_no_random_world_reaches_is_asserted_by_a_test_of_its_own() -> None:
    for reason, path in REACHED_ELSEWHERE.items():
        name = NAMES[reason].removeprefix("R_")
        asserted = set(_asserted_names(TESTS / path))
        assert {f"R_{name}", f"REASON_{name}"} & asserted, f"{path} asserts {name}"
