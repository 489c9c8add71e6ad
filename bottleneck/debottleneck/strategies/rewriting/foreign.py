"""What is read and changed; what calls of libraries do, the worst if not known."""

from __future__ import annotations

import functools
import inspect
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from debottleneck.strategies.conflicts import PLAIN, is_random
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.locations import (
    ALL,
    Effects,
    is_of_threads,
    is_shared,
    owner_of,
    reach,
)
from debottleneck.strategies.rewriting.values import (
    CONTAINERS,
    FRESH,
    NOTHING,
    Local,
    Method,
    Names,
    Over,
    Value,
    elements,
    holding,
    is_container,
    joined,
    kind_of,
    may_be,
    may_run,
    own_function,
)

Bound = dict[Any, dict[str, Value]]

ELEMENT = "[]"
"""Stands for any element of a container where an attribute does."""


class Touching:
    """Collects effects; what code has them, `callees.Callees` tells.

    Attributes:
        effects: So far.
        space: The globals of the code.
        beside: Whether another thread runs it.
    """

    space: dict[str, Any]
    beside: bool
    iterate: Callable[[Value], Value]
    call: Callable[..., Value]
    above: Callable[[list[Value]], Value]
    invoke: Callable[[Any, list[Value], Names], Value]
    operated: Callable[[Sequence[str], list[Value]], Value]
    inner: Callable[[Local, list[Value], Names], Value]
    follow: Callable[[Any, Names, Mapping[str, Any]], Value]

    def __init__(self, bound: Bound | None = None) -> None:
        self.effects = Effects()
        self._at: Bound = {} if bound is None else bound

    def note(self, owner: Any, attribute: str, write: bool) -> None:
        """A location is read or changed."""
        key = owner_of(owner)
        self.effects.held[id(owner)] = owner
        self.effects.bound = self.effects.bound or known.thread_bound(owner, write)
        kind = self.effects.writes if write else self.effects.reads
        kind.add((key, attribute))

    def hold(self, owner: Any, attribute: str, value: Value) -> None:
        """An attribute is bound to something that there was, or that may be called."""
        may = [one for one in value.each if one.roots or may_run(one.sample)]
        if may:
            there = self._at.setdefault(owner_of(owner), {})
            there[attribute] = joined([there.get(attribute, FRESH), *may])

    def as_bound(self, owner: Any, attribute: str, value: Value) -> Value:
        """What an attribute holds now, or any code binds to it."""
        there = self._at.get(owner_of(owner), {})
        more = [there[name] for name in (attribute, ALL) if name in there]
        return joined([value, *more]) if more else value

    def put(self, base: Value, given: Sequence[Value], at: str = ELEMENT) -> None:
        """A container holds these from now on; `at` tells which element, if one."""
        for one in base.each:
            if is_container(one.sample):
                one.sample.put(given)
            for holder in may_be(one):
                for value in given:
                    self.hold(holder, at if one.sample is not NOTHING else ALL, value)

    def read(self, value: Value, attribute: str = ALL) -> None:
        """An attribute of a value is used, or its content."""
        self._touch(value, attribute, write=False)

    def change(self, value: Value, attribute: str) -> None:
        """An attribute of a value is bound, or its content changes."""
        self._touch(value, attribute, write=True)

    def _touch(self, value: Value, attribute: str, write: bool) -> None:
        for one in value.each:  # these are not looked into
            if isinstance(one.sample, types.ModuleType):
                self.note(vars(one.sample), attribute, write)
            elif isinstance(one.sample, type | types.FunctionType):
                self.note(one.sample, attribute, write)
        content = attribute == ALL and not write
        for root in value.roots if content else value.changing:
            if value.exactly(root):
                self.note(root, attribute, write)
            else:
                self.deep(root, write)

    def read_all(self, value: Value) -> None:
        """All that a value holds may be used."""
        for root in value.roots:
            self.deep(root, write=False)

    def change_all(self, value: Value) -> None:
        """All that a value holds may change."""
        if all(isinstance(one.sample, PLAIN) for one in value.each):
            return
        for root in value.roots:
            self.deep(root, write=True)

    def deep(self, root: Any, write: bool) -> None:
        """Everything that an object holds is touched, or may hold later."""
        waiting, seen = [root], set[Any]()
        while waiting:
            for held in reach(waiting.pop()):
                self.note(held, ALL, write)
                owner = owner_of(held)
                if owner in self._at and owner not in seen:
                    seen.add(owner)
                    waiting += joined([*self._at[owner].values()]).roots


