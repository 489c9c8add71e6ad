"""A loop's body in fragments, by where its plan has them run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from debottleneck.strategies.rewriting.flatten import flatten
from debottleneck.strategies.rewriting.patch import Script
from debottleneck.strategies.rewriting.patch_names import (
    NoLines,
    bound_in,
    loads,
    parameter,
    place,
)
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS

HEAD = "head"
VERBS = re.compile(r"^(load|get|read|make|next|fetch|sample|draw|build|create)_+")


@dataclass
class Fragment:
    """What runs on one side: a statement, or an expression that gets a name.

    Attributes:
        side: Which.
        at: Of which statement of the body, by its number.
        node: As the user wrote it.
        name: That of an expression.
        others: Parts of it that the other side makes, and what they are called.
    """

    side: str
    at: int
    node: Any
    name: str = ""
    others: list[tuple[Any, str]] = field(default_factory=list)

    @property
    def binds(self) -> set[str]:
        """Names that it binds."""
        return {self.name} if self.name else bound_in(self.node)

    @property
    def uses(self) -> set[str]:
        """Names that it reads."""
        parts = {place(part) for part, _ in self.others}
        return loads(self.node, parts) | {name for _, name in self.others}


class Fragments:
    """A loop's body in pieces.

    Args:
        script: The file.
        loop: As it stands there.
        plan: What runs ahead, as `Plan.as_json` gives it.

    Raises:
        NoLines: Some of it is not in the loop.
    """

    def __init__(
        self, script: Script, loop: ast.For | ast.While, plan: Mapping[str, Any]
    ) -> None:
        self._script, self._body = script, loop.body
        name = ast.Name("items", ast.Load())
        self._lines = flatten(loop, lambda _: name, name)[0].numbered
        self._sides = dict.fromkeys(plan["order"], ORDER)
        self._sides |= dict.fromkeys(plan["heavy"], HEAVY)
        if not self._sides.keys() <= self._lines.keys():
            raise NoLines("it divides what a function does that the loop calls")
        tests = isinstance(loop, ast.While) and not isinstance(loop.test, ast.Constant)
        if tests and 0 not in self._sides:
            raise NoLines("its condition needs what comes of the training")
        self._consumer: dict[int, int] = {}
        for line in self._lines.values():
            inner = {int(n[1:]) for n in line.uses if n.startswith(".")}
            self._consumer |= dict.fromkeys(inner, line.number)
        self._worth = {n for n in plan["worth"] if self._sides.get(n) == HEAVY}
        self._keep_what_is_worth_it()
        self._keep_statements_whole()
        self.all = [piece for at in range(len(loop.body)) for piece in self._of(at)]

    def _within(self, at: int) -> list[int]:
        """Lines of a statement."""
        start, end = place(self._body[at])
        lines = self._lines.items()
        return [n for n, line in lines if start <= place(line.node)[0] < end]

    def _root(self, at: int) -> int | None:
        """The line that is the whole of a statement, if one is."""
        whole = place(self._body[at])
        found = [n for n in self._within(at) if place(self._lines[n].node) == whole]
        return found[-1] if found else None

    def _side(self, number: int | None) -> str:
        return STAYS if number is None else self._sides.get(number, STAYS)

    def _keep_what_is_worth_it(self) -> None:
        """Of what may run at the same time: the rest stays where it stands."""
        kept = set(self._worth)
        for number in self._worth:  # with what is made of it at once
            while self._side(number := self._consumer.get(number, -1)) == HEAVY:
                kept.add(number)
        for at in range(len(self._body)):
            within = self._within(at)
            if kept & {*within} and self._side(self._root(at)) == HEAVY:
                kept |= {n for n in within if self._side(n) == HEAVY}
        heavy = {n for n, side in self._sides.items() if side == HEAVY}
        while True:
            uses = set[str]().union(*(self._lines[n].uses for n in kept))
            needed = {n for n in heavy - kept if uses & self._made_by(n)}
            if not needed:
                break
            kept |= needed
        self._sides = {n: s for n, s in self._sides.items() if n not in heavy - kept}

    def _keep_statements_whole(self) -> None:
        """One that is partly in order and has nothing heavy is in order."""
        heavy = {n for n in self._sides if self._side(n) == HEAVY}
        made = set[str]().union(*(self._made_by(n) for n in heavy))
        for at in range(len(self._body)):
            root, within = self._root(at), self._within(at)
            partly = root is not None and any(self._side(n) == ORDER for n in within)
            stays = any(self._lines[n].stays for n in within)
            uses = set[str]().union(*(self._lines[n].uses for n in within))
            if partly and not stays and isinstance(self._body[at], ast.Assign):
                calls = [n for n in within if self._side(n) != ORDER and n != root]
                if not calls and not uses & made:
                    self._sides[root] = ORDER

    def _made_by(self, number: int) -> set[str]:
        line = self._lines[number]
        return {*line.binds, line.temporary} - {""}

    def _of(self, at: int) -> Iterator[Fragment]:
        """A statement's pieces: what other sides take of it first."""
        node, root, within = self._body[at], self._root(at), self._within(at)
        named: dict[int, tuple[Any, str]] = {}
        for n in within:
            consumer = self._consumer.get(n)
            side = self._side(consumer if consumer is not None else root)
            if n == root or self._side(n) in (STAYS, side):
                continue
            part = next(
                each
                for each in ast.walk(node)
                if isinstance(each, ast.expr)
                and place(each) == place(self._lines[n].node)
            )
            others = self._others(n, [*self._inner(n)], named)
            named[n] = part, self._called(part, consumer, n)
            yield Fragment(self._side(n), at, part, named[n][1], others)
        inner = [n for n in within if self._consumer.get(n) == root and n != root]
        yield Fragment(self._side(root), at, node, "", self._others(root, inner, named))

    def _inner(self, number: int) -> list[int]:
        return [n for n, by in self._consumer.items() if by == number]

    def _others(
        self, number: int | None, inner: Sequence[int], named: Mapping[int, Any]
    ) -> list[tuple[Any, str]]:
        """What is within a line, or a statement, and made by another side."""
        found: list[tuple[Any, str]] = []
        for n in inner:
            if self._side(n) == self._side(number):
                found += self._others(n, self._inner(n), named)
            else:
                found.append(named[n])
        return found

    def _called(self, node: Any, consumer: int | None, number: int) -> str:
        """What to call it: as the parameter that it is for, or after its maker."""
        found: list[str] = []
        call: Any = self._lines[consumer].node if consumer is not None else None
        call = getattr(call, "value", None)
        if isinstance(call, ast.Call):
            ids = [getattr(given, "id", "") for given in call.args]
            if f".{number}" in ids:
                at = ids.index(f".{number}")
                found += parameter(self._script.tree, call.func, at)
        maker = getattr(node, "func", None)
        name = getattr(maker, "attr", getattr(maker, "id", ""))
        if VERBS.match(name):
            found.append(VERBS.sub("", name))
        return self._script.free(*filter(str.isidentifier, found), "made")
