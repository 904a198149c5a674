"""Off-switches of the self-assessment: what a report may call shown, and who has signed it."""

from typing import Final

from tests.off_switches.switch import Switch

_REPORT: Final = "tests/assessment/test_report.py::"

ASSESSMENT: Final = (
    Switch(
        "a control whose test was skipped or not run is not shown",
        "T12",
        "server/assessment/report.py",
        "if not tests or any(test.skipped or not test.passed for test in tests):",
        f"{_REPORT}test_a_skipped_or_missing_test_never_shows_a_control",
    ),
    Switch(
        "one case that fails fails its control",
        "T12",
        "server/assessment/report.py",
        "if any(test.failed for test in (*tests, *campaigns)):",
        f"{_REPORT}test_one_case_that_fails_fails_the_control",
    ),
)
