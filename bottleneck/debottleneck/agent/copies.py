"""One more copy of each loop, which a strategy makes and to which it is handed over."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from debottleneck.agent.dataflow import SCOPES, walk
from debottleneck.agent.generated import located, parsed

Copy = Callable[[ast.For | ast.While, str, ast.expr], tuple[object, ast.stmt]]
"""A loop, its point's placeholder and what its copy goes over -> what the copy
consists of, and the copy."""

_copies: list[Copy] = []
_returning: list[bool] = []


def copy_with(copy_of: Copy, *, returning: bool = False) -> None:
    """Compile each loop once more, for a strategy.

    Args:
        copy_of: Makes the copy.
        returning: Whether the marked copy goes on after some of its iterations.
    """
    _copies[:] = [copy_of]
    _returning[:] = [True] * returning


def declarations(loop: ast.For | ast.While) -> list[ast.stmt]:
    """Take `global` and `nonlocal` out of a loop: only the first copy may hold them."""
    found: list[ast.stmt] = []
    for node in walk(loop):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and not isinstance(node, SCOPES):
                kinds = ast.Global | ast.Nonlocal
                declared = [each for each in value if isinstance(each, kinds)]
                found += declared
                kept = [n for n in value if n not in declared]
                needed = [ast.copy_location(ast.Pass(), n) for n in declared[:1]]
                setattr(node, name, kept or needed)
    return found


def pauses(body: Sequence[ast.stmt]) -> bool:
    """Whether the function that these statements are of is a generator, by them."""
    kinds = ast.Yield | ast.YieldFrom | ast.Await
    return any(isinstance(node, kinds) for part in body for node in walk(part))


def returns(loop: ast.For | ast.While) -> bool:
    """Whether its marked copy stands in a loop of ours, to be begun again.

    Not where its `else` leaves, or goes on with, a loop around it.
    """
    jumps = (ast.Break, ast.Continue)
    nodes = (node for part in loop.orelse for node in ast.walk(part))
    return bool(_returning) and not any(isinstance(node, jumps) for node in nodes)


def items(loop: ast.For, placeholder: str, given: ast.expr) -> ast.expr:
    """What the marked copy goes over: `given`, or what is left of it."""
    if not returns(loop):
        return given
    text = "$GIVEN if $POINT.fresh else $POINT.iterator()"
    made = parsed(text, GIVEN=given, POINT=ast.Constant(placeholder))[0].value
    assert isinstance(made, ast.expr)
    return made


def begun_again(loop: ast.For | ast.While, marked: ast.stmt) -> list[ast.stmt]:
    """The marked copy, in a loop of ours where it may be begun again."""
    if not returns(loop):
        return [marked]
    return [ast.While(ast.Constant(True), [marked, ast.Break()], [])]


def other(
    loop: ast.For | ast.While, placeholder: str, rest: ast.stmt
) -> tuple[object, ast.stmt]:
    """What goes on after the marked copy: the strategy's if it rewrites this loop."""
    if not _copies or (_returning and not returns(loop)) or pauses(loop.body):
        return None, rest
    point = ast.Constant(placeholder)
    source = parsed("$POINT.iterator()", POINT=point)[0].value
    flat, copied = _copies[0](loop, placeholder, source)
    if _returning and isinstance(copied, ast.For | ast.While):
        again = located(parsed("if $POINT.back(): continue", POINT=point)[0], loop)
        again.orelse, copied.orelse = copied.orelse, [again]
    text = "if $POINT.rewritten and $POINT.rewritten.begins(): $COPIED\nelse: $REST"
    return flat, parsed(text, POINT=point, COPIED=[copied], REST=[rest])[0]
