"""The rooms of the package: who may import whom, and what is heavy at the door."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bottleneck" / "debottleneck"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

BASE = {"errors", "words", "version"}
MIDDLE = BASE | {"recording"}
SIBLINGS = {"agent", "collect", "analysis", "strategies"}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    "recording": MIDDLE,
    **{room: MIDDLE | {room} for room in SIBLINGS},
    "strategies": MIDDLE | {"strategies", "agent"},
    "prediction": MIDDLE | {"analysis", "strategies", "prediction"},
    "trials": MIDDLE | SIBLINGS | {"trials", "prediction"},
    "selfcheck": MIDDLE | SIBLINGS | {"selfcheck"},
    "report": MIDDLE | SIBLINGS | {"trials", "selfcheck", "prediction", "report"},
    "commands": MIDDLE
    | SIBLINGS
    | {"trials", "selfcheck", "prediction", "report", "commands"},
    "__main__": {"commands"},
}
"""Room -> the rooms of ours it may import; `debottleneck/__init__` is the front."""

ONLY_IN = {
    "plotly": {"report"},
    "jinja2": {"report"},
    "rich": {"report"},
    "yappi": {"agent"},
    "torch": {"agent", "strategies"},
    "pandas": set(MAY_IMPORT) - {"agent", "strategies"} - BASE,
    "numpy": set(MAY_IMPORT) - {"agent"} - BASE,
    "pyarrow": set(MAY_IMPORT) - {"agent", "strategies"} - BASE,
    "msgspec": {"recording"},
}
"""Library -> the rooms that may import it."""

LINES = {
    "agent": 9_880,  # 2,900 for loops; 410 DataLoaders, accelerators; 390 for ranks
    "collect": 5_300,  # 650 for running processes, 170 of them for ranks; 95 live
    "recording": 3_097,  # 700 for files from strangers: annotations, limits, secrets
    "analysis": 7_036,  # 1,250 for lines, what marks take; 900 for loaders
    "strategies": 13_680,  # 8,740 rewrite loops, with what they bind late
    "prediction": 2_924,  # 350 say what is worth it, 230 read virtual speed-ups
    "trials": 3_782,  # the gate's runs, state and files compared; disturbed rounds
    "selfcheck": 1_335,
    "report": 7_460,  # 350 for rows that are lines, 390 in one look, 370 for ranks
    "commands": 2_107,  # 420 for check, attach, notebooks; 115 for ranks
}
"""Room -> lines it may have. Who needs more deletes something, or argues it here."""

WHOLE, TESTS = 56_840, 45_980
"""Lines of the package and of the tests; less than all rooms may have together."""


def room(path: Path) -> str:
    """The room a module lies in: its folder, or itself at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def label(path: Path) -> str:
    """The module as the map names it."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names of everything a module imports, lazily or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{label(path)}:{node.lineno} imports relatively"
            module = node.module or ""
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def rooms_imported(path: Path) -> set[str]:
    """The rooms of ours that a module imports."""
    parts = [name.split(".") for name in imports(path)]
    ours = {part[1] for part in parts if part[0] == "debottleneck" and len(part) > 1}
    return {name for name in ours if (PACKAGE / name).is_dir()} | {
        name for name in ours if (PACKAGE / f"{name}.py").is_file()
    }


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_imports_run_one_way(path: Path) -> None:
    """A module imports only rooms below its own."""
    if path == PACKAGE / "__init__.py":
        return
    assert room(path) in MAY_IMPORT, f"give {room(path)} a place in MAY_IMPORT"
    assert rooms_imported(path) <= MAY_IMPORT[room(path)]


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room(path) == "agent"], ids=label
)
def test_the_agent_takes_the_formats_only(path: Path) -> None:
    """Of the room in the middle the agent knows the spool's formats alone."""
    taken = {n for n in imports(path) if n.startswith("debottleneck.recording.")}
    assert {name.split(".")[2] for name in taken} <= {"spool"}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    """Plotly is for reports, yappi for the agent; the agent takes no pandas."""
    libraries = {name.partition(".")[0] for name in imports(path)}
    misplaced = {
        library
        for library in libraries & set(ONLY_IN)
        if room(path) not in ONLY_IN[library]
    }
    assert not misplaced


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room(path) == "agent"], ids=label
)
def test_agent_is_standard_library(path: Path) -> None:
    """The agent lives in foreign processes: standard library, yappi, torch."""
    allowed = {*sys.stdlib_module_names, "debottleneck", "yappi", "torch"}
    assert {name.partition(".")[0] for name in imports(path)} <= allowed


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room(path) == "agent"], ids=label
)
def test_agent_imports_libraries_late(path: Path) -> None:
    """No module of the agent imports yappi or torch when it is loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        *(alias.name for node in top for alias in node.names),
        *(node.module or "" for node in top if isinstance(node, ast.ImportFrom)),
    }
    assert not {name.partition(".")[0] for name in names} & {"yappi", "torch"}


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_modules_and_functions_stay_small(path: Path) -> None:
    """A module has at most 400 lines, a function at most 50."""
    text = path.read_text(encoding="utf-8")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    long = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds) and (node.end_lineno or 0) - node.lineno >= 50
    }
    assert not long
    assert text.count("\n") <= 400


def lines_of(paths: Iterable[Path]) -> int:
    """Lines of these files together."""
    return sum(path.read_bytes().count(b"\n") for path in paths)


def test_rooms_and_the_whole_stay_within_their_lines() -> None:
    """Each room, the package and the tests."""
    assert set(LINES) == {room(path) for path in MODULES if path.parent != PACKAGE}
    lines = {name: lines_of((PACKAGE / name).rglob("*.py")) for name in LINES}
    assert {name: n for name, n in lines.items() if n > LINES[name]} == {}
    assert lines_of(MODULES) <= WHOLE
    assert lines_of((ROOT / "tests").rglob("*.py")) <= TESTS


def test_a_public_class_has_a_name_of_its_own() -> None:
    """One name, one class: nobody has to ask which of them is meant."""
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(label(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


LIBRARY = [
    path
    for path in MODULES
    if room(path) == "strategies" and not {"remedies", "rewriting"} & {*path.parts}
]


@pytest.mark.parametrize("path", LIBRARY, ids=label)
def test_the_strategies_library_needs_no_agent(path: Path) -> None:
    """What users import knows nothing of how it is applied to unedited scripts."""
    assert not {name for name in imports(path) if ".agent" in name}


def on_the_map() -> set[str]:
    """Modules with a row in `debottleneck/README.md`, below their folder's heading."""
    folder, found = "", set()
    for line in (PACKAGE / "README.md").read_text(encoding="utf-8").splitlines():
        _, name, *_ = *line.split("`"), "", ""
        if line.startswith("## "):
            folder = name
        elif line.startswith("| `"):
            found.add(folder + name)
    return found


