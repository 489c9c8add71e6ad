"""What code reads and changes, its callees included, resolved on the live objects.

Functions, methods and attributes are looked up where the running script has them; the
user's own functions are followed through their source. Of code that is not the user's
a method changes its receiver and a call whose result is dropped its arguments, unless
they are known to change nothing.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.agent.discover import is_own
from debottleneck.agent.names import stage_of
from debottleneck.strategies.conflicts import PLAIN, is_tensor
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.locations import (
    ALL,
    Effects,
    closure,
    is_fixed,
    iterators_in,
    owner_of,
    reach,
)

DEEPEST = 24
"""Calls within calls that are followed."""

TRAINS = ("forward", "loss", "backward", "update", "step")
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
class _Method:
    """A method and what it is called on."""

    function: Any
    receiver: Value
    name: str


@dataclass(frozen=True, eq=False)
class _Made:
    """Stands for an instance that the code itself makes."""

    kind: type


FRESH = Value()


def joined(values: Sequence[Value]) -> Value:
    """What may be any of them, or made of them."""
    roots = {id(root): root for value in values for root in value.roots}
    known_samples = (v.sample for v in values if v.sample is not NOTHING)
    return Value(next(known_samples, NOTHING), tuple(roots.values()))


Names = dict[str, Value]


class Callees:
    """Follows code and notes its effects.

    Args:
        space: The globals of the code.
        names: What its names hold.
    """

    def __init__(self, space: dict[str, Any], names: Names) -> None:
        self.effects = Effects()
        self._space = space
        self._names = names
        self._globals: frozenset[str] = frozenset()
        self._cells: dict[str, Any] = {}
        self._depth = 0
        self._returns: list[Value] = []
        self._done: dict[Any, Value] = {}

    def statement(self, node: ast.stmt, *, used: bool = True) -> None:
        """Note one statement; `used` False where nothing takes its value."""
        if not used and isinstance(node, ast.Assign):
            self._expression(node.value, used=False)
        else:
            self._statement(node)

    def bind(self, target: ast.expr, value: Value) -> None:
        """Note that a target is bound."""
        self._bind(target, value)

    def iterate(self, value: Value) -> Value:
        """What going over a value gives, once; its effects are noted."""
        sample = value.sample
        if isinstance(sample, types.GeneratorType):
            return self._generator(sample, value)
        parts = iterators_in(sample)
        if parts:
            self._change(value, ALL)
            return joined([self.iterate(Value.of(part)) for part in parts])
        kind = sample.kind if isinstance(sample, _Made) else type(sample)
        for name in ("__iter__", "__next__", "__getitem__"):
            method = inspect.getattr_static(kind, name, None)
            if _own_function(method):
                made = self._invoke(method, [value], {})
                if name == "__iter__" and not value.exactly(made.sample):
                    return made if made.sample is NOTHING else self.iterate(made)
                if name != "__iter__":
                    return made
        if isinstance(sample, list | tuple | dict | set | frozenset | str | range):
            self._read(value)
            first = next(iter(sample), NOTHING)
            own = () if is_fixed(first) else value.roots
            return Value(first, own)
        if hasattr(kind, "__next__") or not known.is_array(sample):
            self._change_all(value)
        self._read(value)
        return Value(NOTHING, value.roots)

    # Statements.

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for node in body:
            self._statement(node)

    def _statement(self, node: ast.stmt) -> None:
        kind = type(node).__name__
        visit = getattr(self, f"_on_{kind.lower()}", None)
        if visit is not None:
            visit(node)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._expression(child)
            elif isinstance(child, ast.stmt):
                self._statement(child)
            else:  # handlers, cases
                self._block(getattr(child, "body", ()))

    def _on_expr(self, node: ast.Expr) -> None:
        self._expression(node.value, used=False)

    def _on_assign(self, node: ast.Assign) -> None:
        value = self._expression(node.value)
        for target in node.targets:
            self._bind(target, value)

    def _on_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self._expression(node.value))

    def _on_augassign(self, node: ast.AugAssign) -> None:
        self._expression(node.value)
        loaded: Any = ast.copy_location(
            type(node.target)(**{**vars(node.target), "ctx": ast.Load()}), node.target
        )
        before = self._expression(loaded)
        if not isinstance(before.sample, PLAIN):
            self._change(before, ALL)
        self._bind(node.target, before if before.roots else FRESH)

    def _on_for(self, node: ast.For) -> None:
        item = self.iterate(self._expression(node.iter))
        for _ in range(2):  # what one turn binds the next one finds
            self._bind(node.target, item)
            self._block(node.body)
        self._block(node.orelse)

    def _on_while(self, node: ast.While) -> None:
        for _ in range(2):
            self._expression(node.test)
            self._block(node.body)
        self._block(node.orelse)

    def _on_with(self, node: ast.With) -> None:
        for item in node.items:
            manager = self._expression(item.context_expr)
            value = manager
            for name in ("__enter__", "__exit__"):
                method = inspect.getattr_static(_kind(manager), name, None)
                if _own_function(method):
                    given = [manager] + [FRESH] * 3 * (name == "__exit__")
                    value = self._invoke(method, given, {})
            if item.optional_vars is not None:
                self._bind(item.optional_vars, value)
        self._block(node.body)

    def _on_return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._returns.append(self._expression(node.value))

    def _on_functiondef(self, node: ast.FunctionDef) -> None:
        self._names[node.name] = FRESH
        inner = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
        kept = {name: self._names.get(name) for name in inner}
        self._names |= dict.fromkeys(inner, FRESH)
        self._block(node.body)
        self._names |= {n: v for n, v in kept.items() if v is not None}

    def _on_classdef(self, node: ast.ClassDef) -> None:
        self._names[node.name] = FRESH

    def _bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            if target.id in self._globals or target.id in self._cells:
                self._name(target.id, write=True)
            if target.id not in self._globals:
                before = self._names.get(target.id, FRESH)
                both = joined([value, before]) if self._depth else value
                self._names[target.id] = both
        elif isinstance(target, ast.Attribute):
            self._change(self._expression(target.value), target.attr)
        elif isinstance(target, ast.Subscript):
            self._expression(target.slice)
            base = self._expression(target.value)
            method = inspect.getattr_static(_kind(base), "__setitem__", None)
            if _own_function(method):
                self._invoke(method, [base, FRESH, value], {})
            else:
                self._change(base, ALL)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)

    def _unpack(self, targets: Sequence[ast.expr], value: Value) -> None:
        sample = value.sample
        listed = isinstance(sample, tuple | list) and len(sample) == len(targets)
        for index, target in enumerate(targets):
            if listed and value.roots:
                self._bind(target, Value.of(sample[index]))
            else:
                part = sample[index] if listed else NOTHING
                self._bind(target, Value(part, value.roots))

    # Expressions.

    def _expression(self, node: ast.expr, *, used: bool = True) -> Value:
        if isinstance(node, ast.Call):
            return self._call(node, used)
        visit = getattr(self, f"_of_{type(node).__name__.lower()}", None)
        if visit is not None:
            made = visit(node)
            assert isinstance(made, Value)
            return made
        parts = [
            self._expression(child)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr)
        ]
        if isinstance(node, _KEEP):
            return Value(NOTHING, joined(parts).roots)
        for part in parts:
            self._read_all(part)
        return FRESH

    def _of_constant(self, node: ast.Constant) -> Value:
        return Value(node.value)

    def _of_name(self, node: ast.Name) -> Value:
        return self._name(node.id)

    def _of_attribute(self, node: ast.Attribute) -> Value:
        return self._attribute(self._expression(node.value), node.attr)

    def _of_subscript(self, node: ast.Subscript) -> Value:
        base = self._expression(node.value)
        index = self._expression(node.slice)
        kind = _kind(base)
        method = inspect.getattr_static(kind, "__getitem__", None)
        if _own_function(method):
            return self._invoke(method, [base, index], {})
        self._read(base)
        sample = base.sample
        if isinstance(sample, dict) and index.sample in sample.keys() - {NOTHING}:
            return Value(sample[index.sample], base.roots)
        if isinstance(sample, list | tuple | dict) and sample:
            values = sample.values() if isinstance(sample, dict) else sample
            return Value(next(iter(values)), base.roots)
        return Value(NOTHING, base.roots)

    def _of_lambda(self, node: ast.Lambda) -> Value:
        """Taken as if it were called where it stands."""
        given = [a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)]
        kept = {name: self._names.get(name) for name in given}
        self._names |= dict.fromkeys(given, FRESH)
        self._expression(node.body)
        for name, before in kept.items():
            self._names.pop(name, None)
            if before is not None:
                self._names[name] = before
        return FRESH

    def _comprehension(self, node: Any) -> Value:
        for part in node.generators:
            self._bind(part.target, self.iterate(self._expression(part.iter)))
            for test in part.ifs:
                self._expression(test)
        if isinstance(node, ast.DictComp):
            self._expression(node.key)
            return Value(NOTHING, self._expression(node.value).roots)
        return Value(NOTHING, self._expression(node.elt).roots)

    _of_listcomp = _of_setcomp = _of_generatorexp = _of_dictcomp = _comprehension

    def _of_ifexp(self, node: ast.IfExp) -> Value:
        self._expression(node.test)
        return joined([self._expression(node.body), self._expression(node.orelse)])

    def _of_namedexpr(self, node: ast.NamedExpr) -> Value:
        value = self._expression(node.value)
        self._bind(node.target, value)
        return value

    def _of_yield(self, node: ast.Yield) -> Value:
        if node.value is not None:
            self._returns.append(self._expression(node.value))
        return FRESH

    def _of_yieldfrom(self, node: ast.YieldFrom) -> Value:
        self._returns.append(self.iterate(self._expression(node.value)))
        return FRESH

    def _name(self, name: str, *, write: bool = False) -> Value:
        """A name's value where it is; what is the module's or around it is noted."""
        if name in self._cells:
            cell = self._cells[name]
            self._note(cell, f"cell {name}", write)
            try:
                return Value.of(cell.cell_contents)
            except ValueError:
                return FRESH
        if name in self._names and name not in self._globals:
            return self._names[name]
        if name in self._space or name in self._globals:
            self._note(self._space, name, write)
            return Value.of(self._space.get(name))
        return Value.of(getattr(builtins, name, None))

    def _attribute(self, base: Value, name: str) -> Value:
        sample = base.sample
        if isinstance(sample, types.ModuleType):
            if is_own(getattr(sample, "__file__", None) or "<none>", sample.__name__):
                self._note(vars(sample), name, write=False)
            return Value.of(getattr(sample, name, None))
        own = getattr(sample, "__dict__", None)
        if isinstance(own, dict | types.MappingProxyType) and name in own:
            self._read(base, name)
            if any(base.exactly(root) for root in base.roots):
                return _method_or(own[name], base)
            return Value(own[name], base.roots)
        if isinstance(sample, type):
            return _method_or(inspect.getattr_static(sample, name, None), base)
        static = inspect.getattr_static(_kind(base), name, None)
        if isinstance(static, property):
            if _own_function(static.fget):
                return self._invoke(static.fget, [base], {})
            self._read(base)
            return Value(NOTHING, base.roots)
        if isinstance(static, types.MemberDescriptorType) and base.roots:
            self._read(base, name)
            return Value(getattr(sample, name, NOTHING), base.roots)
        if isinstance(static, types.GetSetDescriptorType) or sample is NOTHING:
            return Value(_Method(None, base, name), base.roots)
        if static is None and callable(getattr(type(sample), "__getattr__", None)):
            return Value(_Method(None, base, name), base.roots)
        return _method_or(static, base, name)

    # Calls.

    def _call(self, node: ast.Call, used: bool) -> Value:
        function = self._expression(node.func)
        given = [self._expression(arg) for arg in node.args]
        named = {k.arg or "": self._expression(k.value) for k in node.keywords}
        return self.call(function, given, named, used)

    def call(
        self, function: Value, given: list[Value], named: Names, used: bool = True
    ) -> Value:
        """The effects of one call, and what it may return."""
        target = function.sample
        if isinstance(target, functools.partial):
            given = [*map(Value.of, target.args), *given]
            return self.call(Value.of(target.func), given, named, used)
        if isinstance(target, types.MethodType):
            receiver = Value.of(target.__self__)
            name = getattr(target.__func__, "__name__", "")
            target = _Method(target.__func__, receiver, name)
        if isinstance(target, _Method):
            if _own_function(target.function):
                return self._invoke(target.function, [target.receiver, *given], named)
            return self._foreign_method(target, given, named, used)
        if isinstance(target, type):
            return self._make(target, given, named)
        if _own_function(target):
            return self._invoke(target, given, named)
        if isinstance(target, types.BuiltinMethodType):
            owner = target.__self__
            if owner is not None and not isinstance(owner, types.ModuleType):
                method = _Method(target, Value.of(owner), target.__name__)
                return self._foreign_method(method, given, named, used)
        if known.is_module_of_torch(target):
            self.effects.stages.add("forward")
            self._change_all(function)
            self._streams()
        elif target is not NOTHING and not known.is_function(target):
            method = inspect.getattr_static(_kind(function), "__call__", None)
            if _own_function(method):
                return self._invoke(method, [function, *given], named)
            self._change_all(function)
        return self._foreign(target, given, named, used)

    def _make(self, kind: type, given: list[Value], named: Names) -> Value:
        method = inspect.getattr_static(kind, "__init__", None)
        roots = joined([*given, *named.values()]).roots
        if _own_function(method):
            self._invoke(method, [Value(_Made(kind)), *given], named)
            return Value(_Made(kind), roots)
        if is_own(getattr(sys.modules.get(kind.__module__), "__file__", "") or "<", ""):
            return Value(_Made(kind), roots)
        return self._foreign(kind, given, named, used=True)

    def _foreign(
        self, function: Any, given: list[Value], named: Names, used: bool
    ) -> Value:
        """A function of a library's."""
        name = getattr(function, "__name__", "")
        everything = [*given, *named.values()]
        for value in everything:
            self._read_all(value)
            self._called_back(value)
        if known.prints(function):
            self._note(sys.stdout, ALL, write=True)
        elif known.changes_outside(function):
            self._note(known.OUTSIDE, ALL, write=True)
        if known.draws_in_torch(function):
            self._streams()
        goes_over = function in known.GOES_OVER
        if goes_over or name == "next":
            items = [self.iterate(one) for one in given if one.roots]
            if name == "next":
                return joined(items)
        if "out" in named:
            self._change_all(named["out"])
        changes = not used and not known.changes_nothing(function)
        if changes or name in known.CHANGE_FIRST or name.endswith("_"):
            for value in everything if changes else given[:1]:
                self._change_all(value)
        if name in known.ALIASES or isinstance(function, type):
            return Value(NOTHING, joined(everything).roots)
        return FRESH

    def _foreign_method(
        self, method: _Method, given: list[Value], named: Names, used: bool
    ) -> Value:
        receiver, name = method.receiver, method.name
        if method.function is None and receiver.sample is NOTHING:
            self._by_name(name, receiver, given, named)
        self.effects.stages |= known.stages(receiver.sample, name)
        everything = [*given, *named.values()]
        for value in everything:
            self._read_all(value)
            self._called_back(value)
        if "out" in named:
            self._change_all(named["out"])
        if known.is_reading(receiver.sample, name):
            self._read_all(receiver)
            if known.is_array(receiver.sample) and name not in known.ALIASES:
                return FRESH
            return Value(NOTHING, receiver.roots)
        self.effects.bound = self.effects.bound or known.thread_bound(receiver.sample)
        self._change_all(receiver)
        if not used or name in known.CHANGE_FIRST:
            for value in everything:
                self._change_all(value)
        return Value(NOTHING, joined([receiver, *everything]).roots)

    def _by_name(
        self, name: str, receiver: Value, given: list[Value], named: Names
    ) -> None:
        """A method of what is not known: of every class of the user's that has it."""
        if name.startswith("__"):
            return
        for kind in [v for v in self._space.values() if isinstance(v, type)]:
            method = vars(kind).get(name)
            if _own_function(method):
                self._invoke(method, [receiver, *given], named)

    def _called_back(self, value: Value) -> None:
        """A function that is handed to a library is called by it."""
        sample = value.sample
        if isinstance(sample, _Method) and _own_function(sample.function):
            self._invoke(sample.function, [sample.receiver], {})
        elif _own_function(sample):
            self._invoke(sample, [], {})
        elif isinstance(sample, types.MethodType | functools.partial):
            self.call(value, [], {})

    def _streams(self) -> None:
        torch: Any = sys.modules.get("torch")
        if hasattr(torch, "default_generator"):
            self._note(torch.default_generator, ALL, write=True)

    def _generator(self, sample: Any, value: Value) -> Value:
        """What a generator that is under way does from here on."""
        self._change(value, ALL)
        frame = sample.gi_frame
        if frame is None:
            return FRESH
        function = types.FunctionType(
            sample.gi_code,
            frame.f_globals,
            closure=tuple(map(_cell, sample.gi_code.co_freevars)) or None,
        )
        if not is_own(sample.gi_code.co_filename, ""):
            for held in frame.f_locals.values():
                self.iterate(Value.of(held)) if hasattr(held, "__next__") else None
                self._change_all(Value.of(held))
            return Value(NOTHING, value.roots)
        names = {n: Value.of(v) for n, v in frame.f_locals.items()}
        return self._follow(function, names, {})

    def _invoke(self, function: Any, given: list[Value], named: Names) -> Value:
        """A call of the user's own function."""
        function = inspect.unwrap(_plain(function))
        owner = function.__qualname__.rpartition(".")[0].rpartition(".")[2]
        stage = stage_of(function.__name__, "" if "<" in owner else owner)
        if stage in TRAINS:
            self.effects.stages.add(stage)
        names = _bound_names(function, given, named)
        return self._follow(function, names, closure(function))

    def _follow(self, function: Any, names: Names, around: Mapping[str, Any]) -> Value:
        key = (
            function.__code__,
            *((n, id(v.sample), *map(id, v.roots)) for n, v in names.items()),
        )
        if key in self._done:
            return self._done[key]
        self._done[key] = Value(NOTHING, joined([*names.values()]).roots)
        node = known.source_of(function)
        if node is None or self._depth >= DEEPEST:
            for value in names.values():
                self._change_all(value)
            return self._done[key]
        kept = vars(self).copy()
        self._space, self._names = function.__globals__, dict(names)
        self._cells = dict(around)
        declared = (n for n in ast.walk(node) if isinstance(n, ast.Global))
        self._globals = frozenset(name for each in declared for name in each.names)
        self._depth += 1
        self._returns = []
        if isinstance(node, ast.Lambda):
            self._returns.append(self._expression(node.body))
        else:
            self._block(node.body)
        made = joined(self._returns)
        for name in ("_space", "_names", "_globals", "_cells", "_depth", "_returns"):
            setattr(self, name, kept[name])
        self._done[key] = made
        return made

    # Notes.

    def _note(self, owner: Any, attribute: str, write: bool) -> None:
        key = owner_of(owner)
        self.effects.held[id(owner)] = owner
        kind = self.effects.writes if write else self.effects.reads
        kind.add((key, attribute))

    def _read(self, value: Value, attribute: str = ALL) -> None:
        for root in value.roots:
            if value.exactly(root):
                self._note(root, attribute, write=False)
            else:
                self._deep(root, write=False)

    def _read_all(self, value: Value) -> None:
        for root in value.roots:
            self._deep(root, write=False)

    def _change(self, value: Value, attribute: str) -> None:
        for root in value.roots:
            if value.exactly(root):
                self._note(root, attribute, write=True)
            else:
                self._deep(root, write=True)

    def _change_all(self, value: Value) -> None:
        if isinstance(value.sample, PLAIN):
            return
        for root in value.roots:
            self._deep(root, write=True)

    def _deep(self, root: Any, write: bool) -> None:
        for held in reach(root):
            bound = known.thread_bound(held)
            self.effects.bound = self.effects.bound or bound
            self._note(held, ALL, write)


