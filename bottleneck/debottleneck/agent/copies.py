"""One more copy of each loop, which a strategy makes and to which it is handed over."""

from __future__ import annotations

import ast
from collections.abc import Callable

Copy = Callable[[ast.For | ast.While, str, ast.expr], tuple[object, ast.stmt]]
"""A loop, its point's placeholder and what its copy goes over -> what the copy
consists of, and the copy."""

_copies: list[Copy] = []


def copy_with(copy_of: Copy) -> None:
    """Compile each loop once more, for a strategy."""
    _copies[:] = [copy_of]


def other(
    loop: ast.For | ast.While, placeholder: str, rest: ast.stmt
) -> tuple[object, ast.stmt]:
    """What goes on after the marked copy: the strategy's where it rewrites this loop.

    Args:
        loop: As written.
        placeholder: Stands for its point.
        rest: The plain copy.
    """
    if not _copies:
        return None, rest
    point = ast.Constant(placeholder)
    source = ast.Call(ast.Attribute(point, "iterator", ast.Load()), [], [])
    flat, copied = _copies[0](loop, placeholder, source)
    rewritten = ast.Attribute(point, "rewritten", ast.Load())
    begins = ast.Call(ast.Attribute(rewritten, "begins", ast.Load()), [], [])
    test = ast.BoolOp(ast.And(), [rewritten, begins])
    return flat, ast.If(test, [copied], [rest])
