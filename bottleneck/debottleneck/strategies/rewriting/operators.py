"""Which methods operators and Python's own functions go to."""

from __future__ import annotations

import ast
import builtins
from typing import Any

_BINARY = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.MatMult: "matmul",
    ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
    ast.LShift: "lshift", ast.RShift: "rshift", ast.BitAnd: "and", ast.BitOr: "or",
    ast.BitXor: "xor",
}  # fmt: skip
_UNARY = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert"}
_COMPARE = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt",
    ast.GtE: "ge", ast.In: "contains", ast.NotIn: "contains",
}  # fmt: skip
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
        name = _UNARY.get(type(node.op))
        return (f"__{name}__",) if name else TRUTH
    if isinstance(node, ast.BinOp | ast.AugAssign):
        name = _BINARY[type(node.op)]
        own = (f"__i{name}__",) if isinstance(node, ast.AugAssign) else ()
        return (*own, f"__{name}__", f"__r{name}__")
    if isinstance(node, ast.Compare):
        return tuple(
            f"__{_COMPARE[type(o)]}__" for o in node.ops if type(o) in _COMPARE
        )
    if isinstance(node, ast.FormattedValue):
        return ("__format__", "__str__", "__repr__")
    return ()


def methods_called(function: Any) -> tuple[str, ...]:
    """Names of the methods that a function of Python's own goes to."""
    try:
        return _CALLED.get(function, ())
    except TypeError:  # it cannot be hashed
        return ()