def does_nothing(path: Path) -> bool:
    """Whether it is an `__init__.py` of a docstring only."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return path.name == "__init__.py" and all(isinstance(n, ast.Expr) for n in body)


@pytest.mark.parametrize("path", MODULES, ids=label)
def test_every_module_is_on_the_map(path: Path) -> None:
    """The map has a row for each module."""
    if does_nothing(path):
        return
    folders = {parent.as_posix() + "/" for parent in path.relative_to(PACKAGE).parents}
    names = {label(path)} | (folders if path.name == "__init__.py" else set())
    assert names & on_the_map()


def test_the_map_names_only_what_is_there() -> None:
    """The map has no row for a module that is gone."""
    there = {label(path) for path in MODULES}
    there |= {f"{label(path.parent)}/" for path in MODULES if path.parent != PACKAGE}
    assert on_the_map() <= there


def loaded_by(statement: str) -> set[str]:
    """What a fresh interpreter has loaded after `statement`, but not before it."""
    bare, after = _loaded("pass"), _loaded(statement)
    return after - bare


def _loaded(statement: str) -> set[str]:
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n{statement}\n"
    code += "print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def foreign(loaded: set[str]) -> set[str]:
    """The libraries among them that have to be installed."""
    tops = {name.partition(".")[0] for name in loaded}
    return tops - sys.stdlib_module_names - {"debottleneck"}


@pytest.mark.each_python
def test_import_is_standard_library_only() -> None:
    """`import debottleneck` loads nothing that has to be installed."""
    names = "stage, step, load_recording, prefetch, parallel_forward, parallel_update"
    assert foreign(loaded_by(f"from debottleneck import {names}")) == set()


@pytest.mark.each_python
def test_the_middle_room_opens_lightly() -> None:
    """Importing it loads nothing heavy, and a recording loads without its makers."""
    assert foreign(loaded_by("import debottleneck.recording")) == set()
    loaded = loaded_by("from debottleneck.recording.assemble import load")
    loaded -= loaded_by("import debottleneck")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("debottleneck.")}
    assert rooms <= MIDDLE
    assert foreign(loaded).isdisjoint({"plotly", "rich", "jinja2", "yappi", "torch"})


@pytest.mark.each_python
@pytest.mark.parametrize("option", ["--help", "--version", "profile --help"])
def test_nothing_heavy_at_the_door(option: str) -> None:
    """Help and version answer from the standard library alone."""
    lines = [
        "from debottleneck.commands import main",
        f"try: code = main({option.split()!r})",
        "except SystemExit as end: code = end.code",
        "assert not code, code",
    ]
    assert foreign(loaded_by("\n".join(lines))) == set()


def test_pandas_imports_in_the_repository() -> None:
    """The source root does not pass for PyData's bottleneck (DESIGN, section 2)."""
    command = [sys.executable, "-W", "error", "-c", "import pandas"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fire_door() -> None:
    """Importing the source root says whose name it is, and what ours is."""
    code = "import sys; sys.path.insert(0, '.'); import bottleneck"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: ")
    assert "PyData" in last
    assert "debottleneck" in last
