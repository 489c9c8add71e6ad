"""What code reads and changes, its callees included, resolved on the live objects.

Functions, methods and attributes are looked up where the running script has them; the
user's own functions are followed through their source. Of code that is not the user's
a method changes its receiver and a call whose result is dropped its arguments, unless
they are known to change nothing.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any

from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.calling import Calling, super_of
from debottleneck.strategies.rewriting.locations import ALL
from debottleneck.strategies.rewriting.values import (
    FRESH,
    NOTHING,
    Made,
    Names,
    Parts,
    Value,
    elements,
    is_container,
    joined,
    kept,
    kind_of,
    own_function,
)

DEEPEST = 24
"""Calls within calls that are followed."""


class Callees(Calling):
    """Follows code and notes its effects.

    Args:
        space: The globals of the code.
        names: What its names hold.
        bound: Location -> functions that are bound there, by any code.
    """

    beside = False  # whether another thread runs it

    def __init__(
        self, space: dict[str, Any], names: Names, bound: dict[Any, Value] | None = None
    ) -> None:
        super().__init__(bound)
        self.space = space
        self._names = names
        self._globals: frozenset[str] = frozenset()
        self._cells: dict[str, Any] = {}
        self._depth = 0
        self._code: types.CodeType | None = None
        self.followed: set[known.Place] = set()
        self._returns: list[Value] = []
        self._done: dict[Any, Value] = {}
        self._made: dict[ast.expr, Made] = {}
        self._alive: list[Names] = []

    def statement(self, node: ast.stmt, *, used: bool = True) -> None:
        """Note one statement; `used` False where nothing takes its value."""
        if not used and isinstance(node, ast.Assign):
            self._expression(node.value, used=False)
        else:
            self._statement(node)

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
            self.bind(target, value)

    def _on_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self._expression(node.value))

    def _on_augassign(self, node: ast.AugAssign) -> None:
        value = self._expression(node.value)
        loaded: Any = ast.copy_location(
            type(node.target)(**{**vars(node.target), "ctx": ast.Load()}), node.target
        )
        before = self._expression(loaded)
        if not isinstance(before.sample, PLAIN):
            self.change(before, ALL)
        made = [one.sample for one in before.each if is_container(one.sample)]
        for container in made:
            container.put([value])
        self.bind(node.target, before if before.roots or made else FRESH)

    def _on_for(self, node: ast.For) -> None:
        item = self.iterate(self._expression(node.iter))
        for _ in range(2):  # what one turn binds the next one finds
            self.bind(node.target, item)
            self._block(node.body)
        self._block(node.orelse)

    def _on_while(self, node: ast.While) -> None:
        for _ in range(2):
            self._expression(node.test)
            self._block(node.body)
        self._block(node.orelse)

    def _on_with(self, node: ast.With) -> None:
        for item in node.items:
            value = manager = self._expression(item.context_expr)
            self.read_all(manager)
            for name in ("__enter__", "__exit__"):
                method = inspect.getattr_static(kind_of(manager), name, None)
                if own_function(method):
                    given = [manager] + [FRESH] * 3 * (name == "__exit__")
                    value = self.invoke(method, given, {})
            if item.optional_vars is not None:
                self.bind(item.optional_vars, value)
        self._block(node.body)

    def _on_return(self, node: ast.Return) -> None:
        if node.value is not None:
            self._returns.append(self._expression(node.value))

    def _on_functiondef(self, node: ast.FunctionDef) -> None:
        self._names[node.name] = FRESH
        self._later(node.args, node.body)

    def _later(self, given: ast.arguments, body: Sequence[ast.stmt]) -> None:
        """What is defined for later, taken as if it were called where it stands."""
        own = {arg.arg for arg in ast.walk(given) if isinstance(arg, ast.arg)}
        kept = {name: value for name, value in self._names.items() if name in own}
        self._names |= dict.fromkeys(own, FRESH)
        self._block(body)
        for name in own:
            self._names.pop(name, None)
        self._names |= kept

    def _on_classdef(self, node: ast.ClassDef) -> None:
        self._names[node.name] = FRESH

    def bind(self, target: ast.expr, value: Value) -> None:
        """Note that a target is bound."""
        if isinstance(target, ast.Name):
            if target.id in self._globals or target.id in self._cells:
                self._name(target.id, write=True)
                owner = self._cells.get(target.id, self.space)
                self.hold(owner, target.id, value)
            if target.id not in self._globals:
                before = self._names.get(target.id, FRESH)
                both = joined([value, before]) if self._depth else value
                self._names[target.id] = both
        elif isinstance(target, ast.Attribute):
            base = self._expression(target.value)
            self.set_attribute(base, target.attr, value)
        elif isinstance(target, ast.Subscript):
            self._change_item(target, "__setitem__", [value])
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Tuple | ast.List):
            self._unpack(target.elts, value)

    def _change_item(
        self, target: ast.Subscript, name: str, given: list[Value]
    ) -> None:
        """An element is bound or deleted."""
        index = self._expression(target.slice)
        base = self._expression(target.value)
        for one in base.each:
            method = inspect.getattr_static(kind_of(one), name, None)
            if own_function(method):
                self.invoke(method, [one, index, *given], {})
            else:
                self.change(one if base.others else base, ALL)
            if is_container(one.sample):
                one.sample.put(given)

    def _on_delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self._change_item(target, "__delitem__", [])
            else:
                self.bind(target, FRESH)

    def _on_match(self, node: ast.Match) -> None:
        value = self._expression(node.subject)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                name = getattr(part, "name", None) or getattr(part, "rest", None)
                if isinstance(name, str):
                    self.bind(ast.Name(name, ast.Store()), Value(NOTHING, value.roots))
            if case.guard is not None:
                self._expression(case.guard)
            self._block(case.body)

    def _unpack(self, targets: Sequence[ast.expr], value: Value) -> None:
        sample = value.sample
        parts = sample.each if isinstance(sample, Parts) else ()
        listed = isinstance(sample, tuple | list) and len(sample) == len(targets)
        for index, target in enumerate(targets):
            if len(parts) == len(targets):
                self.bind(target, parts[index])
            elif listed and value.known:
                self.bind(target, Value.of(sample[index]))
            else:
                part = sample[index] if listed else NOTHING
                self.bind(target, Value(part, value.roots))

    def _expression(self, node: ast.expr, *, used: bool = True) -> Value:
        if isinstance(node, ast.Call):
            return self._called(node, used)
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
        if isinstance(node, ast.BoolOp):
            return joined(parts)
        if isinstance(node, _KEEP):
            return kept(node, parts, self._made)
        for part in parts:
            self.read_all(part)
        return FRESH

    def _of_tuple(self, node: ast.Tuple) -> Value:
        parts = [self._expression(part) for part in node.elts]
        if any(isinstance(part, ast.Starred) for part in node.elts):
            return Value(NOTHING, joined(parts).roots)
        return Value(Parts(tuple(parts)))

    def _of_constant(self, node: ast.Constant) -> Value:
        return Value(node.value)

    def _of_name(self, node: ast.Name) -> Value:
        return self._name(node.id)

    def _of_attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self._expression(node.value), node.attr)

    def _of_subscript(self, node: ast.Subscript) -> Value:
        base = self._expression(node.value)
        index = self._expression(node.slice)
        return joined([self._item(node, one, index) for one in base.each])

    def _item(self, node: ast.Subscript, base: Value, index: Value) -> Value:
        kind = kind_of(base)
        method = inspect.getattr_static(kind, "__getitem__", None)
        if own_function(method):
            return self.invoke(method, [base, index], {})
        self.read(base)
        sample = base.sample
        always = base.known and isinstance(node.slice, ast.Constant)
        if always and isinstance(sample, list | tuple | dict):
            try:
                return Value.of(sample[index.sample])
            except (LookupError, TypeError):
                pass  # it is not known which
        if known.is_array(sample) and sample.dtype != object:
            return Value(sample.reshape(-1)[:0], base.roots)  # a view, or a scalar
        listed = isinstance(sample, list | tuple | dict) and sample
        return elements(sample, base.roots) if listed else Value(NOTHING, base.roots)

    def _of_lambda(self, node: ast.Lambda) -> Value:
        self._later(node.args, [ast.Expr(node.body)])
        return FRESH

    def _comprehension(self, node: Any, first: Value | None = None) -> Value:
        for part in node.generators:
            item, first = first or self.iterate(self._expression(part.iter)), None
            self.bind(part.target, item)
            for test in part.ifs:
                self._expression(test)
        if isinstance(node, ast.DictComp):
            self._expression(node.key)
            return kept(node, [self._expression(node.value)], self._made)
        return kept(node, [self._expression(node.elt)], self._made)

    _of_listcomp = _of_setcomp = _of_generatorexp = _of_dictcomp = _comprehension

    def _of_ifexp(self, node: ast.IfExp) -> Value:
        self._expression(node.test)
        return joined([self._expression(node.body), self._expression(node.orelse)])

    def _of_namedexpr(self, node: ast.NamedExpr) -> Value:
        value = self._expression(node.value)
        self.bind(node.target, value)
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
            self.note(cell, f"cell {name}", write)
            try:
                held = Value.of(cell.cell_contents)
            except ValueError:
                held = FRESH
            return self.as_bound(cell, name, held)
        if name in self._names and name not in self._globals:
            return self._names[name]
        if name in self.space or name in self._globals:
            self.note(self.space, name, write)
            held = Value.of(self.space.get(name))
            return self.as_bound(self.space, name, held)
        return Value.of(getattr(builtins, name, None))

    def _called(self, node: ast.Call, used: bool) -> Value:
        function = self._expression(node.func)
        given = [self._expression(arg) for arg in node.args]
        named = {k.arg or "": self._expression(k.value) for k in node.keywords}
        return self.call(function, given, named, used)

    def above(self, given: list[Value]) -> Value:
        """What `super()` gives here."""
        if self._code is None:
            return FRESH
        return super_of(self._cells, self._names, self._code, given)

    def follow(self, function: Any, names: Names, around: Mapping[str, Any]) -> Value:
        """A function's body, with what its names hold."""
        key = (
            function.__code__,
            *map(id, around.values()),
            *((n, id(v.sample), *map(id, v.roots)) for n, v in names.items()),
        )
        if key in self._done:
            return self._done[key]
        self.followed.add(known.place_of(function.__code__))
        self._alive.append(names)  # so that identities stay true
        self._done[key] = Value(NOTHING, joined([*names.values()]).roots)
        nodes = known.sources_of(function)
        if not nodes or self._depth >= DEEPEST:
            for value in names.values():
                self.change_all(value)
            name = function.__qualname__
            self.effects.bound = self.effects.bound or f"what {name} does is not known"
            return self._done[key]
        kept = vars(self).copy()
        self.space, self._names = function.__globals__, dict(names)
        self._cells, self._code = dict(around), function.__code__
        every = (n for node in nodes for n in ast.walk(node))
        declared = (n for n in every if isinstance(n, ast.Global))
        self._globals = frozenset(name for each in declared for name in each.names)
        self._depth += 1
        self._returns = []
        for node in nodes:
            if isinstance(node, ast.Lambda):
                self._returns.append(self._expression(node.body))
            elif isinstance(node, ast.GeneratorExp):
                first = self.iterate(self._names.get(".0", FRESH))
                self._returns.append(self._comprehension(node, first))
            else:
                self._block(node.body)
        made = joined(self._returns)
        for name in _SCOPE:
            setattr(self, name, kept[name])
        self._done[key] = made
        return made


_SCOPE = ("space", "_names", "_globals", "_cells", "_depth", "_returns", "_code")
_KEEP = (ast.List, ast.Set, ast.Dict, ast.Starred, ast.Await)
