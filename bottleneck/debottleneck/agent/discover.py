"""Find stages in the user's own files: an AST pass when a module is compiled.

Functions with training names get a decorator, which exchanges their code for one
with marks; line numbers stay as they are. Files outside the user's folders are
compiled as always and pay nothing. `torch` and the modules of `--stage` are met right
after their import.
"""

from __future__ import annotations

import ast
import fnmatch
import importlib.util
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from debottleneck.agent import evidence, written
from debottleneck.agent.aside import again
from debottleneck.agent.changes import ChangePoint
from debottleneck.agent.dataflow import Module, last_word
from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.inline import (
    PLACEHOLDER,
    Function,
    codes,
    fill,
    first_line,
    inline,
    without_warnings,
)
from debottleneck.agent.loops import prepare
from debottleneck.agent.names import stage_of
from debottleneck.agent.patches import put, undo_with
from debottleneck.agent.plans import LoopPlan, Prepared
from debottleneck.agent.points import results
from debottleneck.agent.turns import LoopPoint
from debottleneck.agent.wrap import Marking, wrap

if TYPE_CHECKING:
    from importlib.abc import Loader

_BELOW = {"staticmethod", "classmethod", "abstractmethod", "override", "final"}
_NEVER = {"property", "cached_property", "setter", "getter", "deleter", "overload"}
_FOREIGN = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

Hook = Callable[[ModuleType], None]
"""Is given a module that has just been imported."""


@dataclass(frozen=True)
class UserCode:
    """Which files are the user's own: neither installed, nor python's, nor ours.

    Args:
        include: Further patterns, of a path or of a module's name.
        stages: Module -> {qualified name -> stage}, from `--stage`.
    """

    include: tuple[str, ...]
    stages: Mapping[str, Mapping[str, str]]

    def owns(self, path: str, module: str) -> bool:
        """Whether a module's functions are judged by their names."""
        path = os.path.abspath(path)
        if any(_matches(pattern, path, module) for pattern in self.include):
            return True
        if any(part in path for part in _FOREIGN) or path.startswith(_OURS):
            return False
        return not path.startswith(_STANDARD) and os.path.basename(path)[:1] != "<"


_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD = tuple(
    {
        os.path.abspath(sysconfig.get_path(name)) + os.sep
        for name in ("stdlib", "platstdlib")
    }
)


def _matches(pattern: str, path: str, module: str) -> bool:
    return (
        fnmatch.fnmatch(path, pattern)
        or fnmatch.fnmatch(module, pattern)
        or module.startswith(pattern + ".")
        or path.startswith(os.path.abspath(pattern) + os.sep)
    )


def compile_marked(
    source: bytes,
    path: str,
    named: Mapping[str, str],
    by_name: bool = True,
    plain: CodeType | None = None,
) -> CodeType:
    """Compile a module with its stages marked.

    Args:
        source: The file's bytes, with whatever encoding cookie they have.
        path: Shown in tracebacks and reported as the stage's file.
        named: Qualified name -> stage, for functions the user named.
        by_name: Whether training names mark stages too.
        plain: The module as python compiles it, if that is known.

    Raises:
        SyntaxError: As `compile` would raise it.
    """
    if plain is None:
        plain = compile(source, path, "exec", dont_inherit=True, optimize=-1)
    if PLACEHOLDER[:-3].encode() in source:
        return plain
    limit = sys.getrecursionlimit()
    try:
        with without_warnings():
            sys.setrecursionlimit(limit * 4)  # compilers of a tree need more
            return _marked(source, path, named, by_name, plain) or plain
    except Exception as error:  # above all RecursionError, SyntaxError
        if of_a_handler(error):
            raise
        return plain  # what python compiles runs, marked or not
    finally:
        sys.setrecursionlimit(limit)


