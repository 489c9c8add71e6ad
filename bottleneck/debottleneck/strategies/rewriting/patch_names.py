"""Which names a script binds and reads where."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import Any

from debottleneck.strategies.rewriting.patch import NoLines

Place = tuple[tuple[int, int], tuple[int, int]]
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LOOPS = (ast.For, ast.While, ast.AsyncFor)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


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
    found: Scope = tree
    for node in ast.walk(tree):  # the innermost comes last
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(part is inner for part in ast.walk(node)):
                found = node
    return found


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
        elif isinstance(part, ast.FunctionDef | ast.ClassDef):
            found.add(part.name)
        elif isinstance(part, ast.ExceptHandler) and part.name:
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
    first = min(outer, default=loop.lineno)
    found: set[str] = set()

    def visit(node: ast.AST, hidden: set[str], late: bool) -> None:
        if node is loop:
            for part in loop.orelse:
                visit(part, hidden, True)
            return
        if isinstance(node, _FUNCTIONS):
            given = {p.arg for p in ast.walk(node.args) if isinstance(p, ast.arg)}
            body = node.body if isinstance(node.body, list) else [node.body]
            own = set[str]().union(given, *map(bound_in, body))
            shared = {
                name
                for part in ast.walk(node)
                if isinstance(part, ast.Global | ast.Nonlocal)
                for name in part.names
            }
            hidden, late = hidden | own - shared, True
        elif isinstance(node, _COMPREHENSIONS):
            hidden = hidden.union(*(bound_in(g.target) for g in node.generators))
        elif isinstance(node, ast.For):
            visit(node.iter, hidden, late)
            if not any(part is loop for part in ast.walk(node)):
                hidden = hidden | bound_in(node.target)
            for part in (node.target, *node.body, *node.orelse):
                visit(part, hidden, late)
            return
        name = ""
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name and name not in hidden:
            if late or node.lineno >= first:  # type: ignore[attr-defined] # has a place
                found.add(name)
        for part in ast.iter_child_nodes(node):
            visit(part, hidden, late)

    for part in scope.body:
        visit(part, set(), False)
    return found


def parameter(tree: ast.Module, function: ast.expr, at: int) -> list[str]:
    """What the function of that name calls its argument, if the module has one."""
    name = getattr(function, "attr", getattr(function, "id", ""))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            given = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
            at += given[:1] in (["self"], ["cls"])
            return given[at : at + 1]
    return []
