"""What expressions may give, as far as that can be told without running them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.strategies.rewriting.locations import is_fixed

NOTHING: Any = object()
"""The sample of a value that is not known."""


@dataclass(frozen=True, eq=False)
class Value:
    """What an expression may give.

    Attributes:
        sample: Such an object, to tell its type; `NOTHING` where none is known.
        roots: Objects that it is, or is a part of; () for one made anew.
    """

    sample: Any = NOTHING
    roots: tuple[Any, ...] = ()

    @classmethod
    def of(cls, value: Any) -> Value:
        """That very object."""
        return cls(value, () if is_fixed(value) else (value,))

    def exactly(self, root: Any) -> bool:
        """Whether it is that root, not a part of it."""
        return root is self.sample


@dataclass(frozen=True, eq=False)
class Method:
    """A method and what it is called on."""

    function: Any
    receiver: Value
    name: str


@dataclass(frozen=True, eq=False)
class Made:
    """Stands for an instance that the code itself makes."""

    kind: type


FRESH = Value()


def joined(values: Sequence[Value]) -> Value:
    """What may be any of them, or made of them."""
    roots = {id(root): root for value in values for root in value.roots}
    known_samples = (v.sample for v in values if v.sample is not NOTHING)
    return Value(next(known_samples, NOTHING), tuple(roots.values()))


Names = dict[str, Value]


def kind_of(value: Value) -> type:
    """Its type, as far as that is known."""
    sample = value.sample
    return sample.kind if isinstance(sample, Made) else type(sample)


def plain_function(method: Any) -> Any:
    """A method as a function."""
    if isinstance(method, staticmethod | classmethod):
        method = method.__func__
    return method


def own_function(function: Any) -> bool:
    """Whether it is a function of the user's, or a method as its class holds it."""
    function = plain_function(function)
    if not isinstance(function, types.FunctionType):
        return False
    code = inspect.unwrap(function).__code__
    return is_own(code.co_filename, function.__module__ or "")


def method_or(found: Any, base: Value, name: str = "") -> Value:
    """A class's attribute as an instance has it."""
    if isinstance(found, staticmethod):
        return Value.of(found.__func__)
    if isinstance(found, classmethod):
        return Value(Method(found.__func__, Value(kind_of(base)), name))
    if isinstance(base.sample, type):
        return Value.of(found)
    if isinstance(found, types.FunctionType) and name:
        return Value(Method(found, base, name), base.roots)
    if name and (callable(found) or found is None):
        return Value(Method(None, base, name), base.roots)
    return Value.of(found)


def bound_names(function: Any, given: list[Value], named: Names) -> Names:
    """Parameters -> what they are given."""
    code = function.__code__
    count = code.co_argcount
    every = code.co_varnames[: count + code.co_kwonlyargcount]
    names: Names = dict(zip(code.co_varnames[:count], given, strict=False))
    defaults = function.__defaults__ or ()
    for name, value in zip(
        code.co_varnames[:count][::-1], defaults[::-1], strict=False
    ):
        names.setdefault(name, Value.of(value))
    for name, value in (function.__kwdefaults__ or {}).items():
        names.setdefault(name, Value.of(value))
    names |= {n: v for n, v in named.items() if n in every}
    names = {name: names.get(name, FRESH) for name in every}
    place = code.co_argcount + code.co_kwonlyargcount
    rest = joined([*given[count:], *named.values()])
    if code.co_flags & inspect.CO_VARARGS:
        names[code.co_varnames[place]] = Value(NOTHING, rest.roots)
        place += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        names[code.co_varnames[place]] = Value(NOTHING, rest.roots)
    return names
