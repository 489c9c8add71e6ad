"""Marking a module when it is compiled: what gets the decorator, and what stays."""

from __future__ import annotations

import ast
import importlib
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from debottleneck.agent import discover, targets
from debottleneck.agent.discover import UserCode, compile_marked
from debottleneck.agent.inline import PLACEHOLDER
from debottleneck.agent.wrap import Marking


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, int]]:
    """What the decorator was applied to: (qualified name, stage, line), in order."""
    seen: list[tuple[str, str, int]] = []

    class Applied(Marking):
        def __call__(self, function: Any) -> Any:
            seen.append((self.name, self.stage, self.line))
            return function

    monkeypatch.setattr(discover, "Marking", Applied)
    return seen


def run(source: str | bytes, named: dict[str, str] | None = None) -> dict[str, Any]:
    """The namespace of a module compiled with its stages marked."""
    text = source.encode() if isinstance(source, str) else source
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile_marked(text, "example.py", named or {}), namespace)
    return namespace


SOURCE = '''\
"""A module."""
from __future__ import annotations

import functools


def load_batch(size):
    return size


async def fetch(
    url,
):
    return url


class Adam(dict):
    @functools.lru_cache
    def step(self): ...

    @staticmethod
    def forward(x):
        def loss(y):
            return y
        return loss(x)

    @classmethod
    @functools.wraps(load_batch)
    def backward(cls, x):
        return x

    @property
    def criterion(self):
        return 1

    class DataReader:
        def __iter__(self):
            yield 1

    update = None


def step(): ...


def train(update=lambda: None):
    for load in range(3):
        pass
'''


def test_training_names_get_the_decorator(applied: list[tuple[str, str, int]]) -> None:
    """Functions, methods, inner ones and coroutines: each by its name and class."""
    namespace = run(SOURCE)
    namespace["Adam"].forward(1)
    assert applied == [
        ("load_batch", "load", 7),
        ("fetch", "load", 11),
        ("Adam.step", "update", 19),
        ("Adam.forward", "forward", 22),
        ("Adam.backward", "backward", 29),
        ("Adam.DataReader.__iter__", "load", 37),
        ("Adam.forward.<locals>.loss", "loss", 23),
    ]


def test_static_and_class_methods_stay_outermost(
    applied: list[tuple[str, str, int]],
) -> None:
    """They still work through the class and through an instance."""
    made = run(SOURCE)["Adam"]
    assert isinstance(vars(made)["forward"], staticmethod)
    assert isinstance(vars(made)["backward"], classmethod)
    assert made().forward(3) == made.forward(3) == 3
    assert made().backward(3) == made.backward(3) == 3


@pytest.mark.parametrize("kind", ["property", "functools.cached_property", "x.setter"])
def test_properties_are_never_marked(kind: str) -> None:
    """A property that is called like a stage is an attribute, not a stage."""
    tree = ast.parse(f"class A:\n    @{kind}\n    def loss(self): ...")
    assert discover.stages_in(tree, {"A.loss": "loss"}, True) == []


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object's functions and classes, at every depth."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes(constant)


def shape(code: CodeType) -> tuple[object, ...]:
    """What a traceback, a debugger or a pickle by code would notice."""
    return (
        code.co_qualname,
        code.co_firstlineno,
        code.co_filename,
        sorted({line for _, _, line in code.co_lines() if line}),
    )


def test_lines_and_bodies_stay_as_they_are() -> None:
    """Every function keeps its first line and its code; every line stays its own."""
    plain = compile(SOURCE, "example.py", "exec", dont_inherit=True)
    marked = compile_marked(SOURCE.encode(), "example.py", {})
    before, after = list(codes(plain)), list(codes(marked))
    assert [shape(code) for code in after] == [shape(code) for code in before]
    functions = [
        (one.co_code, two.co_code)
        for one, two in zip(before, after, strict=True)
        if one.co_names[:1] != ("__name__",) and one.co_name != "forward"
    ]
    assert all(one == two for one, two in functions)
    assert set(shape(marked)[3]) == set(shape(plain)[3])


@pytest.mark.parametrize("module", ["json.decoder", "tokenize", "pickle", "argparse"])
def test_the_standard_librarys_lines_stay_too(module: str) -> None:
    """Real modules of many lines keep every function's place."""
    path = Path(importlib.import_module(module).__file__ or "")
    source = path.read_bytes()
    plain = compile(source, str(path), "exec", dont_inherit=True)
    named = {
        f"{node.name}": "load"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }
    marked = compile_marked(source, str(path), named)
    after = [shape(code) for code in codes(marked)]
    assert after == [shape(code) for code in codes(plain)]


