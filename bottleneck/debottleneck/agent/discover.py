"""Find stages in the user's own files: an AST pass when a module is compiled.

Functions with training names get a decorator; line numbers stay as they are. Files
outside the user's folders are compiled as always and pay nothing. `torch` and the
modules of `--stage` are met right after their import.
"""

from __future__ import annotations

import ast
import builtins
import fnmatch
import importlib.util
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, FunctionType, ModuleType
from typing import Any

from debottleneck.agent.names import stage_of
from debottleneck.agent.wrap import wrap

DECORATOR = "__debottleneck_mark__"
"""Name in builtins, so that the user's namespaces stay as they are."""

_BELOW = {"staticmethod", "classmethod", "abstractmethod", "override", "final"}
_NEVER = {"property", "cached_property", "setter", "getter", "deleter", "overload"}
_FOREIGN = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Hook = Callable[[ModuleType], None]
"""Is given a module that has just been imported."""


@dataclass(frozen=True)
class UserCode:
    """Which files are the user's own.

    Args:
        roots: Folders whose modules are, unless they hold installed packages.
        include: Further patterns, of a path or of a module's name.
        stages: Module -> {qualified name -> stage}, from `--stage`.
    """

    roots: tuple[str, ...]
    include: tuple[str, ...]
    stages: Mapping[str, Mapping[str, str]]

    def owns(self, path: str, module: str) -> bool:
        """Whether a module's functions are judged by their names."""
        path = os.path.abspath(path)
        if any(_matches(pattern, path, module) for pattern in self.include):
            return True
        if any(part in path for part in _FOREIGN) or path.startswith(_OURS):
            return False
        if path.startswith(_STANDARD):
            return False
        return any(path.startswith(root) for root in self.roots)


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
    source: bytes, path: str, named: Mapping[str, str], by_name: bool = True
) -> CodeType:
    """Compile a module with its stages marked.

    Args:
        source: The file's bytes, with whatever encoding cookie they have.
        path: Shown in tracebacks and reported as the stage's file.
        named: Qualified name -> stage, for functions the user named.
        by_name: Whether training names mark stages too.

    Raises:
        SyntaxError: As `compile` would raise it.
    """
    if DECORATOR.encode() in source:
        by_name, named = False, {}
    tree = compile(
        source, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True, optimize=-1
    )
    Marker(dict(named), by_name).visit(tree)
    assert isinstance(tree, ast.Module)
    return compile(tree, path, "exec", dont_inherit=True, optimize=-1)


class Marker(ast.NodeVisitor):
    """Adds the decorator to functions with training names; `marked` lists them.

    Args:
        named: Qualified name -> stage; these are marked whatever they are called.
        by_name: Whether names alone decide too.
    """

    def __init__(self, named: dict[str, str], by_name: bool) -> None:
        self.named = named
        self.by_name = by_name
        self.marked: list[tuple[str, str]] = []
        self._scope: list[str] = []
        self._owner: ast.ClassDef | None = None
        self._bases: dict[str, tuple[str, ...]] = {}

    def visit_ClassDef(self, node: ast.ClassDef) -> None:  # noqa: D102 - ast's name
        self._bases[node.name] = self._all_bases(node)
        outer, self._owner = self._owner, node
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        self._owner = outer

    def visit_FunctionDef(self, node: Function) -> None:  # noqa: D102 - ast's name
        qualified = ".".join((*self._scope, node.name))
        owner, self._owner = self._owner, None
        self._scope += [node.name, "<locals>"]
        self.generic_visit(node)
        del self._scope[-2:]
        self._owner = owner
        stage = self.named.get(qualified) or self._by_name(node, owner)
        if stage and not _NEVER & {_last_name(d) for d in node.decorator_list}:
            self.marked.append((qualified, stage))
            _decorate(node, stage, qualified)

    visit_AsyncFunctionDef = visit_FunctionDef

    def _by_name(self, node: Function, owner: ast.ClassDef | None) -> str | None:
        if not self.by_name:
            return None
        if owner is None:
            return stage_of(node.name)
        return stage_of(node.name, owner.name, self._bases[owner.name])

    def _all_bases(self, node: ast.ClassDef) -> tuple[str, ...]:
        """Bases as written, and theirs where the same file defines them."""
        own = tuple(ast.unparse(base) for base in node.bases)
        return own + tuple(b for base in own for b in self._bases.get(base, ()))


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _decorate(node: Function, stage: str, qualified: str) -> None:
    """Put the mark outermost, so that compilers below it see the plain function.

    Only staticmethod and its like stay outside of it, as they must.
    """
    decorators = node.decorator_list
    below = [i for i, d in enumerate(decorators) if _last_name(d) in _BELOW]
    place = below[-1] + 1 if below else 0
    call = ast.Call(
        func=ast.Name(id=DECORATOR, ctx=ast.Load()),
        args=[ast.Constant(stage), ast.Constant(qualified), ast.Constant(node.lineno)],
        keywords=[],
    )
    like = decorators[0] if decorators else node
    for part in ast.walk(call):
        if isinstance(part, ast.expr):
            part.lineno, part.end_lineno = like.lineno, like.lineno
            part.col_offset, part.end_col_offset = node.col_offset, node.col_offset
    decorators.insert(place, call)


