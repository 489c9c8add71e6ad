"""When a remedy acts: the one interface of all of them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol


class Remedy(Protocol):
    """What is made of (strategy, notes), and begins to act before the script does.

    What it does and why not, it says with `Notes.say`, and the lines of code that make
    it permanent with `Notes.keep`.
    """

    def after_torch(self, torch: ModuleType) -> None:
        """Torch was imported."""

    def stepped(self) -> None:
        """A step of the training loop begins; what this raises is raised there."""

    def close(self) -> None:
        """The script ends: undo it, and say what it came to."""


def patch(owner: Any, name: str, ours: Any) -> Callable[[], None]:
    """Put ours in place of a function of torch's; what takes it back."""
    plain = getattr(owner, name)
    setattr(owner, name, ours)

    def undo() -> None:
        if getattr(owner, name) is ours:
            setattr(owner, name, plain)

    return undo
