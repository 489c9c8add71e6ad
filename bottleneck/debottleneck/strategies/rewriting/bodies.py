"""Bodies of functions followed, each with what its names hold."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from debottleneck.agent.dataflow import declared
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.calling import Calling, super_of
from debottleneck.strategies.rewriting.foreign import Bound
from debottleneck.strategies.rewriting.values import (
    FRESH,
    NOTHING,
    Local,
    Made,
    Names,
    Value,
    given_to,
    joined,
)

DEEPEST = 24
"""Calls within calls that are followed."""

_SCOPE = ("space", "_names", "_globals", "_cells", "_code")
_OF_CALL = ("_depth", "_returns")


class Bodies(Calling):
    """Goes into what is called, and comes back."""

    _block: Callable[[Sequence[ast.stmt]], None]
    _expression: Callable[..., Value]
    _comprehension: Callable[..., Value]

    def __init__(
        self, space: dict[str, Any], names: Names, bound: Bound | None = None,
        *, beside: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(bound)
        self.beside = beside
        self.space = space
        self._names = names
        self._globals: frozenset[str] = frozenset()
        self._cells: dict[str, Any] = {}
        self._depth = 0
        self._code: types.CodeType | None = None
        self._branches = False
        self.followed: set[known.Place] = set()
        self._returns: list[Value] = []
        self._done: dict[Any, Value] = {}
        self._made: dict[ast.expr, Made] = {}
        self._alive: list[Names] = []

    def above(self, given: list[Value]) -> Value:
        """What `super()` gives here."""
        if self._code is None:
            return FRESH
        return super_of(self._cells, self._names, self._code, given)

    def mangled(self, name: str) -> str:
        """An attribute as objects have it: `__x` is the class's own."""
        if self._code is None or not name.startswith("__") or name.endswith("__"):
            return name
        method = self._code.co_qualname.rpartition("<locals>.")[2]
        owner = method.rpartition(".")[0].rpartition(".")[2].lstrip("_")
        return f"_{owner}{name}" if owner else name

    def follow(self, function: Any, names: Names, around: Mapping[str, Any]) -> Value:
        """A function's body, with what its names hold."""
        key = (function.__code__, *map(id, around.values()), *_told(names))
        if key in self._done:
            return self._done[key]
        self.followed.add(known.place_of(function.__code__))
        nodes = known.sources_of(function)
        if not self._may_follow(key, names, bool(nodes), function.__qualname__):
            return self._done[key]
        with self._within(vars(self)):
            self.space, self._names = function.__globals__, dict(names)
            self._cells, self._code = dict(around), function.__code__
            self._globals = _global_in(*nodes)
            for node in nodes:
                self._body(node)
            self._done[key] = joined(self._returns)
        return self._done[key]

    def inner(self, function: Local, given: list[Value], named: Names) -> Value:
        """A call of a function that the code itself defines."""
        around: Names = function.scope["_names"]
        names = {**around, **given_to(function, given, named)}
        key = (function.node, *_told(names))
        name = getattr(function.node, "name", "<lambda>")
        if key in self._done or not self._may_follow(key, names, True, name):
            return self._done[key]
        with self._within(function.scope):
            self._names = dict(names)
            self._globals = self._globals | _global_in(function.node)
            self._body(function.node)
            self._done[key] = joined(self._returns)
            nonlocal_names = declared(ast.walk(function.node), ast.Nonlocal)
            for name in nonlocal_names & self._names.keys():
                around[name] = joined([self._names[name], around.get(name, FRESH)])
        return self._done[key]

    def _may_follow(self, key: Any, names: Names, found: bool, name: str) -> bool:
        """Whether a body can be gone into; else the worst is noted."""
        self._alive.append(names)  # so that identities stay true
        self._done[key] = Value(NOTHING, joined([*names.values()]).roots)
        if found and self._depth < DEEPEST:
            return True
        for value in names.values():
            self.change_all(value)
        self._bound(f"what {name} does is not known")
        return False

    @contextmanager
    def _within(self, scope: Mapping[str, Any]) -> Iterator[None]:
        """Names are looked up there, and what is returned is collected."""
        kept = {name: vars(self)[name] for name in (*_SCOPE, *_OF_CALL)}
        for name in _SCOPE:
            setattr(self, name, scope[name])
        self._depth, self._returns = self._depth + 1, []
        yield
        for name, value in kept.items():
            setattr(self, name, value)

    @contextmanager
    def _hidden(self, own: Collection[str]) -> Iterator[None]:
        """Names of the code's that a comprehension has for its own."""
        around = {name: self._names.pop(name) for name in {*own} & self._names.keys()}
        kept = self._globals, self._cells
        self._globals = self._globals - {*own}
        self._cells = {n: cell for n, cell in self._cells.items() if n not in own}
        yield
        for name in own:
            self._names.pop(name, None)
        self._names |= around
        self._globals, self._cells = kept

    def _body(self, node: known.Node) -> None:
        if isinstance(node, ast.Lambda):
            self._returns.append(self._expression(node.body))
        elif isinstance(node, ast.GeneratorExp):
            first = self.iterate(self._names.get(".0", FRESH))
            self._returns.append(self._comprehension(node, first))
        else:
            self._block(node.body)

    def _on_functiondef(self, node: ast.FunctionDef) -> None:
        self._names[node.name] = self._defined(node)
        self._later(node.args, node.body)

    def _of_lambda(self, node: ast.Lambda) -> Value:
        self._later(node.args, [ast.Expr(node.body)])
        return self._defined(node)

    def _defined(self, node: ast.FunctionDef | ast.Lambda) -> Value:
        """A function that is defined here, with its defaults."""
        spec = node.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)][::-1]
        given = [*zip(names, spec.defaults[::-1], strict=False)]
        more = [
            (a.arg, d)
            for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
            if d
        ]
        defaults = {name: self._expression(part) for name, part in (*given, *more)}
        return Value(Local(node, defaults, {n: vars(self)[n] for n in _SCOPE}))

    def _later(self, given: ast.arguments, body: Sequence[ast.stmt]) -> None:
        """What is defined for later, taken as if it were called where it stands."""
        own = {arg.arg for arg in ast.walk(given) if isinstance(arg, ast.arg)}
        kept = {name: value for name, value in self._names.items() if name in own}
        self._names |= dict.fromkeys(own, FRESH)
        self._block(body)
        for name in own:
            self._names.pop(name, None)
        self._names |= kept


def _told(names: Names) -> Iterator[Any]:
    """What tells values apart."""
    return ((n, id(v.sample), *map(id, v.roots)) for n, v in names.items())


def _global_in(*nodes: ast.AST) -> frozenset[str]:
    every = (part for node in nodes for part in ast.walk(node))
    return frozenset(declared(every, ast.Global))