def _marked(
    source: bytes,
    path: str,
    named: Mapping[str, str],
    by_name: bool,
    plain: CodeType,
) -> CodeType | None:
    """The module's code; None when nothing in it is a stage or a loop."""
    lines = importlib.util.decode_source(source).splitlines()
    markings: dict[str, Marking] = {}
    user = _Wanted(source, path, named, by_name, lines)
    whole, prepared, others = _compiled(user, markings)
    points: dict[str, object] = {}
    points |= {p.placeholder: _point_of[0](p, path) for p in prepared.loops}
    points |= {p.placeholder: ChangePoint(p.path) for p in prepared.changes}
    points |= others
    if not points and not markings:
        return None
    written.remember(path, plain)
    if not markings:
        return fill(whole, points)
    within, *_ = _compiled(user, {}, prepared.module, inside=True)
    own, marked = codes(whole), codes(within)
    keys = {marking.key: marking for marking in markings.values()}
    inner = {key: own[key] for key in keys if key in own}
    for key, marking in keys.items():
        if key in marked and key in inner:
            marking.plain = inner[key]
            marking.code = fill(marked[key], {**points, **markings}, inner)
    return fill(whole, {**points, **markings})


Change = Callable[[ast.Module, str], dict[str, object]]
"""Changes a module's tree in place -> what it refers to, by placeholder."""

_changes: list[Change] = []
_point_of: list[Callable[[LoopPlan, str], LoopPoint]] = [LoopPoint]


def points_with(point_of: Callable[[LoopPlan, str], LoopPoint]) -> None:
    """Let this make what the code of each loop refers to, of its plan and file."""
    _point_of[:] = [point_of]


def prepare_with(change: Change) -> None:
    """Let a strategy change the tree of each module of the user's."""
    _changes[:] = [change]


@dataclass(frozen=True)
class _Wanted:
    """One module and what of it is to be marked, see `compile_marked`."""

    source: bytes
    path: str
    named: Mapping[str, str]
    by_name: bool
    lines: Sequence[str]


def _compiled(
    wanted: _Wanted,
    markings: dict[str, Marking],
    module: Module | None = None,
    inside: bool = False,
) -> tuple[CodeType, Prepared, dict[str, object]]:
    """The code with stages decorated and loops prepared; and what was prepared.

    Args:
        wanted: The module.
        markings: Filled with each decorator's placeholder and what stands there.
        module: What its names stand for, where that is known.
        inside: Whether the stages' functions have their marks within.
    """
    tree = again(SystemError, ast.parse, wanted.source, wanted.path)
    found = stages_in(tree, wanted.named, wanted.by_name)
    for number, (function, qualified, stage) in enumerate(found):
        point = PLACEHOLDER.format(number)
        marking = Marking(stage, qualified, function.lineno, point)
        marking.key = qualified, first_line(function)
        markings[f"decorator {point}"] = marking
        _decorate(function, f"decorator {point}")
        if inside:
            inline(function, number, told=bool(results))
    prepared, others = Prepared(), dict[str, object]()
    for change in _changes:
        others |= change(tree, wanted.path)
    if evidence.searching():
        asked = evidence.asked_line(wanted.path)
        prepared = prepare(tree, wanted.lines, PLACEHOLDER, module, asked)
    return compile(tree, wanted.path, "exec", 0, True, -1), prepared, others


def stages_in(
    tree: ast.Module, named: Mapping[str, str], by_name: bool
) -> list[tuple[Function, str, str]]:
    """Functions that mark a stage: node, qualified name, stage, as they stand.

    Args:
        tree: The module.
        named: Qualified name -> stage; these are marked whatever they are called.
        by_name: Whether names alone decide too.
    """
    found: list[tuple[Function, str, str]] = []
    bases: dict[str, tuple[str, ...]] = {}
    waiting: list[tuple[ast.AST, str, ast.ClassDef | None]] = [(tree, "", None)]
    while waiting:
        node, scope, owner = waiting.pop()
        inner, within = scope, owner
        if isinstance(node, ast.ClassDef):
            bases[node.name] = _all_bases(node, bases)
            inner, within = f"{scope}{node.name}.", node
        elif isinstance(node, Function):
            qualified = scope + node.name
            stage = named.get(qualified)
            if stage is None and by_name:
                of = (owner.name, bases[owner.name]) if owner else ()
                stage = stage_of(node.name, *of)
            never = _NEVER & {last_word(d) for d in node.decorator_list}
            if stage and not never:
                found.append((node, qualified, stage))
            inner, within = f"{qualified}.<locals>.", None
        children = [*ast.iter_child_nodes(node)]
        waiting += [(child, inner, within) for child in reversed(children)]
    return found


