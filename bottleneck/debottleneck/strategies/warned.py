"""Warnings that a process of ours would show: shown here, where it is known which were.

Python shows a warning once for each place, as its module remembers; a forked process
remembers for itself, and would show it again.
"""

from __future__ import annotations

import pickle
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

Warned = tuple[Any, str, int]
"""A warning, its file and line."""


def keep() -> Callable[[], tuple[Warned, ...]]:
    """Show nothing in this process from now on; gives what came since the last time."""
    kept: list[Warned] = []

    def shown(message: Any, _: Any, file: str, line: int, *__: Any) -> None:
        try:
            pickle.loads(pickle.dumps(message))
        except Exception:  # noqa: BLE001 - a user's warning may do anything here
            message = UserWarning(str(message))
        kept.append((message, file, line))

    def taken() -> tuple[Warned, ...]:
        found = tuple(kept)
        kept.clear()
        return found

    setattr(warnings, "showwarning", shown)  # noqa: B010 - narrower than its type
    return taken


def show(warned: Sequence[Warned]) -> None:
    """Give these warnings as if their code ran here.

    Raises:
        Warning: One that the script's filters make an error by now.
    """
    for message, file, line in warned:
        modules = [*sys.modules.values()]
        module = next((m for m in modules if getattr(m, "__file__", "") == file), None)
        registry = vars(module).setdefault("__warningregistry__", {}) if module else {}
        name = getattr(module, "__name__", None)
        warnings.warn_explicit(message, type(message), file, line, name, registry)
