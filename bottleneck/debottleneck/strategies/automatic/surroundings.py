"""What a function uses besides its arguments: globals, closures, class attributes.

Only what its own code names is found, not what the functions it calls use.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CellType, CodeType
from typing import Any

from debottleneck.strategies.conflicts import OPAQUE

_LIBRARIES = ("builtins", "torch", "numpy", "abc", "typing")
_HEAP_TYPE = 1 << 9
"""Flag of classes that Python code has made."""


@dataclass(frozen=True)
class Variable:
    """A name that can be bound anew: of a module, a class or a closure.

    Attributes:
        owner: The module's dict, the class, or the cell.
        name: Its name there.
    """

    owner: Any
    name: str

    @property
    def key(self) -> tuple[int, str]:
        """The same for the same variable."""
        return id(self.owner), self.name

    def value(self) -> Any:
        """What it is bound to now; None if to nothing."""
        if isinstance(self.owner, dict):
            return self.owner.get(self.name)
        if isinstance(self.owner, CellType):
            try:
                return self.owner.cell_contents
            except ValueError:  # not bound yet
                return None
        return self.owner.__dict__.get(self.name)


def variables(function: Callable[..., Any], values: Sequence[Any]) -> list[Variable]:
    """The variables that a call of the function may read or bind.

    Args:
        function: What the user wrote.
        values: The call's arguments, whose classes have attributes too.
    """
    found = [*_of_function(inspect.unwrap(function))]
    for kind in {type(value) for value in values}:
        found += _of_class(kind)
    return [each for each in found if not isinstance(each.value(), OPAQUE)]


def _of_function(function: Any) -> Iterator[Variable]:
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return
    space = function.__globals__
    for name in sorted(_names(code) & space.keys()):
        yield Variable(space, name)
    for cell in function.__closure__ or ():
        yield Variable(cell, "")


def _names(code: CodeType) -> set[str]:
    """Names in a function, and in lambdas and comprehensions inside it."""
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _of_class(kind: type) -> Iterator[Variable]:
    for each in kind.__mro__:
        library = each.__module__.partition(".")[0] in _LIBRARIES
        if library or not each.__flags__ & _HEAP_TYPE:
            continue
        for name, value in list(vars(each).items()):
            if not name.startswith("__") and not hasattr(value, "__get__"):
                yield Variable(each, name)
