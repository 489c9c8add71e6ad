"""A loop whose turns run side by side, in the user's words and the library's."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from debottleneck.strategies.rewriting.patch import Script
from debottleneck.strategies.rewriting.patch_names import (
    NoLines,
    bound_in,
    loads,
    names_at,
    read_elsewhere,
    scope_of,
)
from debottleneck.strategies.spec import FORWARD


def side_by_side(script: Script, plan: Mapping[str, Any]) -> None:
    """Change the script.

    Args:
        script: The file.
        plan: The loop's, as `Plan.as_json` gives it.

    Raises:
        NoLines: It cannot be written.
    """
    how = f", workers={plan['workers']}"
    for node in ast.walk(script.tree):
        if getattr(node, "lineno", 0) != plan["line"]:
            continue
        if isinstance(node, ast.For):
            return _statement(script, node, plan["strategy"] == FORWARD, how)
        if isinstance(node, ast.ListComp) and len(node.generators) == 1:
            return _comprehension(script, node, how)
    raise NoLines(f"line {plan['line']} is no loop any more")


def _comprehension(script: Script, node: ast.ListComp, how: str) -> None:
    """`[layer(x) for layer in layers]`, and what is like it."""
    part, element = node.generators[0], node.elt
    items, own = script.of(part.iter), bound_in(part.target)
    if isinstance(element, ast.Call) and not element.keywords:
        inputs = element.args
        alone = len(inputs) == 1 and not isinstance(inputs[0], ast.Starred)
        if alone and loads(element.func) & own and not loads(inputs[0]) & own:
            branch, x = script.of(element.func), script.of(inputs[0])
            branches = f"[{branch} for {script.of(part.target)} in {items}]"
            if branch == script.of(part.target):
                branches = items
            called = script.use("parallel_forward")
            script.change(*script.span(node), f"{called}({branches}, {x}{how})")
            return
    if not isinstance(part.target, ast.Name):
        raise NoLines("its turns have several names")
    function = f"lambda {part.target.id}: {script.of(element)}"
    called = script.use("parallel_forward")
    script.change(*script.span(node), f"{called}({function}, {items}{how})")


def _statement(script: Script, node: ast.For, forward: bool, how: str) -> None:
    """`for p, g in zip(params, grads): update(p, g)`, and what is like it."""
    bound = set[str]().union(bound_in(node.target), *map(bound_in, node.body))
    scope = scope_of(script.tree, node)
    script.names |= names_at(scope)
    lost = bound & read_elsewhere(scope, node)
    if lost:
        raise NoLines(f"{min(lost)}, which its turns set, is used after it")
    called = script.use("parallel_forward" if forward else "parallel_update")
    names = _names(node.target)
    items = _items(script, node, names, forward)
    each = len(items) == len(names)
    start, end = script.span(node)
    function, text = _function_called(node, names) if each else "", ""
    if not function:
        end = script.end(node.end_lineno or 0)
        function = script.free("forward" if forward else "update", "one_turn")
        text = _definition(script, node, function, ", ".join(names) if each else "")
    script.change(start, end, f"{text}{called}({function}, {', '.join(items)}{how})")


def _definition(script: Script, node: ast.For, name: str, given: str) -> str:
    """The turn as a function, and the indentation of what follows it."""
    indent, inner = script.indent(node), script.indent(node.body[0])
    colon = script.text.index(":", script.span(node.iter)[1])
    body = script.text[colon : script.end(node.end_lineno or 0)]
    if not given:
        if inner.strip():  # the body stands on the line of the `for`
            inner = f"{indent}    "
            body = f":\n{inner}{body[1:].strip()}"
        head, row, rest = body.partition("\n")
        unpacked = f"{inner}{script.of(node.target)} = item"
        body = f"{head}{row}{unpacked}{script.newline}{rest}"
    return f"def {name}({given or 'item'}){body}\n{indent}"


def _names(target: ast.expr) -> list[str]:
    """Of a target that is a name or a row of names; [] of another."""
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def _items(script: Script, node: ast.For, names: list[str], forward: bool) -> list[str]:
    """What the turns are given: parameters and gradients, or one thing each.

    As with `zip(..., strict=True)` there must be as many of both.
    """
    call: Any = node.iter
    zipped = isinstance(call, ast.Call) and getattr(call.func, "id", "") == "zip"
    paired = zipped and len(names) == len(call.args) == 2
    if paired and not forward:
        return [script.of(part) for part in call.args]
    return [script.of(call)]


def _function_called(node: ast.For, names: list[str]) -> str:
    """The function that a turn is one call of, with just these names; "" if none is."""
    only = node.body[0].value if isinstance(node.body[0], ast.Expr) else None
    if len(node.body) > 1 or not isinstance(only, ast.Call) or only.keywords:
        return ""
    given = [part.id for part in only.args if isinstance(part, ast.Name)]
    whole = len(given) == len(only.args) and given == names
    return only.func.id if whole and isinstance(only.func, ast.Name) else ""