@pytest.mark.parametrize(
    "source",
    [
        "# -*- coding: latin-1 -*-\ntext = 'é'\ndef load(): return text\n".encode(
            "latin-1"
        ),
        "\ufefftext = 'é'\ndef load(): return text\n".encode(),
        "text = 'é'\r\ndef load(): return text\r\n".encode(),
    ],
    ids=["cookie", "byte order mark", "line ends"],
)
def test_encodings_are_pythons_own(
    applied: list[tuple[str, str, int]], source: bytes
) -> None:
    """A cookie, a byte order mark and other line ends are understood."""
    assert run(source)["load"]() == "é"
    assert [name for name, _, _ in applied] == ["load"]


def test_future_imports_and_docstrings_stay_first(
    applied: list[tuple[str, str, int]],
) -> None:
    """Annotations stay text when the module asks for it, and only then."""
    asking = run('"""Doc."""\nfrom __future__ import annotations\ndef load(x: y): ...')
    assert asking["__doc__"] == "Doc."
    assert asking["load"].__annotations__ == {"x": "y"}
    assert run("def load(x: int): ...")["load"].__annotations__ == {"x": int}


@pytest.mark.parametrize("source", ["def load(:\n", "return 1", "x = \0", "def é("])
def test_a_syntax_error_is_compiles_own(source: str) -> None:
    """What does not compile fails as it would under plain python."""
    with pytest.raises((SyntaxError, ValueError)) as plain:
        compile(source, "example.py", "exec")
    with pytest.raises(type(plain.value)) as marked:
        compile_marked(source.encode(), "example.py", {})
    assert str(marked.value) == str(plain.value)


def test_named_functions_are_marked_whatever_they_are_called(
    applied: list[tuple[str, str, int]],
) -> None:
    """`--stage` overrides the name; without rules by name nothing else is marked."""
    source = "class A:\n    def go(self): ...\n    def load(self): ...\n"
    run(source, {"A.go": "update", "A.load": "augment"})
    assert applied == [("A.go", "update", 2), ("A.load", "augment", 3)]
    applied.clear()
    code = compile_marked(source.encode(), "e.py", {"A.go": "update"}, by_name=False)
    exec(code, {"__name__": "e"})
    assert applied == [("A.go", "update", 2)]


def test_bases_in_the_same_file_count() -> None:
    """A class below one that is an nn.Module is a module too; so with optimizers."""
    source = """
class Base(nn.Module): ...
class Net(Base):
    def forward(self): ...
class MyAdam(Optimizer): ...
class Mine(MyAdam):
    def step(self): ...
class Env(Base):
    def step(self): ...
"""
    found = discover.stages_in(ast.parse(source), {}, True)
    assert [rest for _, *rest in found] == [["Mine.step", "update"]]


def test_source_that_holds_a_placeholder_is_left_alone() -> None:
    """A file that mentions what stands for our objects is compiled as it is."""
    source = f"def load(): return {PLACEHOLDER!r}\n"
    assert run(source)["load"]() == PLACEHOLDER


