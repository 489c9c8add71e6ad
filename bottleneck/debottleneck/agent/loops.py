"""The loops of the user's code compiled twice: plain, and with each statement marked.

A loop becomes `if POINT.open: the marked copy, else: the plain one`. The marked copy
hands over to a plain one over the same iterator when it is told to fall silent, so
that a loop which turns out to be no training loop costs nothing more. Line numbers,
names, `break`, `continue`, `return` and `else` are as written. Nothing is looked up
by name: the points are constants of the code (see `inline`).
"""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from debottleneck.agent import comprehensions, copies
from debottleneck.agent.carried import carried
from debottleneck.agent.dataflow import (
    Module,
    changed_by,
    flow_of,
    items_of,
    module_of,
    own_parts,
    walk,
)
from debottleneck.agent.generated import parsed
from debottleneck.agent.plans import ChangePlan, LoopPlan, Prepared, Statement

LONGEST = 80
"""Characters of a statement that are kept."""

Node = TypeVar("Node", bound=ast.AST)
_Block = Callable[[list[ast.stmt]], list[ast.stmt]]
Loop = ast.For | ast.While
Function = ast.FunctionDef | ast.AsyncFunctionDef
_TRIVIAL = (
    ast.Pass, ast.Break, ast.Continue, ast.Global, ast.Nonlocal,
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef,
)  # fmt: skip
_WORK = (ast.Call, ast.BinOp, ast.Subscript, ast.Compare, ast.AugAssign, ast.Await)


_OF_ITERABLE = sys.version_info >= (3, 13)
"""Whether what cannot be iterated over is shown as such in tracebacks, not the loop."""


def prepare(
    tree: ast.Module,
    lines: Sequence[str],
    placeholder: str,
    module: Module | None = None,
    asked: int = 0,
) -> Prepared:
    """Prepare every loop of a module, in place.

    Args:
        tree: The module, in a form that nothing else needs.
        lines: Its source.
        placeholder: Pattern of the constants that stand for points.
        module: What its names stand for, where that is known.
        asked: Line of a loop that is prepared wherever it is, 0 for none.
    """
    known = module or module_of(tree)
    return _Pass(tree, lines, placeholder, known, asked).prepared


def open_function(
    tree: ast.Module,
    function: ast.FunctionDef,
    lines: Sequence[str],
    placeholder: str,
    known: Collection[int],
) -> tuple[LoopPlan, list[LoopPlan]]:
    """Mark the statements of one function, and leave the rest of the module plain.

    Args:
        tree: The module, in a form that nothing else needs.
        function: One of it; no generator and no coroutine.
        lines: The module's source.
        placeholder: Pattern of what stands for points; the function's is of "function".
        known: Lines of loops that were prepared before: they are again.

    Returns:
        The function's plan, and those of loops in it.
    """
    walker = _Pass(ast.Module([], []), lines, placeholder, module_of(tree))
    return walker.opened(function, known), walker.prepared.loops


