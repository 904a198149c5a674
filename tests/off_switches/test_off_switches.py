"""Controls are what they are said to be: without one of them, a test turns red.

The short form keeps the list from rotting. The campaign switches off one control at a time, in a
copy of the project, and runs the test that is named for it.
"""

import ast
import re
import shutil
from collections import Counter

import pytest

from tests.off_switches.project_copy import ROOT, ProjectCopy
from tests.off_switches.switch import Switch
from tests.off_switches.switches import SWITCHES

NAMES = [switch.name.replace(" ", "-") for switch in SWITCHES]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the campaign copies the files that git tracks, and this is no work tree")
    return ProjectCopy(tmp_path_factory.mktemp("off"))


@pytest.fixture(scope="module")
def sound(request: pytest.FixtureRequest, copy: ProjectCopy) -> set[str]:
    """Return the tests, of those that this run will need, that pass with nothing switched off."""
    chosen = {
        item.callspec.params["switch"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.function is test_without_the_control_its_test_turns_red
    }
    tests = sorted({switch.test for switch in SWITCHES if switch in chosen})
    outcomes = copy.run(tests)
    return {
        test
        for test in tests
        if {outcome.kind for outcome in outcomes if outcome.is_of(test)} == {"passed"}
    }


def test_there_are_enough_and_no_two_alike() -> None:
    assert len(SWITCHES) >= 30
    assert Counter(NAMES).most_common(1)[0][1] == 1
    assert Counter((each.file, each.text) for each in SWITCHES).most_common(1)[0][1] == 1


@pytest.mark.parametrize("switch", SWITCHES, ids=NAMES)
def test_a_switch_names_a_threat_a_text_that_is_there_once_and_a_test(switch: Switch) -> None:
    assert re.fullmatch(r"T([1-9]|1[0-9])", switch.threat)
    source = (ROOT / switch.file).read_text(encoding="utf-8")
    assert source.count(switch.text) == 1
    changed = source.replace(switch.text, switch.replacement)
    assert changed != source
    if switch.file.endswith(".py"):
        ast.parse(changed)
    file, _, name = switch.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("switch", SWITCHES, ids=NAMES)
def test_without_the_control_its_test_turns_red(
    switch: Switch, copy: ProjectCopy, sound: set[str]
) -> None:
    assert switch.test in sound, f"not passed with nothing switched off: {switch.test}"
    outcomes = copy.run_without(switch)
    red = [outcome for outcome in outcomes if outcome.kind == "failed"]
    if switch.said:
        assert any(switch.said in outcome.said for outcome in red), outcomes
    else:
        assert any(outcome.is_refusal_missed for outcome in red), outcomes
    assert not any(outcome.kind in {"error", "skipped"} for outcome in outcomes), outcomes
