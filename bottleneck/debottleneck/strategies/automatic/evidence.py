"""What calls read and change, seen by looking before and after them.

While a strategy still learns, it looks at everything its calls can reach, before and
after each. What differs was changed. Calls of which one changes what another one
reaches have to keep their order.

Besides its arguments a call uses globals, closures and class attributes. Only what its
own code names is found, not what the functions it calls use.
"""

from __future__ import annotations

import array
import inspect
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CellType, CodeType
from typing import Any

from debottleneck.strategies import randomness
from debottleneck.strategies.conflicts import (
    OPAQUE,
    PLAIN,
    Reach,
    contents,
    is_buffer,
    is_random,
    is_tensor,
    reach,
    sharing,
    tensor_fingerprint,
)

MOST_HASHED = 1 << 25
"""Bytes of an array that are looked at; of a larger one, evenly spread elements."""

_LIBRARIES = ("builtins", "torch", "numpy", "abc", "typing")
_HEAP_TYPE = 1 << 9
"""Flag of classes that Python code has made."""


class Look:
    """What some values hold at this moment.

    Args:
        values: Arguments of a call, its receiver among them.
        bound: Variables that it may use besides.
    """

    def __init__(self, values: Sequence[Any], bound: Sequence[Variable] = ()) -> None:
        self.reach = reach(*values, *(variable.value() for variable in bound))
        self.reach.holders += bound
        held = [*self.reach.buffers, *self.reach.holders]
        self._prints = {identity(each): (each, fingerprint(each)) for each in held}

    @classmethod
    def of(cls, function: Callable[..., Any], values: Sequence[Any]) -> Look:
        """Everything that this call can reach, as far as can be seen."""
        return cls(values, variables(function, values))

    def again(self) -> Look:
        """What the same values hold now."""
        now = Look(())
        now._prints = {
            key: (each, fingerprint(each)) for key, (each, _) in self._prints.items()
        }
        return now

    def update(self, later: Look) -> None:
        """Take another look's values in, and what they held then."""
        self._prints.update(later._prints)

    def changed(self, later: Look) -> Reach:
        """What differs between two looks, of all that both have seen."""
        found = Reach()
        for key in self._prints.keys() & later._prints.keys():
            each, before = self._prints[key]
            if not _equal(before, later._prints[key][1]):
                kind = found.buffers if is_buffer(each) else found.holders
                kind.append(each)
        return found


def meet(changed: Reach, other: Reach) -> bool:
    """Whether what one call changed is within another one's reach."""
    theirs = {identity(each) for each in other.holders}
    if any(identity(each) in theirs for each in changed.holders):
        return True
    return sharing(changed.buffers, other.buffers)


def identity(each: Any) -> object:
    """The same for the same object, and for the same variable."""
    return each.key if isinstance(each, Variable) else id(each)


def fingerprint(value: Any) -> object:
    """Differs when a value's own content differs; what it refers to has its own."""
    if isinstance(value, Variable):
        return [value.value()]
    if is_tensor(value):
        return tensor_fingerprint(value)
    if isinstance(value, bytearray | array.array):
        return zlib.crc32(value), len(value)
    if is_buffer(value):
        return _of_array(value)
    if is_random(value):
        return randomness.state_of(value)
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return contents(value)
    names = getattr(value, "__dict__", {})
    return [*names.keys(), *names.values()]


def _of_array(value: Any) -> object:
    if value.dtype.hasobject:
        return list(value.ravel())
    numpy: Any = sys.modules["numpy"]
    if value.nbytes > MOST_HASHED:
        value = value.reshape(-1)[:: value.nbytes // MOST_HASHED + 1]
    raw = numpy.ascontiguousarray(value).reshape(-1).view("u1")
    return value.shape, zlib.crc32(raw)


def _equal(before: object, after: object) -> bool:
    """Lists hold what a value refers to: the same objects, or equal plain values."""
    if not (isinstance(before, list) and isinstance(after, list)):
        return before == after
    return len(before) == len(after) and all(
        one is other
        or (type(one) is type(other) and isinstance(one, PLAIN) and one == other)
        for one, other in zip(before, after, strict=True)
    )


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