class _Pass:
    """One pass over a module."""

    def __init__(
        self,
        tree: ast.Module,
        lines: Sequence[str],
        placeholder: str,
        module: Module,
        asked: int = 0,
    ) -> None:
        self.prepared, self._module = Prepared(module), module
        self._lines, self._placeholder = lines, placeholder
        self._number, self._asked = 0, asked
        self._carried = carried(tree)
        self._known: Collection[int] | None = None
        tree.body = self._block(tree.body, None, True)

    def opened(self, function: ast.FunctionDef, known: Collection[int]) -> LoopPlan:
        end = function.end_lineno or function.lineno
        placeholder = self._placeholder.format("function")
        plan = LoopPlan(function.name, function.lineno, end, placeholder)
        self._known = known
        documented = ast.get_docstring(function, clean=False) is not None
        head, body = function.body[:documented], function.body[documented:]
        marked = self._statements(body, plan)
        marks = _attribute(placeholder, "marks")
        within = ast.With([ast.withitem(marks)], marked or body)
        function.body = [*head, _located(within, function.body[-1])]
        return plan

    def _statements(self, body: list[ast.stmt], plan: LoopPlan) -> list[ast.stmt]:
        """The body with marks, but for those of loops, which are as they were."""
        marked: list[ast.stmt] = []
        for node in body:
            self._mark(node, plan, marked)
            if isinstance(node, Loop | ast.AsyncFor):
                marked += self._block([node], None, True)
            else:
                block = partial(self._statements, plan=plan)
                marked.append(_with_bodies(node, block))
        return marked

    def _block(
        self, body: list[ast.stmt], plan: LoopPlan | None, allowed: bool
    ) -> list[ast.stmt]:
        """A block's statements, with marks where `plan` is the loop around them."""
        made: list[ast.stmt] = []
        for node in body:
            if plan is not None:
                self._mark(node, plan, made)
            if isinstance(node, Function | ast.ClassDef):
                self._scope(node)
                made.append(node)
            elif isinstance(node, Loop) and (
                node.lineno == self._asked or (allowed and self._may_train(node))
            ):
                made += copies.declarations(node)
                made.append(self._loop(node))
            elif isinstance(node, _COMPOUND):
                first = len(plan.rows) if plan else 0
                made.append(_with_bodies(node, lambda b: self._block(b, plan, allowed)))
                if plan and isinstance(node, ast.If):
                    test = flow_of([node.test], self._module).reads
                    rows = plan.rows[first:]
                    plan.rows[first:] = [replace(r, under=r.under | test) for r in rows]
            else:
                made += self._simple(node) if allowed else [node]
        return made

    def _simple(self, node: ast.stmt) -> list[ast.stmt]:
        """One without blocks: it may change a parameter, or hold a loop."""
        watched, found = self._watched(node), comprehensions.comprehension_of(node)
        if watched != [node] or found is None or self._known is not None:
            return watched
        copied: dict[int, Any] = {}
        marked = copy.deepcopy(node, copied)  # the plain copies have it as it is
        plan = self._comprehension(copied[id(found)])
        within = ast.With([ast.withitem(ast.Constant(plan.placeholder))], [marked])
        choice = ast.If(_attribute(plan.placeholder, "open"), [within], [node])
        return [_located(choice, node)]

    def _scope(self, node: Function | ast.ClassDef) -> None:
        """What is defined within; a generator's own loops wait for their caller."""
        if isinstance(node, ast.ClassDef):
            node.body = self._block(node.body, None, False)
            return
        pauses = isinstance(node, ast.AsyncFunctionDef) or copies.pauses(node.body)
        node.body = self._block(node.body, None, not pauses)

    def _mark(self, node: ast.stmt, plan: LoopPlan, made: list[ast.stmt]) -> None:
        """Say where a statement begins, before it."""
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text or isinstance(node, _TRIVIAL):
            return
        parts = own_parts(node)
        small = not any(isinstance(n, _WORK) for p in parts for n in walk(p))
        if plan.rows and small and not isinstance(node, Loop):
            return  # not to be told apart from its neighbour
        end = node.end_lineno or node.lineno
        if isinstance(node, _COMPOUND):
            end = max((p.end_lineno or node.lineno for p in parts), default=node.lineno)
        whole = isinstance(node, Loop) or parts == [node]
        flow = flow_of([node] if whole else parts, self._module)
        plan.rows.append(Statement(self._text(node), node.lineno, end, flow))
        mark, point = f"if $P.on: $P.at({len(plan.rows) - 1})", plan.placeholder
        made.append(_located(parsed(mark, P=ast.Constant(point))[0], node))

    def _text(self, node: ast.stmt) -> str:
        """A statement as written, or its header, on one line."""
        parts = own_parts(node) if isinstance(node, _COMPOUND) else [node]
        ends = [(p.end_lineno or p.lineno, p.end_col_offset or 0) for p in parts]
        begin = node.lineno, node.col_offset
        return self._written(begin, max(ends, default=(begin[0], begin[1] + 3)))

    def _written(self, begin: tuple[int, int], end: tuple[int, int]) -> str:
        """What stands between two places (line, column in bytes), on one line."""
        lines = [line.encode() for line in self._lines[begin[0] - 1 : end[0]]]
        lines[-1] = lines[-1][: end[1]]
        lines[0] = lines[0][begin[1] :]
        return _short(" ".join(line.decode().strip() for line in lines))

    def _loop(self, node: Loop) -> ast.stmt:
        """`if POINT.open: marked, else: plain`."""
        text, line, last = self._text(node), node.lineno, node.end_lineno or node.lineno
        plan = LoopPlan(text, line, last, self._next())
        self.prepared.loops.append(plan)
        head = [node.iter, node.target] if isinstance(node, ast.For) else [node.test]
        end, flow = max(p.end_lineno or line for p in head), flow_of(head, self._module)
        plan.rows.append(Statement(text, line, end, flow))
        marked = copy.copy(node)
        marked.body = self._block(node.body, plan, True)
        if isinstance(node, ast.For):
            plan.items = items_of(node)
            first = _call(plan.placeholder, "items", [node.iter])
            ast.copy_location(first, node.iter if _OF_ITERABLE else node)
            _located(first.func, node)
            items = copies.items(node, plan.placeholder, first)
            turns = _call(plan.placeholder, "turns", [items])
            assert isinstance(marked, ast.For)
            marked.iter = _located(turns, node.iter)
            rest = copy.copy(node)
            rest.iter = _located(_call(plan.placeholder, "rest", []), node.iter)
            plan.flat, other = copies.other(node, plan.placeholder, rest)
            marked.orelse = [_located(other, node)]
        else:
            assert isinstance(marked, ast.While)
            both = [_call(plan.placeholder, "turn", []), node.test]
            marked.test = _located(ast.BoolOp(ast.And(), both), node.test)
            handed = _located(_call(plan.placeholder, "handed", []), node.test)
            plan.flat, other = copies.other(node, plan.placeholder, node)
            marked.orelse = [_located(ast.If(handed, [other], node.orelse), node)]
        whole = copies.begun_again(node, marked)
        within = ast.With([ast.withitem(ast.Constant(plan.placeholder))], whole)
        choice = ast.If(_attribute(plan.placeholder, "open"), [within], [node])
        return _located(choice, node)

    def _comprehension(self, node: comprehensions.Comprehension) -> LoopPlan:
        """Mark what it makes of each item, in place."""
        first, line = node.generators[0], node.lineno
        parts = comprehensions.made(node)
        plan = LoopPlan("", line, node.end_lineno or line, self._next())
        plan.items = items_of(first)
        self.prepared.loops.append(plan)
        for word, nodes in (("for ", [first.target, first.iter]), ("", parts)):
            begin = nodes[0].lineno, nodes[0].col_offset
            end = nodes[-1].end_lineno or line, nodes[-1].end_col_offset or 0
            text = word + self._written(begin, end)
            flow = flow_of(nodes, self._module)
            plan.rows.append(Statement(text, begin[0], end[0], flow))
        plan.text = plan.rows[0].text
        mark = parsed("$P.on and $P.at(1)", P=ast.Constant(plan.placeholder))[0]
        items = _call(plan.placeholder, "items", [first.iter])
        ast.copy_location(items, first.iter if _OF_ITERABLE else node)
        _located(items.func, node)
        each = _located(_call(plan.placeholder, "each", [items]), first.iter)
        comprehensions.mark(node, _located(mark.value, parts[0]), each)
        return plan

    def _may_train(self, node: Loop) -> bool:
        """A loop that calls or computes nothing trains nothing."""
        if self._known is not None:
            return node.lineno in self._known
        inner = (each for part in node.body for each in walk(part))
        return any(isinstance(each, ast.Call | ast.BinOp) for each in inner)

    def _watched(self, node: ast.stmt) -> list[ast.stmt]:
        """A statement that may change a parameter, looked at before and after."""
        place = node.lineno, node.col_offset
        name, *path = (changed_by(node) or self._carried.get(place, "")).split(".")
        if not name or self._known is not None or place in self._module.tallies:
            return [node]
        point = self._next()
        self.prepared.changes.append(ChangePlan(point, tuple(path)))
        text = _WATCHED % (name, name)
        (watched,) = parsed(text, P=ast.Constant(point), NODE=[node])
        return [_located(watched, node)]

    def _next(self) -> str:
        self._number += 1
        return self._placeholder.format(f"loop {self._number}")


