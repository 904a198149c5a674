"""The house rules that no linter knows, as ordinary tests.

They read the sources only; a broken rule names file and line.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

from server.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("server", "trainer", "riskgate", "demo", "benchmarks", "tests")
FILE_LINES_MAX = 400
LANE_LINES_MAX = 200
FUNCTION_LINES_MAX = 70
FORBIDDEN_FILE_WORDS = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}

# Who may import what: the package, and the folders or files of `server` that may.
MAY_IMPORT = {
    "redis": (
        "server/publisher.py",
        "server/loaders/redis_connection.py",
        "server/loaders/redis_state.py",
        "server/loaders/redis_epoch.py",  # fencing must not hang on the feed
        "server/loaders/redis_journal.py",  # entries for a standby on another machine
        "server/loaders/redis_replica.py",  # what each engine runs
        "server/embedded/",
    ),
    "psycopg": ("server/record/", "server/loaders/postgres_state.py", "server/embedded/"),
    "psycopg_pool": ("server/record/",),
    "onnxruntime": ("server/loaders/",),
    "onnx": ("server/loaders/",),
    "fastapi": ("server/gateway/",),
    "starlette": ("server/gateway/",),
    "uvicorn": ("server/gateway/",),
    "numba": ("server/hotpath/",),
    "llvmlite": ("server/hotpath/",),
}
# Where C functions are called from kernels.
CALLS_C = ("server/hotpath/lane/", "server/hotpath/libc.py")
HOTPATH_IMPORTS = {"numpy", "numba", "llvmlite"}
# Of the standard library, what could wait, allocate or look outside inside a decision.
HOTPATH_REFUSED = {"asyncio", "threading", "socket", "subprocess", "logging", "random", "requests"}

# Written in pieces, so that this file passes its own test.
MACHINE_TRACES = [
    re.compile(r"(?<![\w.])/" + folder + r"/\w")
    for folder in ("wo" + "rk", "ro" + "ot", "ho" + "me")
] + [
    re.compile(host.replace("|", ""))
    for host in ("py|pi\\.org", "python|hosted", "docker|\\.io", "gh|cr\\.io", "qu|ay\\.io")
]
TEXT_SUFFIXES = {
    *(".py", ".pyi", ".md", ".toml", ".yaml", ".yml", ".proto", ".sql", ".lua"),
    *(".in", ".lock", ".txt", ".json", ""),
}


def _is_generated(path: Path) -> bool:
    return path.is_relative_to(ROOT / "riskgate" / "v1")


def _sources(*packages: str) -> list[Path]:
    found = chain.from_iterable((ROOT / name).rglob("*.py") for name in packages)
    return sorted(path for path in found if not _is_generated(path))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_when_counted_then_hold_one_idea_each() -> None:
    long = {
        _name(path): lines
        for path in _sources(*PACKAGES)
        if (lines := path.read_text(encoding="utf-8").count("\n")) > FILE_LINES_MAX
    }
    assert long == {}


def test_lane_and_wire_when_counted_then_their_modules_stay_small() -> None:
    long = [
        _name(path)
        for path in _sources("server")
        if _name(path).startswith(("server/hotpath/lane/", "server/hotpath/wire/"))
        and path.name != "fields.py"  # written by `make proto`
        and path.read_text(encoding="utf-8").count("\n") >= LANE_LINES_MAX
    ]
    assert long == []


def test_functions_when_measured_then_fit_a_screen() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in _sources(*PACKAGES)
        for node in _functions(_tree(path))
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_when_named_then_say_what_they_are_about() -> None:
    vague = [
        _name(path)
        for path in _sources(*PACKAGES)
        if FORBIDDEN_FILE_WORDS & set(path.stem.lower().split("_"))
    ]
    assert vague == []


def test_modules_when_opened_then_say_what_they_are_for() -> None:
    silent = [
        _name(path)
        for path in _sources("server", "trainer", "riskgate", "demo", "benchmarks")
        if not ast.get_docstring(_tree(path))
    ]
    assert silent == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_server_when_it_imports_a_dependency_then_only_where_it_belongs(package: str) -> None:
    astray = [
        f"{_name(path)}:{line} imports {module}"
        for path in _sources("server")
        for line, module in _imports(_tree(path))
        if module.split(".")[0] == package and not _name(path).startswith(MAY_IMPORT[package])
    ]
    assert astray == []


def test_hotpath_when_it_imports_then_only_numpy_numba_and_itself() -> None:
    astray = []
    for path in _sources("server/hotpath"):
        for line, module in _imports(_tree(path)):
            top = module.split(".")[0]
            allowed = (
                top in HOTPATH_IMPORTS
                or module.startswith("server.hotpath")
                or (top == "ctypes" and _name(path).startswith(CALLS_C))
                or (top in sys.stdlib_module_names and top not in HOTPATH_REFUSED | {"ctypes"})
            )
            if not allowed and module != "server":
                astray.append(f"{_name(path)}:{line} imports {module}")
    assert astray == []


@pytest.mark.parametrize(
    ("package", "foreign"),
    [
        ("server", {"trainer", "demo", "tests", "benchmarks"}),
        ("trainer", {"server", "demo", "tests", "benchmarks"}),
        ("riskgate", {"server", "trainer", "demo", "tests", "benchmarks"}),
    ],
)
def test_packages_when_they_import_then_never_each_other(package: str, foreign: set[str]) -> None:
    astray = [
        f"{_name(path)}:{line} imports {module}"
        for path in _sources(package)
        for line, module in _imports(_tree(path))
        if module.split(".")[0] in foreign
    ]
    assert astray == []


@pytest.mark.parametrize("package", ["server", "trainer", "riskgate"])
def test_modules_when_followed_then_form_no_cycle(package: str) -> None:
    modules = {}
    for path in _sources(package):
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {
        name: {
            module
            for node in _tree(path).body
            for _, module in _imports(node)
            if module in modules and module != name and not name.startswith(f"{module}.")
        }
        for name, path in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_supervisor_when_imported_then_loads_no_grpc_onnxruntime_or_numba() -> None:
    # A process that has loaded them cannot safely start others.
    code = "import server.supervisor, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "server" in loaded
    assert loaded & {"grpc", "onnxruntime", "onnx", "numba", "llvmlite"} == set()


def test_server_when_it_speaks_then_never_prints() -> None:
    printing = [
        f"{_name(path)}:{node.lineno}"
        for path in _sources("server", "riskgate")
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def _own_files() -> Iterator[Path]:
    skipped = {".git", ".venv", ".cache", "__pycache__", "build", "dist", ".hypothesis"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden_run = parts[0].startswith(".riskgate")
        if hidden_run or skipped & set(parts) or any(part.endswith(".egg-info") for part in parts):
            continue
        if path.is_file() and path.suffix in TEXT_SUFFIXES:
            yield path


def test_files_when_searched_then_name_no_machine_and_no_registry() -> None:
    traces = [
        f"{_name(path)}:{number} {pattern.pattern}"
        for path in _own_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for pattern in MACHINE_TRACES
        if pattern.search(line)
    ]
    assert traces == []


def _documented(docstring: str) -> list[str]:
    """Names in the Args section of a Google style docstring."""
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if section is None:
        return []
    lines = [line for line in section.group(1).splitlines() if line.strip()]
    indent = len(lines[0]) - len(lines[0].lstrip())
    entries = [line.strip() for line in lines if len(line) - len(line.lstrip()) == indent]
    names = chain.from_iterable(entry.partition(":")[0].split(",") for entry in entries)
    return [name.strip().lstrip("*").partition(" ")[0] for name in names]


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    found = node.args
    named = [*found.posonlyargs, *found.args, *found.kwonlyargs]
    return {item.arg for item in (*named, found.vararg, found.kwarg) if item is not None}


def _class_parameters(node: ast.ClassDef) -> set[str]:
    names = {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            names |= _parameters(item)
    return names


def test_docstrings_when_they_name_parameters_then_these_exist() -> None:
    wrong = []
    for path in _sources("server", "trainer", "riskgate", "demo", "benchmarks"):
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.ClassDef):
                known = _class_parameters(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                known = _parameters(node)
            else:
                continue
            unknown = set(_documented(ast.get_docstring(node) or "")) - known
            wrong += [f"{_name(path)}:{node.lineno} {node.name}: {name}" for name in unknown]
    assert wrong == []


def test_settings_when_listed_then_the_documentation_has_the_same_table() -> None:
    rows = [
        f"| `{name}` | {'' if field.default is None else f'`{field.default}`'} "
        f"| {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("| `")] == rows


def test_lock_file_when_read_then_every_package_is_pinned_with_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pins) > 30
    assert all(re.fullmatch(r"[\w.\[\],-]+==[\w.+!]+( ; .+)? \\", line) for line in pins), pins
    blocks = re.split(r"\n(?=\S)", text)
    assert all("--hash=sha256:" in block for block in blocks if "==" in block.split("\n")[0])


def test_changelog_when_read_then_starts_with_what_is_not_released() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## Unreleased$", text, re.MULTILINE)
