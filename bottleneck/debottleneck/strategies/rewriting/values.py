"""What expressions may give, as far as that can be told without running them."""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting.locations import MOST_ELEMENTS, is_fixed, reach

NOTHING: Any = object()
"""The sample of a value that is not known."""


@dataclass(frozen=True, eq=False)
class Value:
    """What an expression may give.

    Attributes:
        sample: Such an object, to tell its type; `NOTHING` where none is known.
        before: Objects that it is, or is a part of; () for one made anew.
        others: All that it may be, where that differs in kind; () for one kind.
    """

    sample: Any = NOTHING
    before: tuple[Any, ...] = ()
    others: tuple[Value, ...] = ()

    @property
    def roots(self) -> tuple[Any, ...]:
        """Those before, and what the code has put into what it makes itself."""
        found = {id(root): root for one in self._within() for root in one.before}
        return tuple(found.values())

    def _within(self) -> Iterator[Value]:
        """It, and all that the code has put into it."""
        waiting, seen = [self], set[int]()
        while waiting:
            one = waiting.pop(0)
            if id(one) not in seen:
                seen.add(id(one))
                yield one
                waiting += [part for each in one.each for part in _put(each.sample)]

    @property
    def changing(self) -> tuple[Any, ...]:
        """What changes with it: nothing that something made anew only holds."""
        return self.before if isinstance(self.sample, Made) else self.roots

    @classmethod
    def of(cls, value: Any) -> Value:
        """That very object."""
        return cls(value, () if is_fixed(value) else (value,))

    def exactly(self, root: Any) -> bool:
        """Whether it is that root, not a part of it."""
        return any(root is one.sample for one in self.each)

    @property
    def known(self) -> bool:
        """Whether it is an object that there was before, not a part of one."""
        return any(root is self.sample for root in self.roots)

    @property
    def alone(self) -> bool:
        """Whether it is that very object, and can be no other."""
        return self.known and len(self.before) == 1

    @property
    def each(self) -> tuple[Value, ...]:
        """It as a value of one kind, or all that it may be."""
        return self.others or (self,)


Names = dict[str, Value]


@dataclass(frozen=True, eq=False)
class Method:
    """A method and what it is called on."""

    function: Any
    receiver: Value
    name: str


@dataclass(frozen=True, eq=False)
class Made:
    """Stands for an instance that the code itself makes.

    Attributes:
        held: What was put into it, by what tells it apart.
        attributes: What they were bound to.
    """

    kind: type
    held: dict[Any, Value] = field(default_factory=dict)
    attributes: Names = field(default_factory=dict)

    def put(self, values: Sequence[Value]) -> None:
        """These are held from now on."""
        for value in values:
            self.held.setdefault((id(value.sample), *map(id, value.before)), value)

    def set(self, name: str, value: Value) -> None:
        """It has them as an attribute, or what it had."""
        self.put([value])
        before = self.attributes.get(name)
        both = value if before is None else joined([value, before])
        self.attributes[name] = both


@dataclass(frozen=True, eq=False)
class Super:
    """Stands for what `super()` gives."""

    kind: type
    receiver: Value


@dataclass(frozen=True, eq=False)
class Over:
    """Stands for an iterator that the code itself makes, and what it goes over.

    Attributes:
        parts: What it goes over.
        kind: `zip`, `enumerate`, or another for one thing.
    """

    parts: tuple[Value, ...]
    kind: Any


@dataclass(frozen=True, eq=False)
class Parts:
    """Stands for a tuple that the code itself makes."""

    each: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Local:
    """Stands for a function that the code itself defines.

    Attributes:
        node: It.
        defaults: Of its parameters, by name.
        scope: Where it is defined.
    """

    node: ast.FunctionDef | ast.Lambda
    defaults: Names
    scope: dict[str, Any]


FRESH = Value()


MOST_KINDS = 8
"""Kinds of values that an expression may give and that are told apart."""


CONTAINERS = (list, dict, set, deque, bytearray)
"""Python's own, which change without what they hold."""


_DISPLAYS = {
    ast.List: list, ast.Set: set, ast.Dict: dict,
    ast.ListComp: list, ast.SetComp: set, ast.DictComp: dict,
}  # fmt: skip


def display_of(
    node: ast.expr, parts: Sequence[Value], made: dict[ast.expr, Made]
) -> Value:
    """What keeps its parts: a container made there, the same every time, or others."""
    kind = _DISPLAYS.get(type(node))
    if kind is None:
        return Value(NOTHING, joined(parts).roots)
    container = made.setdefault(node, Made(kind))
    container.put(parts)
    return Value(container)


def holding(kind: type, parts: Sequence[Value]) -> Value:
    """A new object that holds these."""
    made = Made(kind)
    made.put(parts)
    return Value(made)


def is_container(sample: Any) -> bool:
    """Whether it stands for one that the code itself makes."""
    return isinstance(sample, Made) and sample.kind in CONTAINERS


def _put(sample: Any) -> tuple[Value, ...]:
    """What the code itself has put into it."""
    if isinstance(sample, Made):
        return tuple(sample.held.values())
    return sample.each if isinstance(sample, Parts) else ()


def joined(values: Sequence[Value]) -> Value:
    """What may be any of them, or made of them."""
    every = [one for value in values for one in value.each]
    unknown = any(one.sample is NOTHING and one.before for one in every)
    kinds: dict[Any, Value] = {}
    for one in every:
        if one.sample is not NOTHING and not (unknown and _misleads(one.sample)):
            kinds.setdefault(_kind(one.sample), one)
    others = tuple(kinds.values())[:MOST_KINDS]
    kept = {id(one.sample) for one in others}
    roots = {
        id(root): root
        for one in (*values, *every)
        for root in (one.before if id(one.sample) in kept else one.roots)
    }
    sample = others[0].sample if others else NOTHING
    told = {id(root) for one in others for root in one.before}
    left = tuple(root for key, root in roots.items() if key not in told)
    if len(others) > 1 and left:
        others = (*others, Value(NOTHING, left))
    return Value(sample, tuple(roots.values()), others if len(others) > 1 else ())


