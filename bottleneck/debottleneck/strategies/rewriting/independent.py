"""Finds loops whose turns may be independent, and hands them to points."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from functools import cached_property

from debottleneck.agent.generated import located, parsed
from debottleneck.agent.inline import PLACEHOLDER
from debottleneck.strategies.rewriting.bindings import names_in
from debottleneck.strategies.rewriting.flatten import jumps, needs_frame, plain

_PAUSES = (ast.Yield, ast.YieldFrom, ast.Await, ast.Return, ast.Global, ast.Nonlocal)


@dataclass(frozen=True)
class Turns:
    """A loop whose turns may be independent.

    Attributes:
        target: What each item is bound to.
        body: The statements of a turn; of a comprehension its element.
        line: Where it stands.
        is_statement: Whether it is a `for` statement.
    """

    target: ast.expr
    body: tuple[ast.stmt, ...]
    line: int
    is_statement: bool

    @cached_property
    def used(self) -> set[str]:
        """Names that a turn reads."""
        return {name for node in self.body for name in names_in(node, ast.Load)}

    @cached_property
    def given(self) -> set[str]:
        """Names that a turn has of the code around it."""
        return (self.used | names_in(self.target, ast.Load)) - self.bound

    @cached_property
    def bound(self) -> set[str]:
        """Names that a turn binds."""
        nodes = (self.target, *self.body)
        return {name for node in nodes for name in names_in(node, ast.Store)}


class Finder(ast.NodeTransformer):
    """Finds loops, and puts points where what they go over stands.

    Args:
        only_look: Whether comprehensions stay what they are.
    """

    def __init__(self, *, only_look: bool = False) -> None:
        self._only_look = only_look
        self.found: dict[str, Turns] = {}
        self._in_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Comprehensions of a class's own body see no names around them."""
        kept, self._in_class = self._in_class, True
        self.generic_visit(node)
        self._in_class = kept
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """A function's body is no class's."""
        kept, self._in_class = self._in_class, False
        self.generic_visit(node)
        self._in_class = kept
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        """What it goes over goes through its point."""
        original = copy.copy(node)
        body = tuple(copy.deepcopy(plain(part)) for part in node.body)
        self.generic_visit(node)
        inner = [part for each in body for part in ast.walk(each)]
        if node.orelse or any(isinstance(part, _PAUSES) for part in inner):
            return node
        works = any(isinstance(part, ast.Call | ast.BinOp) for part in inner)
        if not works or any(True for _ in jumps(body, True)) or self._in_class:
            return node
        if any(needs_frame(each) for each in body):
            return node
        turns = Turns(node.target, body, node.lineno, True)
        new = copy.copy(node)
        call = self._call(turns, "each", [node.iter], node.iter)
        vars(call)["plain"] = original.iter
        new.iter = call
        return new

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        """It is made by its point."""
        original = copy.deepcopy(plain(node))
        self.generic_visit(node)
        part = node.generators[0]
        inner = [*ast.walk(node.elt)]
        if len(node.generators) > 1 or part.ifs or part.is_async or self._in_class:
            return node
        bad = (*_PAUSES, ast.NamedExpr)
        if any(isinstance(each, bad) for each in inner) or needs_frame(node.elt):
            return node
        if not any(isinstance(each, ast.Call) for each in inner):
            return node
        body = (ast.copy_location(ast.Return(original.elt), node),)
        turns = Turns(part.target, body, node.lineno, False)
        made, head = copy.copy(node), copy.copy(part)
        made.generators = [head]
        if self._only_look:
            head.iter = self._call(turns, "each", [part.iter], part.iter)
            vars(head.iter)["plain"] = original.generators[0].iter
            return made
        head.iter = ast.Name(".items", ast.Load())
        function = parsed("lambda $items: $MADE", MADE=made)[0].value
        call = self._call(turns, "listed", [part.iter, function], node)
        vars(call)["plain"] = original
        return call

    def _call(
        self, turns: Turns, name: str, given: list[ast.expr], place: ast.expr
    ) -> ast.Call:
        placeholder = PLACEHOLDER.format(f"each {len(self.found)}")
        self.found[placeholder] = turns
        function = ast.Attribute(ast.Constant(placeholder), name, ast.Load())
        call = ast.Call(function, given, [])
        located(call, place)
        return call
