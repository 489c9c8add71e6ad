"""Calls: which code they go to, on the live objects."""

from __future__ import annotations

import builtins
import functools
import inspect
import types
from typing import Any

from debottleneck.agent.names import stage_of
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.foreign import Follows, Foreign
from debottleneck.strategies.rewriting.locations import ALL, closure, is_of_threads
from debottleneck.strategies.rewriting.touching import Touching
from debottleneck.strategies.rewriting.values import (
    NOTHING,
    Made,
    Method,
    Names,
    Super,
    Value,
    bound_names,
    is_users,
    joined,
    kind_of,
    own_function,
    users_function,
)

TRAINS = ("forward", "loss", "backward", "update", "step")

_EVALUATES = (builtins.exec, builtins.eval, builtins.globals)


class Calling:
    """Notes what calls do, and what they may return.

    Args:
        callees: Follows the user's own code.
        touch: Where it is noted.
    """

    def __init__(self, callees: Follows, touch: Touching) -> None:
        self._callees = callees
        self._touch = touch
        self._foreign = Foreign(callees, touch)

    def call(
        self, function: Value, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A call of any of the functions that a value may be."""
        found = [self._call(one, given, named, used) for one in function.each]
        return joined(found) if len(found) > 1 else found[0]

    def _call(
        self, function: Value, given: list[Value], named: Names, used: bool
    ) -> Value:
        target = function.sample
        if isinstance(target, functools.partial):
            given = [*map(Value.of, target.args), *given]
            named = {n: Value.of(v) for n, v in target.keywords.items()} | named
            return self.call(Value.of(target.func), given, named, used)
        if isinstance(target, types.MethodType):
            receiver = Value.of(target.__self__)
            name = getattr(target.__func__, "__name__", "")
            target = Method(target.__func__, receiver, name)
        if isinstance(target, Method):
            if own_function(target.function):
                return self.invoke(target.function, [target.receiver, *given], named)
            return self._foreign.method(target, given, named, used)
        if isinstance(target, type):
            return self._make(target, given, named)
        if own_function(target):
            if not isinstance(target, types.FunctionType):  # a cache around it
                self._touch.change(function, ALL)
            return self.invoke(target, given, named)
        if any(target is each for each in _EVALUATES):
            self._touch.note(self._callees.space, ALL, write=target is not globals)
            space = self._callees.space
            return Value(space, (space,)) if target is globals else Value()
        if isinstance(target, types.BuiltinMethodType):
            owner = target.__self__
            if owner is not None and not isinstance(owner, types.ModuleType):
                method = Method(target, Value.of(owner), target.__name__)
                return self._foreign.method(method, given, named, used)
        return self._object(function, given, named, used)

    def _object(
        self, function: Value, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A call of a library's function, or of an object that can be called."""
        target = function.sample
        if known.is_module_of_torch(target):
            self._touch.effects.stages.add("forward")
            if known.is_frozen(target) and not any(map(_has_gradient, given)):
                return self._frozen(function, joined([*given, *named.values()]))
            self._touch.change_all(function)
            self._foreign.streams()
        elif not known.is_function(target):
            method = inspect.getattr_static(kind_of(function), "__call__", None)
            if own_function(method):
                return self.invoke(method, [function, *given], named)
            self._touch.change_all(function)
        return self._foreign.function(target, given, named, used)

    def _frozen(self, module: Value, given: Value) -> Value:
        """A call of a network that is not trained."""
        found = joined([module, given])
        self._touch.read_all(found)
        for part in module.sample.modules():
            if own_function(type(part).forward):
                self.invoke(type(part).forward, [Value.of(part)], {"": given})
        return Value(NOTHING, found.roots)

    def _make(self, kind: type, given: list[Value], named: Names) -> Value:
        """A call of a class."""
        if kind is type and len(given) == 1:
            return Value.of(kind_of(given[0]))
        if kind is super:
            return self._callees.above(given)
        for name in ("__new__", "__init__"):
            method = inspect.getattr_static(kind, name, None)
            if own_function(method):
                self.invoke(method, [Value(Made(kind)), *given], named)
        roots = joined([*given, *named.values()]).roots
        if is_users(kind):
            return Value(Made(kind), roots)
        if self._callees.beside and is_of_threads(kind):
            self._foreign.function(kind, given, named, used=True)
            return Value(Made(kind))
        return self._foreign.function(kind, given, named, used=True)

    def invoke(self, function: Any, given: list[Value], named: Names) -> Value:
        """A call of the user's own function."""
        function = users_function(function)
        owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
        stage = stage_of(function.__name__, "" if "<" in owner else owner)
        if stage in TRAINS:
            self._touch.effects.stages.add(stage)
        names = bound_names(function, given, named)
        return self._callees.follow(function, names, closure(function))


def _has_gradient(value: Value) -> bool:
    """Whether what is computed from it is recorded, in the order of the calls."""
    return getattr(value.sample, "requires_grad", False) is True


def super_of(
    around: dict[str, Any], names: Names, code: Any, given: list[Value]
) -> Value:
    """What `super()` gives in a function's body."""
    cell = around.get("__class__")
    receiver = names.get(code.co_varnames[0]) if code.co_varnames else None
    if len(given) == 2:
        kind, receiver = given[0].sample, given[1]
    else:
        kind = cell.cell_contents if cell is not None else NOTHING
    if receiver is None or not isinstance(kind, type):
        return Value(NOTHING, receiver.roots if receiver is not None else ())
    return Value(Super(kind, receiver), receiver.roots)