def _all_bases(
    node: ast.ClassDef, bases: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """Bases as written, and theirs where the same file defines them."""
    own = tuple(ast.unparse(base) for base in node.bases)
    return own + tuple(b for base in own for b in bases.get(base, ()))


def _decorate(node: Function, placeholder: str) -> None:
    """Put the mark outermost, so that compilers below it see the plain function.

    Only staticmethod and its like stay outside of it, as they must.
    """
    decorators = node.decorator_list
    below = [i for i, d in enumerate(decorators) if last_word(d) in _BELOW]
    place = below[-1] + 1 if below else 0
    decorator = ast.Constant(placeholder)
    like = decorators[0] if decorators else node
    decorator.lineno = decorator.end_lineno = like.lineno
    decorator.col_offset = decorator.end_col_offset = node.col_offset
    decorators.insert(place, decorator)


_installed: list[UserCode] = []


def is_own(path: str, module: str) -> bool:
    """Whether a file is the user's own code, once `install` was called."""
    return any(code.owns(path, module) for code in _installed)


def install(code: UserCode, after_import: Mapping[str, Sequence[Hook]]) -> None:
    """Mark user modules as they are imported, and call back after some imports.

    Args:
        code: Which files are the user's.
        after_import: Module name -> what to do once it has been executed.
    """
    _installed.append(code)
    plain = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        named = code.stages.get(fullname, {})
        if not named and not code.owns(path, fullname):
            return plain(self, fullname)
        compiled = plain(self, fullname)
        if compiled is None:
            return None
        source = self.get_data(path)
        return compile_marked(source, path, named, code.owns(path, fullname), compiled)

    _as_importing(get_code)
    put(SourceFileLoader, "get_code", get_code)  # the place every finder shares
    finder = AfterImport(dict(after_import))
    sys.meta_path.insert(0, finder)
    undo_with(_installed.clear)
    undo_with(partial(sys.meta_path.remove, finder))


def _as_importing(function: Callable[..., Any]) -> None:
    """Let tracebacks of what a module raises pass over it, as over importlib."""
    file = SourceFileLoader.get_filename.__code__.co_filename
    function.__code__ = function.__code__.replace(co_filename=file)


class AfterImport:
    """A finder that steps in for a few modules only, to act after their import."""

    def __init__(self, hooks: dict[str, Sequence[Hook]]) -> None:
        self._hooks = hooks

    def find_spec(
        self, name: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The usual spec, with the hook behind its loader's `exec_module`."""
        hooks = self._hooks.pop(name, None)
        if hooks is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            _hook_loader(spec.loader, hooks)
        return spec


def _hook_loader(loader: Loader, hooks: Sequence[Hook]) -> None:
    plain = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        plain(module)
        for hook in hooks:
            hook(module)

    _as_importing(exec_module)
    loader.exec_module = exec_module  # type: ignore[method-assign] # this instance only


def wrap_attribute(module: ModuleType, qualified: str, stage: str) -> bool:
    """Wrap what `--stage` names in a module that is not the user's source."""
    *owners, name = qualified.split(".")
    place: Any = module
    for owner in owners:
        place = getattr(place, owner, None)
    attribute = inspect.getattr_static(place, name, getattr(place, name, None))
    is_method = isinstance(attribute, staticmethod | classmethod)
    plain = attribute.__func__ if is_method else attribute
    if not callable(plain) or isinstance(plain, type):
        return False
    if getattr(plain, "__code__", None) and plain.__code__.co_name.startswith("["):
        return True
    label = f"{module.__name__}.{qualified}"
    marked: Any = wrap(plain, stage, kind="option", name=label)
    put(place, name, type(attribute)(marked) if is_method else marked)
    return True
