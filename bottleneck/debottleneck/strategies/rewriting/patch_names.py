"""Which names a script binds and reads where."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

Place = tuple[tuple[int, int], tuple[int, int]]
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class NoLines(Exception):
    """Why the lines cannot be written, a clause."""


def place(node: Any) -> Place:
    """Where a node begins and ends, lines and columns as the parser has them."""
    end = node.end_lineno or 0, node.end_col_offset or 0
    return (node.lineno, node.col_offset), end


def loop_at(tree: ast.Module, line: int) -> ast.For | ast.While:
    """The loop that begins on a line.

    Raises:
        NoLines: None does.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While) and node.lineno == line:
            return node
    raise NoLines(f"line {line} is no loop any more")


def scope_of(tree: ast.Module, inner: ast.AST) -> Scope:
    """The function that a node is in, or the module."""
    found: ast.AST = tree
    for node in ast.walk(tree):  # the innermost comes last
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if is_function and any(part is inner for part in ast.walk(node)):
            found = node
    return found  # type: ignore[return-value] # one of them


def bound_in(node: ast.AST) -> set[str]:
    """Names that it binds, those of comprehensions and functions left out."""
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            found.add(part.id)
        elif isinstance(part, ast.alias):
            found.add((part.asname or part.name).partition(".")[0])
        elif isinstance(part, _NAMED) and part.name:
            found.add(part.name)
        if not isinstance(part, (*_FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS)):
            waiting += ast.iter_child_nodes(part)
    return found


def loads(node: ast.AST, without: Collection[Place] = ()) -> set[str]:
    """Names that it reads or deletes, but for these parts of it."""
    found: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.expr) and place(part) in without:
            continue
        if isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            found.add(part.target.id)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Store):
            found.add(part.id)
        waiting += ast.iter_child_nodes(part)
    return found


def bound_outside(scope: Scope, loop: ast.AST) -> set[str]:
    """Names that the scope binds besides in the loop."""
    found: set[str] = set()
    if not isinstance(scope, ast.Module):
        found |= {
            part.arg for part in ast.walk(scope.args) if isinstance(part, ast.arg)
        }
    waiting: list[ast.AST] = [*scope.body]
    while waiting:
        part = waiting.pop()
        if part is loop:
            continue
        if any(each is loop for each in ast.walk(part)):
            waiting += ast.iter_child_nodes(part)
        else:
            found |= bound_in(part)
    return found


def read_elsewhere(scope: Scope, loop: ast.For | ast.While) -> set[str]:
    """Names that may be read after the loop began, but not in it."""
    outer = [
        node.lineno
        for node in ast.walk(scope)
        if isinstance(node, _LOOPS)
        and node is not loop
        and any(part is loop for part in ast.walk(node))
    ]
    reading = _Reading(loop, min(outer, default=loop.lineno))
    for part in scope.body:
        reading.look(part, set(), False)
    return reading.found


def names_at(scope: Scope) -> set[str]:
    """Names that something in a scope binds, or reads from it or beyond."""
    reading = _Reading(None, 0)
    for part in scope.body:
        reading.look(part, set(), True)
    given = [] if isinstance(scope, ast.Module) else [*ast.walk(scope.args)]
    found = {part.arg for part in given if isinstance(part, ast.arg)}
    return reading.found.union(found, *map(bound_in, scope.body))


class _Reading:
    """Collects names that are read outside of a loop.

    Args:
        loop: Left out, but for its `else`.
        first: The line from which on a name counts; in functions it does anywhere.
    """

    def __init__(self, loop: ast.For | ast.While | None, first: int) -> None:
        self.found: set[str] = set()
        self._loop, self._first = loop, first

    def look(self, node: ast.AST, hidden: set[str], late: bool) -> None:
        """Go through a node; `hidden` are names that are something else there."""
        if self._loop is not None and node is self._loop:
            for part in self._loop.orelse:
                self.look(part, hidden, True)
            return
        name = ""
        if isinstance(node, _FUNCTIONS):
            hidden, late = hidden | _own(node), True
        elif isinstance(node, _COMPREHENSIONS):
            hidden = hidden.union(*(bound_in(g.target) for g in node.generators))
        elif isinstance(node, ast.For):
            self.look(node.iter, hidden, late)
            if not any(part is self._loop for part in ast.walk(node)):
                hidden = hidden | bound_in(node.target)
            for part in (*node.body, *node.orelse):
                self.look(part, hidden, late)
            return
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name and name not in hidden and (late or _line(node) >= self._first):
            self.found.add(name)
        for inner in ast.iter_child_nodes(node):
            self.look(inner, hidden, late)


def _line(node: Any) -> int:
    return int(node.lineno)


def _own(node: Any) -> set[str]:
    """Names of a function's own."""
    given = {part.arg for part in ast.walk(node.args) if isinstance(part, ast.arg)}
    body = node.body if isinstance(node.body, list) else [node.body]
    shared = {
        name
        for part in ast.walk(node)
        if isinstance(part, ast.Global | ast.Nonlocal)
        for name in part.names
    }
    return given.union(*map(bound_in, body)) - shared


def parameter(tree: ast.Module, function: ast.expr, at: int) -> list[str]:
    """What the function of that name calls its argument, if the module has one."""
    name = getattr(function, "attr", getattr(function, "id", ""))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            given = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            at += given[:1] in (["self"], ["cls"])
            return given[at : at + 1]
    return []
