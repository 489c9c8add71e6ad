"""Comprehensions as loops: the one of a statement that may train, and its marks."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence

from debottleneck.agent.dataflow import SCOPES, last_word, walk

Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp

_EXHAUST = frozenset(
    ("all", "any", "dict", "list", "max", "min", "set", "sorted", "sum", "tuple")
)
"""Built-in functions that go through all items of a generator before they return."""


def comprehension_of(node: ast.stmt) -> Comprehension | None:
    """The first one that runs once, as a part of this statement, and calls something.

    Not one that is asynchronous, and no generator that may be left for later.
    """
    waiting: list[ast.AST] = [node]
    while waiting:
        part = waiting.pop(0)
        inner: Iterable[ast.AST] = ast.iter_child_nodes(part)
        if isinstance(part, Comprehension):
            if _may_train(part):
                return part
            continue
        if not (isinstance(part, ast.Call) and _name(part) in _EXHAUST):
            inner = (n for n in inner if not isinstance(n, ast.GeneratorExp))
        if not isinstance(part, SCOPES):
            waiting += inner
    return None


def made(node: Comprehension) -> Sequence[ast.expr]:
    """What is made of each item, in the order of evaluation."""
    return [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]


def mark(node: Comprehension, before: ast.expr, items: ast.expr) -> None:
    """Go over `items` instead, and evaluate `before`, which is false, for each."""
    node.generators[0].iter = items
    first = ast.copy_location(ast.BoolOp(ast.Or(), [before, made(node)[0]]), node)
    if isinstance(node, ast.DictComp):
        node.key = first
    else:
        node.elt = first


def _may_train(node: Comprehension) -> bool:
    """Where each item is given to a function that is not built in."""
    pauses = (ast.Await, ast.Yield, ast.YieldFrom)
    parts = [each for part in made(node) for each in walk(part)]
    if any(each.is_async for each in node.generators):
        return False
    calls = [n for n in parts if isinstance(n, ast.Call)]
    return not any(isinstance(n, pauses) for n in parts) and any(
        not hasattr(builtins, _name(call) or "print") for call in calls
    )


def _name(call: ast.Call) -> str:
    """What is called, where that is no attribute; else what its last word is."""
    return call.func.id if isinstance(call.func, ast.Name) else f".{last_word(call)}"
