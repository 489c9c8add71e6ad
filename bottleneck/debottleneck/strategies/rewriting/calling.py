"""Calls, attributes and what is gone over: which code they go to, on live objects.

Nothing is run for it.
"""

from __future__ import annotations

import builtins
import functools
import gc
import inspect
import types
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.agent.names import stage_of
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.foreign import Foreign
from debottleneck.strategies.rewriting.locations import (
    ALL,
    closure,
    is_of_threads,
    iterators_in,
)
from debottleneck.strategies.rewriting.values import (
    CONTAINERS,
    FRESH,
    NOTHING,
    Local,
    Made,
    Method,
    Names,
    Over,
    Parts,
    Super,
    Value,
    bound_names,
    elements,
    held_by,
    holding,
    is_container,
    is_users,
    joined,
    kind_of,
    may_be,
    method_or,
    of_each,
    own_function,
    users_function,
)

TRAINS = ("forward", "loss", "backward", "update", "step")

_FIELD = type(namedtuple("_", "field").field)  # type: ignore[attr-defined] # of C

_EVALUATES = (builtins.exec, builtins.eval, builtins.globals)


class Calling(Foreign):
    """Notes what calls, attributes and iterations do, and what they may give."""

    def call(
        self, function: Value, given: list[Value], named: Names, used: bool = True
    ) -> Value:
        """A call of any of the functions that a value may be."""
        return of_each(function, lambda one: self._call(one, given, named, used))

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
            return self.method(target, given, named, used)
        if isinstance(target, type):
            return self._make(target, given, named)
        if isinstance(target, Local):
            return self.inner(target, given, named)
        if own_function(target):
            if not isinstance(target, types.FunctionType):  # a cache around it
                self.change(function, ALL)
            return self.invoke(target, given, named)
        if any(target is each for each in _EVALUATES):
            self.note(self.space, ALL, write=target is not globals)
            space = self.space
            return Value(space, (space,)) if target is globals else Value()
        if isinstance(target, types.BuiltinMethodType):
            owner = target.__self__
            if owner is not None and not isinstance(owner, types.ModuleType):
                method = Method(target, Value.of(owner), target.__name__)
                return self.method(method, given, named, used)
        return self._object(function, given, named, used)

    def _object(
        self, function: Value, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A call of a library's function, or of an object that can be called."""
        target = function.sample
        if known.is_module_of_torch(target):
            self.effects.stages.add("forward")
            if known.is_frozen(target) and not any(map(_has_gradient, given)):
                return self._frozen(function, joined([*given, *named.values()]))
            self.change_all(function)
            self.streams()
        elif not known.is_function(target):
            method = inspect.getattr_static(kind_of(function), "__call__", None)
            if own_function(method):
                return self.invoke(method, [function, *given], named)
            self.change_all(function)
        return self.function(target, given, named, used)

    def _frozen(self, module: Value, given: Value) -> Value:
        """A call of a network that is not trained."""
        found = joined([module, given])
        self.read_all(found)
        for part in module.sample.modules():
            if own_function(type(part).forward):
                self.invoke(type(part).forward, [Value.of(part)], {"": given})
        return Value(NOTHING, found.roots)

    def _make(self, kind: type, given: list[Value], named: Names) -> Value:
        """A call of a class."""
        if kind is type and len(given) == 1:
            return Value.of(kind_of(given[0]))
        if kind is super:
            return self.above(given)
        made = Made(kind)
        for name in ("__new__", "__init__"):
            method = inspect.getattr_static(kind, name, None)
            if own_function(method):
                self.invoke(method, [Value(made), *given], named)
        if is_users(kind):
            made.put([*given, *named.values()])
            return Value(made)
        found = self.function(kind, given, named, used=True)
        if kind in CONTAINERS:
            return holding(kind, [Value(NOTHING, found.roots)])
        threads = self.beside and is_of_threads(kind)
        return Value(made) if threads else found

    def invoke(self, function: Any, given: list[Value], named: Names) -> Value:
        """A call of the user's own function."""
        function = users_function(function)
        owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
        stage = stage_of(function.__name__, "" if "<" in owner else owner)
        if stage in TRAINS:
            self.effects.stages.add(stage)
        names = bound_names(function, given, named)
        return self.follow(function, names, closure(function))

    # Attributes, looked up without running any code.

    def attribute(self, base: Value, name: str) -> Value:
        """An attribute of a value, looked up where the object has it."""
        held = of_each(base, lambda one: self._attribute(one, name))
        for one in base.each:
            module = isinstance(one.sample, types.ModuleType)
            owner = vars(one.sample) if module else one.sample
            held = self.as_bound(owner, name, held)
        return held

    def _attribute(self, base: Value, name: str) -> Value:
        sample, kind = base.sample, kind_of(base)
        if isinstance(sample, types.ModuleType):
            file = getattr(sample, "__file__", None)
            if file is None or is_own(file, sample.__name__):
                self.note(vars(sample), name, write=False)
            return Value.of(getattr(sample, name, None))
        if isinstance(sample, Super):
            return self._above(sample, name)
        if name == "__class__":
            return Value(kind)
        if name == "__dict__":  # what is done with it is done with the object
            return Value(NOTHING, base.roots)
        if isinstance(sample, Made) and name in sample.attributes:
            more = [Value(NOTHING, base.before)] if base.before else []
            return joined([sample.attributes[name], *more])
        own = None if isinstance(sample, Made) else getattr(sample, "__dict__", None)
        if known.is_module_of_torch(sample):
            own = next((m for m in known.members(sample) if name in m), own)
        if isinstance(own, dict | types.MappingProxyType) and name in own:
            self.read(base, name)
            exact = any(base.exactly(root) for root in base.roots)
            if not exact and not isinstance(sample, type):
                return Value(own[name], base.roots)
            held = method_or(own[name], base)
            others = tuple(root for root in base.before if not base.exactly(root))
            return Value(held.sample, (*held.before, *others)) if others else held
        if isinstance(sample, type):
            self._note_kinds(sample, name)
            return method_or(inspect.getattr_static(sample, name, None), base)
        return self._of_kind(base, name)

    def _of_kind(self, base: Value, name: str) -> Value:
        """What an instance has by its class."""
        sample, kind = base.sample, kind_of(base)
        static = inspect.getattr_static(kind, name, None)
        getter = static.fget if isinstance(static, property) else None
        if getter is None:
            getter = inspect.getattr_static(type(static), "__get__", None)
        cached = static.func if isinstance(static, functools.cached_property) else None
        if own_function(cached):
            return self.invoke(cached, [base], {})
        if not isinstance(static, types.FunctionType) and own_function(getter):
            given = [base] if isinstance(static, property) else [Value.of(static), base]
            return self.invoke(getter, given, {})
        if isinstance(static, property):
            self.read(base)
            return Value(NOTHING, base.roots)
        if isinstance(static, _FIELD) and isinstance(sample, tuple):
            held = getattr(sample, name)
            return Value.of(held) if base.known else Value(held, base.roots)
        if isinstance(static, types.MemberDescriptorType) and base.roots:
            self.read(base, name)
            return Value(getattr(sample, name, NOTHING), base.roots)
        if isinstance(static, types.GetSetDescriptorType) or sample is NOTHING:
            return Value(Method(None, base, name), base.roots)
        self.read(base, name)
        self._note_kinds(kind, name)
        if static is None:
            fallback = inspect.getattr_static(kind, "__getattr__", None)
            if own_function(fallback):
                return self.invoke(fallback, [base, Value(name)], {})
            if callable(fallback):
                return Value(Method(None, base, name), base.roots)
        found = method_or(static, base, name)
        if isinstance(sample, Made) and not callable(static):  # or what it was given
            return joined([found, Value(NOTHING, base.roots)])
        return found

    def operated(self, names: Sequence[str], parts: list[Value]) -> Value:
        """What these methods of the parts give, those of the user's."""
        found = []
        for name in names:
            for part in parts:
                rest = [other for other in parts if other is not part]
                for one in part.each:
                    method = inspect.getattr_static(kind_of(one), name, None)
                    if own_function(method):
                        found.append(self.invoke(method, [one, *rest], {}))
        return joined(found) if found else FRESH

    def set_attribute(self, base: Value, name: str, value: Value) -> None:
        """An attribute of a value is bound."""
        for one in base.each:
            kind = kind_of(one)
            for holder in may_be(one):
                module = isinstance(holder, types.ModuleType)
                self.hold(vars(holder) if module else holder, name, value)
            static = inspect.getattr_static(kind, name, None)
            setter = inspect.getattr_static(kind, "__setattr__", None)
            if own_function(setter):
                self.invoke(setter, [one, Value(name), value], {})
            elif isinstance(static, property) and own_function(static.fset):
                self.invoke(static.fset, [one, value], {})
            else:
                setter = inspect.getattr_static(type(static), "__set__", None)
                if own_function(setter):
                    self.invoke(setter, [Value.of(static), one, value], {})
                elif isinstance(one.sample, Made):
                    one.sample.set(name, value)
        self.change(base, name)

    def _note_kinds(self, kind: type, name: str) -> None:
        """A class is asked for an attribute, and those that it comes from."""
        for each in kind.__mro__:
            if is_users(each):
                self.note(each, name, write=False)
            if name in vars(each):
                return

    def _above(self, sample: Super, name: str) -> Value:
        """What `super()` gives."""
        kinds = kind_of(sample.receiver).__mro__
        after = kinds.index(sample.kind) + 1 if sample.kind in kinds else 0
        for kind in kinds[after:]:
            if name in vars(kind):
                if is_users(kind):
                    self.note(kind, name, write=False)
                return method_or(vars(kind)[name], sample.receiver, name)
        return Value(NOTHING, sample.receiver.roots)

    # Iterators, generators under way, the user's own.

    def iterate(self, value: Value) -> Value:
        """What going over a value gives, once; its effects are noted."""
        return of_each(value, self._iterate)

    def _part(self, part: Any) -> Value:
        """Something that one of Python's own iterators holds."""
        if callable(part):
            return self.call(Value.of(part), [], {})
        return self.iterate(Value.of(part))

    def _iterate(self, value: Value) -> Value:
        sample = value.sample
        if isinstance(sample, types.GeneratorType):
            return self._generator(sample, value)
        if isinstance(sample, Over):
            items = [self.iterate(part) for part in sample.parts]
            if sample.kind is enumerate:
                items[:] = FRESH, items[0]
            if sample.kind in (zip, enumerate):
                return Value(Parts(tuple(items)), joined(items).roots)
            return items[0]
        parts = iterators_in(sample)
        if parts:
            self.change(value, ALL)
            return joined([self._part(part) for part in parts])
        kind = kind_of(value)
        for name in ("__iter__", "__next__", "__getitem__"):
            method = inspect.getattr_static(kind, name, None)
            if own_function(method):
                made = self.invoke(method, [value], {})
                if name == "__iter__" and not value.exactly(made.sample):
                    return made if made.sample is NOTHING else self.iterate(made)
                if name != "__iter__":
                    return made
        if is_container(sample) or isinstance(sample, Parts):
            self.read(value)
            return held_by(value)
        if isinstance(sample, list | tuple | dict | set | frozenset | str | range):
            self.read(value)
            return elements(sample, value.roots)
        if hasattr(kind, "__next__") or not known.is_array(sample):
            self.change_all(value)
        self.read(value)
        return Value(NOTHING, value.roots)

    def _generator(self, sample: Any, value: Value) -> Value:
        """What a generator that is under way does from here on."""
        self.change(value, ALL)
        frame = sample.gi_frame
        if frame is None:
            return FRESH
        function = _function_of(sample, frame)
        if not is_own(sample.gi_code.co_filename, ""):
            for held in frame.f_locals.values():
                self.iterate(Value.of(held)) if hasattr(held, "__next__") else None
                self.change_all(Value.of(held))
            return Value(NOTHING, value.roots)
        free = sample.gi_code.co_freevars
        local = frame.f_locals.items()
        names = {n: Value.of(v) for n, v in local if n not in free}
        return self.follow(function, names, closure(function))


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


def _function_of(generator: Any, frame: types.FrameType) -> types.FunctionType:
    """The function whose generator it is, with its closure."""
    code = generator.gi_code
    for held in gc.get_referents(generator):
        if isinstance(held, types.FunctionType) and held.__code__ is code:
            return held
    cells = tuple(types.CellType() for _ in code.co_freevars)
    return types.FunctionType(code, frame.f_globals, closure=cells or None)
