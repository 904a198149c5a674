"""The map of controls names only what exists, and leaves no reason out."""

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from google.protobuf import descriptor_pool
from typer.main import get_command

from riskgate.v1 import types_pb2
from server import cli
from server.assessment.control_map import MAP_FILE, ControlMap, load_map
from server.assessment.page import render_page, strip_results

ROOT: Final = Path(__file__).parents[2]
# 2xx who and what, 3xx inputs, 4xx limits, 5xx breakers and halts, 8xx bounds.
CONTROLLED: Final = (2, 3, 4, 5, 8)


@cache
def found_map() -> ControlMap:
    return load_map()[0]


@cache
def names_in(name: str) -> frozenset[str]:
    path = ROOT / name
    if not path.exists():
        return frozenset()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    return name in names_in(path)


def test_every_test_that_is_named_exists() -> None:
    assert exists("tests/assessment/test_control_map.py::test_every_test_that_is_named_exists")
    assert not exists("tests/assessment/test_control_map.py::test_of_nothing")
    assert sorted({test for test in found_map().list_tests() if not exists(test)}) == []


def test_every_control_has_a_test() -> None:
    assert [control.id for control in found_map().controls if not control.tests] == []


def test_every_reason_is_a_control_or_operational() -> None:
    controlled = {reason for control in found_map().controls for reason in control.reasons}
    known = controlled | set(found_map().operational)
    wanted = {
        name.removeprefix("REASON_"): number
        for name, number in types_pb2.Reason.items()
        if number // 100 in CONTROLLED
    }
    assert sorted(set(wanted) - known) == []
    assert sorted(controlled & set(found_map().operational)) == []


def test_every_source_asks_for_a_control() -> None:
    asked = {key for control in found_map().controls for key in control.sources}
    assert sorted(set(found_map().sources) - asked) == []


def test_every_call_command_and_file_exists() -> None:
    for path in (ROOT / "riskgate" / "v1").glob("*_pb2.py"):
        importlib.import_module(f"riskgate.v1.{path.stem}")
    pool: Any = descriptor_pool.Default()
    wrong = list[str]()
    for control in found_map().controls:
        for call in control.calls:
            service, _, method = call.partition("/")
            try:
                found = pool.FindServiceByName(f"riskgate.v1.{service}").FindMethodByName(method)
            except KeyError:
                wrong.append(call)
            else:
                assert found is not None
        wrong += [command for command in control.commands if not _is_command(command)]
        wrong += [file for file in control.files if not (ROOT / file).exists()]
    assert wrong == []


def _is_command(words: str) -> bool:
    group: Any = get_command(cli.app)
    for word in words.split():
        group = group.get_command(None, word)
        if group is None:
            return False
    return True


def test_the_committed_page_is_what_the_map_makes() -> None:
    page = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    made = render_page(found_map())
    assert strip_results(page) == strip_results(made), "run `riskgate controls map`"


def _raw_map() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load(MAP_FILE.read_text(encoding="utf-8"))
    return raw


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"sources": ["nobody"]}, "sources are not listed: nobody"),
        ({"reasons": ["NO_REASON"]}, "reasons do not exist: NO_REASON"),
        ({"id": "kill"}, "ids are there twice: kill"),
        ({"tests": ["test_without_a_file"]}, "tests"),
        ({"tets": []}, "tets"),
        ({"sources": []}, "sources"),
    ],
)
def test_a_map_that_names_what_is_not_there_is_refused(
    change: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    raw = _raw_map()
    raw["controls"][0].update(change)
    path = tmp_path / "controls.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with pytest.raises(ValueError, match=problem):
        load_map(path)