def _mark(stage: str, name: str, line: int) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        if not isinstance(function, FunctionType):
            return function
        return wrap(function, stage, name=name, line=line)

    return decorate


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
    setattr(builtins, DECORATOR, _mark)
    plain = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        path = self.get_filename(fullname)
        named = code.stages.get(fullname, {})
        if not named and not code.owns(path, fullname):
            return plain(self, fullname)
        return compile_marked(
            self.get_data(path), path, named, code.owns(path, fullname)
        )

    setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010 - the place every finder shares
    sys.meta_path.insert(0, AfterImport(dict(after_import)))


class AfterImport:
    """A finder that steps in for a few modules only, to act after their import.

    Args:
        hooks: Module name -> what to do once it has been executed.
    """

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
    setattr(place, name, type(attribute)(marked) if is_method else marked)
    return True


def missing_target(module: str, qualified: str) -> str:
    """Why a `--stage` target cannot be found before anything runs, or ""."""
    if module in sys.builtin_module_names:
        return ""
    try:
        spec = _spec_of(module)
    except (ImportError, ValueError) as error:
        return f"no module {module!r} ({error})"
    if spec is None:
        return f"no module {module!r} on the script's path"
    if not isinstance(spec.loader, SourceFileLoader) or not spec.origin:
        return ""
    return missing_in_source(spec.origin, module, qualified)


def _spec_of(module: str) -> ModuleSpec | None:
    """Its spec; unlike `find_spec` alone, without importing the packages above it."""
    name, *inner = module.split(".")
    spec = importlib.util.find_spec(name)
    for part in inner:
        if spec is None or spec.submodule_search_locations is None:
            return None
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, spec.submodule_search_locations)
    return spec


def missing_in_source(path: str, module: str, qualified: str) -> str:
    """Why `qualified` is not in that file, or "" when it may well be."""
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    body: list[ast.stmt] = tree.body
    for part in qualified.split("."):
        definitions = [
            n
            for n in ast.walk(ast.Module(body, []))
            if isinstance(n, Function | ast.ClassDef) and n.name == part
        ]
        if not definitions:
            names = {n.asname or n.name for n in _imports(tree)}
            if part in names or "*" in names or not _is_plain(tree, part):
                return ""
            return f"{module!r} defines no {qualified!r}"
        body = definitions[0].body
    if isinstance(definitions[0], ast.ClassDef):
        return f"{qualified!r} is a class, not a function of it"
    return ""


def _imports(tree: ast.Module) -> list[ast.alias]:
    kinds = (ast.Import, ast.ImportFrom)
    return [a for n in ast.walk(tree) if isinstance(n, kinds) for a in n.names]


def _is_plain(tree: ast.Module, name: str) -> bool:
    """True when the name is not assigned either (as in `load = partial(...)`)."""
    assigned = {
        n.id
        for n in ast.walk(tree)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    return name not in assigned