class Foreign(Touching):
    """Notes what calls of code do that is not the user's."""

    def function(
        self, function: Any, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A function of a library's."""
        name = getattr(function, "__name__", "")
        self._bound(known.bound_function(function))
        everything = [*given, *named.values()]
        before = len(self.effects.writes)
        self._handed(everything)
        if is_of_threads(function) and len(self.effects.writes) > before:
            self._bound(f"what {name} is given runs at a time of its own")
        if known.prints(function):
            file = named.get("file", Value.of(sys.stdout))
            self.change_all(file if file.roots else Value.of(sys.stdout))
        elif known.changes_outside(function) or known.opens_to_write(
            function, [*given[1:2], *named.values()]
        ):
            self.note(known.OUTSIDE, ALL, write=True)
        if known.draws_in_torch(function):
            own = named.get("generator", FRESH)
            self.change_all(own) if is_random(own.sample) else self.streams()
        found = self.operated(known.methods_called(function), everything)
        if found is not FRESH:
            return found
        goes_over = function in known.GOES_OVER
        if goes_over or name == "next":
            spread = [v for v in named.get("", FRESH).each if v.sample is not NOTHING]
            items = [self.iterate(one) for one in (*given, *spread) if one.roots]
            if name == "next":
                return joined(items)
            if function in (zip, enumerate, reversed, iter) and "" not in named:
                return Value(Over(tuple(given), function), joined(everything).roots)
        if "out" in named:
            self.change_all(named["out"])
        changes = not used and not known.changes_nothing(function)
        if changes or name in known.CHANGE_FIRST or name.endswith("_"):
            for value in everything if changes else given[:1]:
                self.change_all(value)
        if known.lists(function, name, everything):
            kind = kind_of(given[0]) if name == "copy" and given else list
            return holding(kind, [Value(NOTHING, joined(everything).roots)])
        aliases = known.may_alias(function, name, named, len(everything))
        if aliases or isinstance(function, type):
            return Value(NOTHING, joined(everything).roots)
        return FRESH

    def method(
        self, method: Method, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A method of a library's."""
        receiver, name = method.receiver, method.name
        kind = kind_of(receiver)
        is_thread = issubclass(kind, threading.Thread)
        if self.beside and (is_thread or is_of_threads(kind)):
            return self._passed_on(receiver, name, given)
        if method.function is None and receiver.sample is NOTHING:
            self._by_name(name, receiver, given, named)
        self.effects.stages |= known.stages(receiver.sample, name)
        everything = [*given, *named.values()]
        before = len(self.effects.writes)
        self._handed(everything)
        if is_shared(receiver.sample) and len(self.effects.writes) > before:
            self._bound(f"what {name} is given runs at a time of its own")
        if "out" in named:
            self.change_all(named["out"])
        if known.writes_file(receiver.sample, name):
            self.note(known.OUTSIDE, ALL, write=True)
        if known.is_reading(receiver.sample, name):
            self.read_all(receiver)
            aliases = known.may_alias(None, name, named, len(everything))
            if known.is_array(receiver.sample) and not aliases:
                return FRESH
            if name == "get" and kind is dict and receiver.sample:
                return joined([elements(receiver.sample, receiver.roots), *given[1:]])
            return Value(NOTHING, receiver.roots)
        self._bound(known.thread_bound(receiver.sample, write=True))
        if kind in CONTAINERS:
            self.put(receiver, everything)
            self._change_container(receiver, kind)
            return Value(NOTHING, joined([receiver, *everything]).roots)
        self.change_all(receiver)
        if not used or name in known.CHANGE_FIRST:
            for value in everything:
                self.change_all(value)
        parts = everything if is_random(receiver.sample) else [receiver, *everything]
        return Value(NOTHING, joined([FRESH, *parts]).roots)

    def _change_container(self, receiver: Value, kind: type) -> None:
        """What Python's own containers hold is not changed with them."""
        for root in receiver.changing:
            for held in reach(root):
                if type(held) is kind:
                    self.note(held, ALL, write=True)

    def _passed_on(self, receiver: Value, name: str, given: list[Value]) -> Value:
        """What other threads do with a queue or a thread; what it is given stays."""
        self._handed(given)
        kind = kind_of(receiver)
        if not issubclass(kind, threading.Thread):
            self.change(receiver, ALL)
        elif name == "start" and own_function(kind.run):
            self.invoke(kind.run, [receiver], {})
        return Value(NOTHING, receiver.roots)

    def _by_name(
        self, name: str, receiver: Value, given: list[Value], named: Names
    ) -> None:
        """A method of what is not known: of every class of the user's that has it."""
        if name.startswith("__"):
            return
        for kind in [v for v in self.space.values() if isinstance(v, type)]:
            method = vars(kind).get(name)
            if own_function(method):
                self.invoke(method, [receiver, *given], named)

    def _bound(self, why: str) -> None:
        self.effects.bound = self.effects.bound or why

    def _handed(self, everything: list[Value]) -> None:
        """What a library is given it uses; functions it calls, with the rest."""
        for value in everything:
            self.read_all(value)
        for value in everything:
            rest = {"": joined([other for other in everything if other is not value])}
            for one in value.each:
                self._called_back(one, rest)

    def _called_back(self, value: Value, rest: Names) -> None:
        sample = value.sample
        own = sample.function if isinstance(sample, Method) else sample
        bound = isinstance(sample, Local | types.MethodType | functools.partial)
        calls = inspect.getattr_static(kind_of(value), "__call__", None)
        if isinstance(sample, type):
            return
        if bound or own_function(own):
            self.call(value, [], rest)
        elif own_function(calls) and not isinstance(sample, Method):
            self.invoke(calls, [value], rest)

    def streams(self) -> None:
        """Torch's own generator is drawn from."""
        torch: Any = sys.modules.get("torch")
        if hasattr(torch, "default_generator"):
            self.note(torch.default_generator, ALL, write=True)