_COMPOUND = (
    ast.If, ast.With, ast.Try, ast.TryStar, ast.Match, ast.For, ast.While,
    ast.AsyncFor, ast.AsyncWith,
)  # fmt: skip


_WATCHED = """
if $P.on:
    try: $P.before(%s)
    except $P.unbound: pass
    $NODE
    try: $P.after(%s)
    except $P.unbound: pass
else: $NODE
"""


def _with_bodies(node: ast.stmt, block: _Block) -> ast.stmt:
    """The same statement with its blocks replaced by what `block` makes of them."""
    new = copy.copy(node)
    for name in ("body", "orelse", "finalbody"):
        inner = getattr(node, name, None)
        if inner and isinstance(node, _COMPOUND):
            setattr(new, name, block(inner))
    for name in ("handlers", "cases"):
        if parts := getattr(node, name, None):
            setattr(new, name, [_with_body(part, block) for part in parts])
    return new


def _with_body(part: Any, block: _Block) -> Any:
    new = copy.copy(part)
    new.body = block(part.body)
    return new


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(":").rstrip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _attribute(placeholder: str, name: str) -> ast.Attribute:
    return ast.Attribute(ast.Constant(placeholder), name, ast.Load())


def _call(placeholder: str, name: str, given: Iterable[ast.expr]) -> ast.Call:
    return ast.Call(_attribute(placeholder, name), [*given], [])


def _located(node: Node, place: ast.stmt | ast.expr) -> Node:
    """Give what was made here a place in the source: that of its neighbour."""
    waiting: list[Any] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.stmt | ast.expr | ast.excepthandler):
            if getattr(part, "lineno", None) is not None:
                continue  # the user's own
            ast.copy_location(part, place)
            if not isinstance(part, ast.Call | ast.BoolOp):
                part.end_lineno, part.end_col_offset = part.lineno, part.col_offset
        waiting += ast.iter_child_nodes(part)
    return node
