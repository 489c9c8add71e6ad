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
from collections.abc import Iterator, Sequence
from typing import Any

from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.bindings import names_in
from debottleneck.strategies.rewriting.bodies import Bodies
from debottleneck.strategies.rewriting.foreign import ELEMENT
from debottleneck.strategies.rewriting.locations import ALL, spend
from debottleneck.strategies.rewriting.values import (
    CONTAINERS,
    FRESH,
    NOTHING,
    Names,
    Parts,
    Value,
    display_of,
    elements,
    held_by,
    is_container,
    joined,
    kind_of,
    of_each,
    own_function,
    part_of,
)

MOST_TURNS = 5
"""Of a loop that are followed, two where nothing new comes."""

_BRANCHES = (ast.If, ast.Try, ast.TryStar, ast.For, ast.While, ast.Match)
"""Statements in which what is bound may not be."""


class Callees(Bodies):
    """Follows code and notes its effects.

    Args:
        space: The globals of the code.
        names: What its names hold.
        bound: Owner -> attribute -> what any code binds to it, now or later.
        beside: Whether another thread runs it.
    """

    def statement(self, node: ast.stmt, *, used: bool = True) -> None:
        """Note one statement; `used` False where nothing takes its value."""
        self._branches = isinstance(node, _BRANCHES)
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
        found = self.operated(known.methods_of(node), [before, value])
        if not all(isinstance(one.sample, PLAIN) for one in before.each):
            self.change(before, ALL)
        made = any(is_container(one.sample) for one in before.each)
        if made or any(kind_of(one) in CONTAINERS for one in before.each):
            self.put(before, [value])
        kept = before if before.roots or made else FRESH
        self.bind(node.target, joined([kept, found]) if found is not FRESH else kept)

    def _on_for(self, node: ast.For) -> None:
        item = self.iterate(self._expression(node.iter))
        for _ in self._turns():
            self.bind(node.target, item)
            self._block(node.body)
        self._block(node.orelse)

    def _on_if(self, node: ast.If) -> None:
        self._test(node.test)
        self._block(node.body)
        self._block(node.orelse)

    def _test(self, node: ast.expr) -> None:
        self.operated(known.TRUTH, [self._expression(node)])

    def _on_while(self, node: ast.While) -> None:
        for _ in self._turns():
            self._test(node.test)
            self._block(node.body)
        self._block(node.orelse)

    def _turns(self) -> Iterator[None]:
        """What one turn binds the next one finds, until there is nothing new."""
        for turn in range(MOST_TURNS):
            before = self._held_now()
            yield
            if turn and self._held_now() == before:
                return

    def _held_now(self) -> dict[str, set[int]]:
        return {n: {*map(id, v.roots)} for n, v in self._names.items()}

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
                joins = self._depth or self._branches
                both = joined([value, before]) if joins else value
                self._names[target.id] = both
        elif isinstance(target, ast.Attribute):
            base = self._expression(target.value)
            self.set_attribute(base, self.mangled(target.attr), value)
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
        self.put(base, given, _element(target))

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
        for index, target in enumerate(targets):
            self.bind(target, part_of(value, index, len(targets)))

    def _expression(self, node: ast.expr, *, used: bool = True) -> Value:
        spend()
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
            self.operated(known.TRUTH, parts)
            return joined(parts)
        if isinstance(node, _KEEP):
            return display_of(node, parts, self._made)
        for part in parts:
            self.read_all(part)
        return self.operated(known.methods_of(node), parts)

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
        return self.attribute(self._expression(node.value), self.mangled(node.attr))

    def _of_subscript(self, node: ast.Subscript) -> Value:
        base = self._expression(node.value)
        index = self._expression(node.slice)
        return of_each(base, lambda one: self._item(node, one, index))

    def _item(self, node: ast.Subscript, base: Value, index: Value) -> Value:
        kind = kind_of(base)
        method = inspect.getattr_static(kind, "__getitem__", None)
        if own_function(method):
            return self.invoke(method, [base, index], {})
        self.read(base)
        sample = base.sample
        always = base.alone and isinstance(node.slice, ast.Constant)
        if always and isinstance(sample, list | tuple | dict):
            try:
                held = Value.of(sample[index.sample])
            except (LookupError, TypeError):
                pass  # it is not known which
            else:
                held = self.as_bound(sample, ELEMENT, held)
                return self.as_bound(sample, _element(node), held)
        if known.is_array(sample) and sample.dtype != object:
            return Value(sample.reshape(-1)[:0], base.roots)  # a view, or a scalar
        listed = isinstance(sample, list | tuple | dict) and sample
        return elements(sample, base.roots) if listed else held_by(base)

    def _comprehension(self, node: Any, first: Value | None = None) -> Value:
        first = first or self.iterate(self._expression(node.generators[0].iter))
        targets = [part.target for part in node.generators]
        with self._hidden(set[str]().union(*(names_in(t, ast.Store) for t in targets))):
            for part in node.generators:
                item, first = first or self.iterate(self._expression(part.iter)), None
                self.bind(part.target, item)
                for test in part.ifs:
                    self._expression(test)
            if isinstance(node, ast.DictComp):
                self._expression(node.key)
            element = node.value if isinstance(node, ast.DictComp) else node.elt
            made = self._expression(element)
        return display_of(node, [made], self._made)

    _of_listcomp = _of_setcomp = _of_generatorexp = _of_dictcomp = _comprehension

    def _of_ifexp(self, node: ast.IfExp) -> Value:
        self._test(node.test)
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
        given: list[Value] = []
        named: Names = {}
        for arg in node.args:
            value = self._expression(arg)
            known = isinstance(value.sample, Parts) and not value.others
            if "" in named or (isinstance(arg, ast.Starred) and not known):
                self._spread("", held_by(value), named)
            else:
                starred = isinstance(arg, ast.Starred)
                given += value.sample.each if starred else [value]
        for keyword in node.keywords:
            self._spread(keyword.arg or "", self._expression(keyword.value), named)
        return self.call(function, given, named, used)

    def _spread(self, name: str, value: Value, named: Names) -> None:
        named[name] = joined([named[name], value]) if name in named else value


def _element(node: ast.Subscript) -> str:
    """Which element of a container, where that is told."""
    key = node.slice
    return f"[{key.value!r}]" if isinstance(key, ast.Constant) else ELEMENT


_KEEP = (ast.List, ast.Set, ast.Dict, ast.Starred, ast.Await)
