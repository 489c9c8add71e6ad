"""Code that is made here, from text."""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Mapping, Sequence
from typing import Any

from debottleneck.agent.aside import again

_DOT = "__dot__"


def parsed(text: str, **parts: ast.expr | Sequence[ast.stmt]) -> list[Any]:
    """Statements from a text, without places in a source.

    Args:
        text: Names may have a `$` in them for a dot, which no name of the user's has.
        parts: What names like `$PART` in it stand for: expressions, or statements for
            one that is a statement.
    """
    # CPython 3.11 counts how deep the trees of all threads are in one place.
    tree = again(SystemError, ast.parse, text.replace("$", _DOT))
    for node in ast.walk(tree):
        for name in node._attributes:
            if hasattr(node, name):
                delattr(node, name)
    filled = _Fill(parts).visit(tree)
    return [*filled.body]


class _Fill(ast.NodeTransformer):
    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = {f".{name}": part for name, part in parts.items()}

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Statements in place of one."""
        part = self._parts.get(_with_dots(getattr(node.value, "id", "")))
        return [*part] if isinstance(part, Sequence) else self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        """An expression, or a name."""
        node.id = _with_dots(node.id)
        return copy.deepcopy(self._parts.get(node.id, node))

    def visit_arg(self, node: ast.arg) -> Any:
        """A parameter."""
        node.arg = _with_dots(node.arg)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        """A function."""
        node.name = _with_dots(node.name)
        return self.generic_visit(node)


def _with_dots(name: str) -> str:
    return name.replace(_DOT, ".")


class Put(ast.NodeTransformer):
    """Puts expressions, or other names, in place of names."""

    def __init__(self, parts: Mapping[str, ast.expr | str]) -> None:
        self._parts = parts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A name."""
        part = self._parts.get(node.id, node)
        if isinstance(part, str):
            return ast.copy_location(ast.Name(part, node.ctx), node)
        return part


def listed(names: Sequence[str]) -> str:
    """Names as a text has them, with a comma after each."""
    return "".join(f"{name}, " for name in names).replace(".", "$")


def located(node: Any, place: ast.AST) -> Any:
    """Give what was made here the place of the user's node that it stands for."""
    for part in ast.walk(node):
        placed = isinstance(part, ast.stmt | ast.expr | ast.arg)
        if placed and getattr(part, "lineno", None) is None:
            ast.copy_location(part, place)
    return node


def codes_of(functions: list[ast.stmt], file: str) -> list[types.CodeType]:
    """Functions compiled, as if they stood in that file."""
    tree = ast.Module(functions, [])
    module = again(SystemError, compile, tree, file, "exec", dont_inherit=True)
    return [each for each in module.co_consts if isinstance(each, types.CodeType)]
