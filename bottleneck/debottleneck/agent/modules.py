"""Modules that the script must not find loaded: its own of the same name come first."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from importlib.machinery import PathFinder
from types import ModuleType

import debottleneck

_ALWAYS_OURS = frozenset({"threading"})
"""The interpreter itself knows one such module, which is not loaded twice."""


def give_way(started: frozenset[str], libraries: list[str]) -> None:
    """Take out what we have loaded where the script's path has another in front.

    What we have imported stays ours. So that the script's is not taken for ours
    later on, all of ours is loaded first.
    """
    hidden = {name for name in sys.stdlib_module_names - started if _is_hidden(name)}
    if not hidden:
        return
    path, sys.path[:] = sys.path[:], libraries
    _load_all_of_ours()
    sys.path[:] = path
    loaded = {
        name: module
        for name, module in sys.modules.items()
        if name not in started and _top(name) in sys.stdlib_module_names
    }
    leaving = {name for name in loaded if _top(name) in hidden}
    size = 0
    while size != len(leaving):
        size = len(leaving)
        uses = {name for name, module in loaded.items() if _uses(module, leaving)}
        leaving |= uses - _ALWAYS_OURS
    for name in leaving:
        del sys.modules[name]


def _top(name: str) -> str:
    return name.partition(".")[0]


def _is_hidden(name: str) -> bool:
    """Whether a file in front of the standard library has a module's name."""
    if name in sys.builtin_module_names:
        return False
    library = os.path.dirname(os.__file__)
    front = []
    for entry in sys.path:
        if entry.startswith(library):
            break
        front.append(entry or os.getcwd())
    spec = PathFinder.find_spec(name, front)
    return spec is not None and spec.loader is not None


def _uses(module: ModuleType, names: set[str]) -> bool:
    """Whether a module has imported one of these, or something from it."""
    return any(
        (value.__name__ if isinstance(value, ModuleType) else home) in names
        for value in vars(module).values()
        if isinstance(home := getattr(value, "__module__", ""), str)
    )


def _load_all_of_ours() -> None:
    for room in ("agent", "strategies"):
        package = sys.modules.get(f"{debottleneck.__name__}.{room}")
        if package is None:
            continue
        prefix = f"{package.__name__}."
        for found in pkgutil.walk_packages(package.__path__, prefix):
            if not found.name.endswith(".entry"):
                importlib.import_module(found.name)
