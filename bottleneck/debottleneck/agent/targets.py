"""What `--stage` names, looked for before anything of the script runs."""

from __future__ import annotations

import ast
import importlib.util
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader

from debottleneck.agent.inline import Function


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
