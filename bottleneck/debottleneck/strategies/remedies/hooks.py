"""When a remedy acts: the one interface of all of them.

Each module of this folder has `make(strategy, notes) -> Hooks`, which begins to act
before the script does. What it does and why not, it says with `Notes.say`, and the
lines of code that make it permanent with `Notes.keep`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


def _nothing(*_: object) -> None:
    """Nothing is to be done then."""


@dataclass(frozen=True)
class Hooks:
    """What a remedy does later on.

    Attributes:
        after_torch: Is given torch, once it is imported.
        stepped: Called where a step of the training loop begins; what it raises is
            raised there.
        close: Called at the script's end: undoes it, and says what it came to.
    """

    after_torch: Callable[[ModuleType], None] = _nothing
    stepped: Callable[[], None] = _nothing
    close: Callable[[], None] = _nothing


def patch(owner: Any, name: str, ours: Any) -> Callable[[], None]:
    """Put ours in place of a function of torch's; what takes it back."""
    plain = getattr(owner, name)
    setattr(owner, name, ours)

    def undo() -> None:
        if getattr(owner, name) is ours:
            setattr(owner, name, plain)

    return undo