_KEEP = (ast.Tuple, ast.List, ast.Set, ast.Dict, ast.BoolOp, ast.Starred, ast.Await)


def _kind(value: Value) -> type:
    sample = value.sample
    return sample.kind if isinstance(sample, _Made) else type(sample)


def _plain(method: Any) -> Any:
    if isinstance(method, staticmethod | classmethod):
        method = method.__func__
    return method


def _own_function(function: Any) -> bool:
    """Whether it is a function of the user's, or a method as its class holds it."""
    function = _plain(function)
    if not isinstance(function, types.FunctionType):
        return False
    code = inspect.unwrap(function).__code__
    return is_own(code.co_filename, function.__module__ or "")


def _method_or(found: Any, base: Value, name: str = "") -> Value:
    """A class's attribute as an instance has it."""
    if isinstance(found, staticmethod):
        return Value.of(found.__func__)
    if isinstance(found, classmethod):
        return Value(_Method(found.__func__, Value(_kind(base)), name))
    if isinstance(base.sample, type):
        return Value.of(found)
    if isinstance(found, types.FunctionType) and name:
        return Value(_Method(found, base, name), base.roots)
    if name and (callable(found) or found is None):
        return Value(_Method(None, base, name), base.roots)
    return Value.of(found)


def _cell(_: str) -> types.CellType:
    return types.CellType()


def _bound_names(function: Any, given: list[Value], named: Names) -> Names:
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


__all__ = ["FRESH", "NOTHING", "Callees", "Value", "is_tensor"]