@pytest.mark.parametrize("rest", [" + 1" * 900, ".real" * 900, ".conjugate()" * 400])
def test_long_expressions_are_no_obstacle(
    applied: list[tuple[str, str, int]], rest: str
) -> None:
    """What python compiles is compiled, and its stages are found."""
    run(f"x = 1\nx = x{rest}\ndef load(): ...\n")
    assert [name for name, *_ in applied] == ["load"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder; import hooks and modules are put back afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(SourceFileLoader, "get_code", SourceFileLoader.get_code)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_user_modules_are_marked_when_imported(
    folder: Path, applied: list[tuple[str, str, int]]
) -> None:
    """The user's modules are marked; of installed ones those that are asked for."""
    own, other = folder / "own", folder / "site-packages"
    for place, module in [(own, "mine"), (other, "foreign"), (other, "asked")]:
        place.mkdir(exist_ok=True)
        (place / f"{module}.py").write_text("def load(): ...\ndef go(): ...\n")
    sys.path[:0] = [str(own), str(other)]
    stages = {"asked": {"go": "update"}}
    discover.install(UserCode(("nothing*",), stages), {})
    mine, *_ = map(importlib.import_module, ["mine", "foreign", "asked"])
    assert applied == [("load", "load", 1), ("go", "update", 2)]
    assert mine.load.__module__ == "mine"
    assert mine.load() is None


def test_a_hook_runs_once_after_its_module(folder: Path) -> None:
    """The callback sees the finished module; one that is missing is still missing."""
    (folder / "late_module.py").write_text("value = 1\n")
    seen: list[int] = []
    hooks = {
        "late_module": [lambda module: seen.append(module.value)],
        "no_such_module_x": [print],
    }
    discover.install(UserCode((), {}), hooks)
    first = importlib.import_module("late_module")
    assert importlib.import_module("late_module") is first
    assert seen == [1]
    assert list(hooks) == ["late_module", "no_such_module_x"]
    with pytest.raises(ModuleNotFoundError, match="no_such_module_x"):
        importlib.import_module("no_such_module_x")


@pytest.mark.parametrize(
    ("path", "module", "owned"),
    [
        ("/home/ada/project/train.py", "train", True),
        ("/home/ada/project/deep/er/data.py", "deep.er.data", True),
        ("/elsewhere/on/the/path/data.py", "data", True),
        ("<frozen runpy>", "runpy", False),
        ("/home/ada/project/.venv/lib/python3.11/site-packages/np.py", "np", False),
        ("/usr/lib/python3/dist-packages/np.py", "np", False),
        ("/opt/site-packages/shared/reader.py", "reader", True),
        ("/opt/site-packages/tools.py", "team.tools", True),
        ("/opt/site-packages/teams.py", "teams", False),
        ("/srv/site-packages/code/deep/x.py", "x", True),
    ],
)
def test_which_files_are_the_users(path: str, module: str, owned: bool) -> None:
    """Whatever is not installed; or included by path, folder or module."""
    include = ("/opt/site-packages/shared/*.py", "team", "/srv/site-packages/code")
    assert UserCode(include, {}).owns(path, module) is owned


def test_the_standard_library_and_ours_are_not_the_users() -> None:
    """Neither is code to be marked, wherever it lies."""
    user = UserCode((), {})
    standard = Path(sysconfig.get_path("stdlib")) / "json" / "decoder.py"
    assert not user.owns(str(standard), "json.decoder")
    assert not user.owns(discover.__file__, "debottleneck.agent.discover")


def module_with(source: str) -> ModuleType:
    """A module made of source, as one that was compiled without marks."""
    module = ModuleType("made")
    exec(source, module.__dict__)
    return module


def is_marked(function: Any) -> bool:
    """Whether a function is a stage's wrapper."""
    code = getattr(function, "__code__", None)
    return code is not None and code.co_name.startswith("[stage ")


def test_an_attribute_is_wrapped_once_and_keeps_its_kind() -> None:
    """`--stage` reaches builtins and methods, which work as before."""
    module = module_with("""
from math import sqrt
class A:
    def go(self): return 1
    @staticmethod
    def plain(x): return x
    @classmethod
    def whole(cls, x): return cls, x
""")
    for name in ("sqrt", "A.go", "A.plain", "A.whole"):
        assert discover.wrap_attribute(module, name, "load")
    made, once = module.A, module.sqrt
    assert is_marked(module.sqrt)
    assert is_marked(made.go)
    assert (module.sqrt(9), made().go()) == (3, 1)
    assert made.plain(1) == made().plain(1) == 1
    assert made.whole(2) == made().whole(2) == (made, 2)
    assert discover.wrap_attribute(module, "sqrt", "load")
    assert module.sqrt is once


@pytest.mark.parametrize("name", ["A", "A.loss", "A.missing", "missing.go"])
def test_what_is_no_function_is_not_wrapped(name: str) -> None:
    """Wrapping a class or a property would change what the script sees."""
    module = module_with("class A:\n    @property\n    def loss(self): return 3\n")
    made = module.A
    assert not discover.wrap_attribute(module, name, "load")
    assert module.A is made
    assert made().loss == 3


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("data:load", ""),
        ("data:Reader.next_rows", ""),
        ("data:Reader.inner.made", ""),
        ("data:partial_load", ""),
        ("data:decode", ""),
        ("data:lode", "'data' defines no 'lode'"),
        ("data:Reader.lode", "'data' defines no 'Reader.lode'"),
        ("data:Reader", "is a class"),
        ("dota:load", "no module 'dota' on the script's path"),
        ("data.inner:load", "no module 'data.inner'"),
        ("time:sleep", ""),
        ("stars:loads", ""),
    ],
)
def test_targets_are_looked_for_before_the_run(
    folder: Path, target: str, why: str
) -> None:
    """A `--stage` that names nothing is found out without importing anything."""
    (folder / "data.py").write_text(
        "from functools import partial\nfrom json import loads as decode\n"
        "def load(): ...\npartial_load = partial(load)\n"
        "class Reader:\n    def next_rows(self): ...\n"
        "    class inner:\n        async def made(self): ...\n"
        "raise SystemExit('imported')\n"
    )
    (folder / "stars.py").write_text("from json import *\n")
    module, _, qualified = target.partition(":")
    found = targets.missing_target(module, qualified)
    assert why in found
    assert bool(why) == bool(found)
