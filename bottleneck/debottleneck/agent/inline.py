"""A stage's marks within the user's own function: the code that it runs instead.

The function stays the user's object: name, signature, defaults, closure and frames
are plain python's, and assigning its `__code__` does what it always does. Only its
code is exchanged for one compiled from the same source with the body in `with
MARKS:`. The objects that this code needs are among its constants, so that nothing
is looked up by name, and pickle as stand-ins of the standard library: a function
that is sent by value needs nothing of ours at the other end.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import Any

from debottleneck.agent.dataflow import SCOPES, walk
from debottleneck.agent.generated import located

PLACEHOLDER = "<debottleneck point {}>"
"""Constant that stands for the n-th point until the code is there."""

Function = ast.FunctionDef | ast.AsyncFunctionDef

MARKS = {
    "function": "marks",
    "coroutine": "once",
    "generator": "turns",
    "asyncgen": "turns",
}
"""Attribute of the point whose `with` block the body of each kind is."""

_KINDS = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "coroutine"}


def first_line(function: Function) -> int:
    """Where its code begins: with its decorators."""
    return min(node.lineno for node in (function, *function.decorator_list))


def kind_of(function: Function) -> str:
    """function, coroutine, generator or asyncgen, by what its own body holds."""
    kind = _KINDS[type(function)]
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own(function)):
        return "asyncgen" if kind == "coroutine" else "generator"
    return kind


def own(function: Function) -> Iterator[ast.AST]:
    """Every node of the body that runs in the function's own frame."""
    return (node for part in function.body[::-1] for node in walk(part))


def inline(function: Function, number: int, *, told: bool) -> None:
    """Put the marks into the body, in place.

    Args:
        function: Its node, in a tree that nothing else needs.
        number: Of its point.
        told: Whether the point is to see what is returned.
    """
    kind = kind_of(function)
    documented = ast.get_docstring(function, clean=False) is not None
    head, body = function.body[:documented], function.body[documented:]
    if not body:
        body = [ast.copy_location(ast.Pass(), head[0])]
    point = ast.Constant(PLACEHOLDER.format(number))
    if kind in ("generator", "asyncgen"):
        _take_turns(function, point)
    elif told:
        for node in own(function):
            if isinstance(node, ast.Return) and node.value is not None:
                gives = _attribute(point, "gives")
                node.value = located(ast.Call(gives, [node.value], []), node)
    marks: ast.expr = _attribute(point, MARKS[kind])
    if kind == "coroutine":
        marks = ast.Call(marks, [], [])
    within = ast.With([ast.withitem(marks)], body)
    function.body = [*head, located(within, body[0])]


def _attribute(point: ast.Constant, name: str) -> ast.Attribute:
    return ast.Attribute(point, name, ast.Load())


def _take_turns(function: Function, point: ast.Constant) -> None:
    """Leave the stage at each `yield`, and come back to it after."""
    for parent in reversed([*own(function)]):
        if isinstance(parent, SCOPES):
            continue
        for name, value in ast.iter_fields(parent):
            if isinstance(value, list):
                value[:] = [_turn(each, point) for each in value]
            else:
                setattr(parent, name, _turn(value, point))


def _turn(node: Any, point: ast.Constant) -> Any:
    if not isinstance(node, ast.Yield | ast.YieldFrom):
        return node
    away = "out" if isinstance(node, ast.Yield) else "through"
    given = node.value or ast.Constant(None)
    node.value = ast.Call(_attribute(point, away), [given], [])
    return located(ast.Call(_attribute(point, "back"), [node], []), node)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Compile what has been compiled: its warnings have been shown.

    What `warnings` remembers to have shown stays remembered.
    """
    ignore = ("ignore", None, Warning, None, 0)
    filters: Any = warnings.filters
    filters.insert(0, ignore)
    try:
        yield
    finally:
        filters.remove(ignore)


Key = tuple[str, int]


def key_of(code: CodeType) -> Key:
    """What tells the functions of one file apart."""
    return code.co_qualname, code.co_firstlineno


def codes(module: CodeType) -> dict[Key, CodeType]:
    """The code of every function and class in a module, at every depth."""
    found: dict[Key, CodeType] = {}
    waiting = [module]
    while waiting:
        inner = [c for c in waiting.pop().co_consts if isinstance(c, CodeType)]
        found |= {key_of(code): code for code in inner}
        waiting += inner
    return found


def fill(
    code: CodeType, points: Mapping[str, object], inner: Mapping[Key, CodeType] = {}
) -> CodeType:
    """The code with objects for placeholders, and with other code for functions.

    Args:
        code: Compiled from a tree with placeholders.
        points: Placeholder -> what stands there.
        inner: Functions defined within it -> the code that they begin with.
    """
    constants = tuple(_filled(constant, points, inner) for constant in code.co_consts)
    if all(new is old for new, old in zip(constants, code.co_consts, strict=True)):
        return code
    return code.replace(co_consts=constants)


def _filled(
    constant: object, points: Mapping[str, object], inner: Mapping[Key, CodeType]
) -> object:
    if isinstance(constant, CodeType):
        constant = inner.get(key_of(constant), constant)
        return fill(constant, points, inner)
    return points.get(constant, constant) if isinstance(constant, str) else constant