def _misleads(sample: Any) -> bool:
    """Whether what is not known would be taken for what cannot change."""
    return is_container(sample) or isinstance(sample, PLAIN)


def of_each(value: Value, give: Callable[[Value], Value]) -> Value:
    """What is given for any of the kinds that a value may be."""
    found = [give(one) for one in value.each]
    return joined(found) if len(found) > 1 else found[0]


def part_of(value: Value, index: int, count: int) -> Value:
    """One of so many that a value is unpacked into."""
    return of_each(value, lambda one: _part_of(one, index, count))


def _part_of(value: Value, index: int, count: int) -> Value:
    sample = value.sample
    if isinstance(sample, Parts) and len(sample.each) == count:
        return sample.each[index]
    if not isinstance(sample, tuple | list) or len(sample) != count:
        return held_by(value)
    part = sample[index]
    return Value.of(part) if value.alone else Value(part, value.roots)


def held_by(value: Value) -> Value:
    """Any of what a value holds."""
    if is_container(value.sample) and not value.before:
        return joined([*value.sample.held.values()])
    return Value(NOTHING, value.roots)


def _kind(sample: Any) -> Any:
    """What tells samples apart: what is called as itself, others by type."""
    if isinstance(sample, Method):
        return id(sample.function), _kind(sample.receiver.sample)
    if isinstance(sample, Made) and not is_container(sample):
        return sample.kind
    if isinstance(sample, Made | Over | Parts | Local):
        return id(sample)
    if isinstance(sample, types.MethodType):
        return sample.__func__, type(sample.__self__)
    return id(sample) if callable(sample) else type(sample)


def may_run(sample: Any) -> bool:
    """Whether code runs when it, or a method of it, is called."""
    if isinstance(sample, Made | Method):
        return not is_container(sample)
    return sample is not NOTHING and (
        own_function(sample) or is_users(type(sample)) or isinstance(sample, type)
    )


def may_be(value: Value) -> list[Any]:
    """The objects that there were and that it may be, of its kind if that is known."""
    if value.alone or isinstance(value.sample, type | types.ModuleType):
        return [value.sample]
    held = [one for root in value.before for one in reach(root)]
    kind = type(value.sample)
    return [one for one in held if value.sample is NOTHING or type(one) is kind]


def elements(container: Any, roots: tuple[Any, ...]) -> Value:
    """Any element of a container."""
    values = container.values() if isinstance(container, Mapping) else container
    found = islice(iter(values), MOST_ELEMENTS)
    every = [Value(one, () if is_fixed(one) else roots) for one in found]
    if any(root is container for root in roots):  # those of other containers
        others = tuple(root for root in roots if root is not container)
        every += [Value(NOTHING, others)] * bool(others)
    return joined(every) if every else Value(NOTHING, roots)


def kind_of(value: Value) -> type:
    """Its type, as far as that is known."""
    sample = value.sample
    return sample.kind if isinstance(sample, Made) else type(sample)


def own_function(function: Any) -> bool:
    """Whether it is a function of the user's, or a method as its class holds it."""
    return users_function(function) is not None


def users_function(function: Any) -> types.FunctionType | None:
    """The user's own function that a function is, or that a library's wraps."""
    if isinstance(function, staticmethod | classmethod):
        function = function.__func__
    for _ in range(MOST_KINDS):
        if isinstance(function, types.FunctionType) and is_own(
            function.__code__.co_filename, function.__module__ or ""
        ):
            return function
        function = getattr(function, "__dict__", {}).get("__wrapped__")
    return None


def is_users(kind: type) -> bool:
    """Whether it is a class of the user's."""
    name = kind.__module__
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if file is None:
        return name not in sys.builtin_module_names
    return is_own(file, name)


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
    code, count = function.__code__, function.__code__.co_argcount
    most = count + code.co_kwonlyargcount
    flags = code.co_flags & inspect.CO_VARARGS, code.co_flags & inspect.CO_VARKEYWORDS
    values = function.__defaults__ or ()
    names = code.co_varnames[:count][::-1]
    defaults = dict(zip(names, values[::-1], strict=False))
    defaults |= function.__kwdefaults__ or {}
    more = code.co_varnames[most : most + sum(map(bool, flags))]
    kept = {name: Value.of(value) for name, value in defaults.items()}
    return _bound(code.co_varnames[:most], count, more, kept, given, named)


def given_to(function: Local, given: list[Value], named: Names) -> Names:
    """The same for one that the code itself defines."""
    spec = function.node.args
    placed = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
    names = (*placed, *(arg.arg for arg in spec.kwonlyargs))
    more = tuple(arg.arg for arg in (spec.vararg, spec.kwarg) if arg is not None)
    return _bound(names, len(placed), more, function.defaults, given, named)


def _bound(
    every: Sequence[str], count: int, more: Sequence[str], defaults: Names,
    given: list[Value], named: Names,
) -> Names:  # fmt: skip
    names: Names = dict(zip(every[:count], given, strict=False))
    names |= {n: v for n, v in named.items() if n in every}
    rest = Value(NOTHING, named[""].roots if "" in named else ())
    for name in every:  # of `*`, `**` and callbacks: any of those left
        if name not in names:
            names[name] = joined([defaults[name], rest] if name in defaults else [rest])
    left = Value(NOTHING, joined([*given[count:], *named.values()]).roots)
    return names | dict.fromkeys(more, left)
