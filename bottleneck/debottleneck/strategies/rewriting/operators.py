"""Which methods operators and Python's own functions go to."""

from __future__ import annotations

import ast
import builtins
from typing import Any

_NAMES = {
    "Mult": "mul", "MatMult": "matmul", "Div": "truediv", "BitAnd": "and",
    "BitOr": "or", "BitXor": "xor", "USub": "neg", "UAdd": "pos", "NotEq": "ne",
    "LtE": "le", "GtE": "ge", "In": "contains", "NotIn": "contains",
}  # fmt: skip
"""Of operators, where a method is not called as the operator is."""

TRUTH = ("__bool__", "__len__")
"""Methods that tell whether something holds."""
_CALLED: dict[Any, tuple[str, ...]] = {
    len: ("__len__",), bool: TRUTH, str: ("__str__", "__repr__"), repr: ("__repr__",),
    print: ("__str__", "__repr__"), format: ("__format__", "__str__"),
    int: ("__int__", "__index__"), float: ("__float__",), abs: ("__abs__",),
    round: ("__round__",), hash: ("__hash__",), divmod: ("__divmod__",),
    pow: ("__pow__",), builtins.any: TRUTH, builtins.all: TRUTH,
    sum: ("__add__", "__radd__"), min: ("__lt__",), max: ("__gt__",),
    sorted: ("__lt__",),
}  # fmt: skip


def methods_of(node: ast.AST) -> tuple[str, ...]:
    """Names of the methods that an expression with an operator may go to."""
    if isinstance(node, ast.UnaryOp):
        return TRUTH if isinstance(node.op, ast.Not) else (f"__{_name(node.op)}__",)
    if isinstance(node, ast.BinOp | ast.AugAssign):
        own = ("i", "") if isinstance(node, ast.AugAssign) else ("",)
        return tuple(f"__{kind}{_name(node.op)}__" for kind in (*own, "r"))
    if isinstance(node, ast.Compare):
        return tuple(f"__{_name(op)}__" for op in node.ops)
    if isinstance(node, ast.FormattedValue):
        return ("__format__", "__str__", "__repr__")
    return ()


def _name(operator: ast.AST) -> str:
    name = type(operator).__name__
    return _NAMES.get(name, name.lower())


def methods_called(function: Any) -> tuple[str, ...]:
    """Names of the methods that a function of Python's own goes to."""
    try:
        return _CALLED.get(function, ())
    except TypeError:  # it cannot be hashed
        return ()
