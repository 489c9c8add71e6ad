"""A loop's body as one call a line, and the copy in which any can be taken."""

from __future__ import annotations

import ast
from typing import Any

from debottleneck.strategies.rewriting.flatten import FlatLoop, flatten


class _Takes:
    """What a copy refers to: nothing is taken, or what a test says."""

    unset = object()

    def __init__(self, taken: dict[int, Any], count: int) -> None:
        self.taken = [n in taken for n in range(count)]
        self.values = [taken.get(n) for n in range(count)]
        self.seen: list[int] = []

    def out(self, number: int, value: Any) -> Any:
        self.seen.append(number)
        return value


def _flat(source: str) -> tuple[FlatLoop, ast.stmt]:
    loop = ast.parse(source).body[0]
    assert isinstance(loop, ast.For)

    def make(name: str) -> ast.expr:
        return ast.Attribute(ast.Name("P", ast.Load()), name, ast.Load())

    return flatten(loop, make, loop.iter)


def _run(
    source: str, taken: dict[int, Any], **names: Any
) -> tuple[dict[str, Any], Any]:
    flat, copy = _flat(source)
    takes = _Takes(taken, len(flat.lines))
    space = {"P": takes, **names}
    module = ast.fix_missing_locations(ast.Module([copy], []))
    exec(compile(module, "<copy>", "exec"), space)
    return space, takes


def test_each_call_is_a_line_in_the_order_of_evaluation() -> None:
    """Arguments come before the call, and the statement after its value."""
    flat, _ = _flat("for i in x:\n    a = f(g(i), y[i])\n")
    assert [ast.unparse(line.node) for line in flat.lines] == [
        ".0 = g(i)", ".1 = y[i]", ".2 = f(.0, .1)", "a = .2",
    ]  # fmt: skip


def test_what_is_lazy_is_not_taken_apart() -> None:
    """A call that may not be made stays within its line."""
    flat, _ = _flat("for i in x:\n    a = f(i) if i else g(i)\n    b = i and h(i)\n")
    assert len(flat.lines) == 2


def test_a_name_that_is_changed_in_place_is_read() -> None:
    """`a += 1` depends on the `a` before it."""
    flat, _ = _flat("for i in x:\n    a += i\n")
    assert "a" in flat.lines[0].uses


def test_lines_that_pause_or_return_stay() -> None:
    """Nothing that needs the user's own frame runs elsewhere."""
    flat, _ = _flat("for i in x:\n    del y[i]\n    z = super().f(i)\n")
    assert all(line.stays for line in flat.lines if not line.temporary)


def test_the_copy_computes_what_the_loop_does() -> None:
    """With nothing taken every line runs in its place."""
    source = "for i in range(3):\n    a = f(g(i))\n    out.append(a)\n"
    out: list[int] = []
    _, takes = _run(source, {}, f=lambda v: v + 1, g=lambda v: v * 2, out=out)
    assert out == [1, 3, 5]
    assert takes.seen[:3] == [0, 1, 2]


def test_a_taken_call_is_not_made() -> None:
    """Its value stands where the call would have been, its arguments unevaluated."""
    source = "for i in range(2):\n    out.append(f(g(i)))\n"
    out: list[int] = []
    _run(source, {1: 42}, f=None, g=None, out=out)
    assert out == [42, 42]


def test_a_taken_statement_binds_what_it_bound_ahead() -> None:
    """Names that were not bound ahead keep what they hold."""
    source = "for i in range(1):\n    if f(i):\n        a = 1\n        b = 2\n"
    values = {0: (0, 7, _Takes.unset)}
    space, _ = _run(source, values, a=0, b=0)
    assert (space["a"], space["b"]) == (7, 0)


def test_a_taken_break_leaves_the_loop() -> None:
    """What the line ended with ahead ends the iteration here."""
    source = "for i in range(9):\n    if f(i):\n        break\n    out.append(i)\n"
    out: list[int] = []
    _run(source, {0: (1,)}, out=out)
    assert out == []
