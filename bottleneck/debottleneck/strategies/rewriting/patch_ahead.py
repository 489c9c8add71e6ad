"""A loop whose next items are made ahead, in the user's words and `prefetch`'s.

What runs ahead in order becomes a generator, what several threads or processes do a
function of what it yields; all else stays as it is.
"""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from debottleneck.agent.dataflow import declared, last_word
from debottleneck.agent.generated import Put
from debottleneck.strategies.rewriting.bindings import (
    bound_in,
    bound_outside,
    certain,
    names_in,
    read_elsewhere,
    scope_of,
)
from debottleneck.strategies.rewriting.flatten import Line, flatten, jumps
from debottleneck.strategies.rewriting.patch import NoLines, Script
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS

HEAD = "head"
VERBS = re.compile(r"^(load|get|read|make|next|fetch|sample|draw|build|create)_+")


@dataclass(frozen=True)
class Fragment:
    """What runs on one side: a statement, or an expression that gets a name.

    Attributes:
        side: Which.
        at: Of which statement of the body, by its number.
        node: It, with names in place of what other sides make.
        name: That of an expression.
    """

    side: str
    at: int
    node: Any
    name: str = ""

    @property
    def binds(self) -> set[str]:
        """Names that it binds."""
        return {self.name} if self.name else bound_in(self.node)

    @property
    def uses(self) -> set[str]:
        """Names that it reads."""
        return names_in(self.node, ast.Load)


class Ahead:
    """Writes one loop.

    Raises:
        NoLines: It cannot be written.
    """

    def __init__(self, script: Script, plan: Mapping[str, Any]) -> None:
        if plan["unwritten"] or plan["reason"]:
            raise NoLines(plan["unwritten"] or plan["reason"])
        self._script, self._plan = script, plan
        self._loop = loop = script.loop_at(plan["line"])
        self._scope = scope_of(script.tree, loop)
        self._divide()
        self._named: dict[str, ast.AST] = {}
        pieces = [*self._pieces()]
        self._stays = [p for p in pieces if p.side == STAYS]
        self._order = [p for p in pieces if p.side == ORDER]
        self._heavy = [p for p in pieces if p.side == HEAVY]
        self._all = [*self._order, *self._heavy]
        if isinstance(loop, ast.For):
            self._all.insert(0, Fragment(HEAD, -1, loop.target))
        elif bound_in(loop.test):
            self._all.insert(0, Fragment(HEAD, -1, loop.test))
        self._after = read_elsewhere(self._scope, loop)
        self._given_at = self._yields_at()
        self._check()

    # The loop's flat lines, and the sides on which they run.

    def _divide(self) -> None:
        loop, plan, name = self._loop, self._plan, ast.Name("items", ast.Load())
        self._lines = flatten(loop, lambda _: name, name)[0].numbered
        sides = dict.fromkeys(plan["order"], ORDER)
        sides |= dict.fromkeys(plan["heavy"], HEAVY)
        if not sides.keys() <= self._lines.keys():
            raise NoLines("it divides what a function does that the loop calls")
        tests = isinstance(loop, ast.While) and not isinstance(loop.test, ast.Constant)
        head = {n for n, k in self._lines.items() if self._statement_of(k) < 0}
        if tests and not head <= sides.keys():
            raise NoLines("its condition needs what comes of the training")
        kept = self._worth({n for n, side in sides.items() if side == HEAVY})
        self._sides = {n: s for n, s in sides.items() if s == ORDER or n in kept}
        made = set[str]().union(*(self._made_by(n) for n in kept))
        for number, line in self._lines.items():  # what draws is bound where it draws
            temporary = {int(n[1:]) for n in line.uses if n[0] == "."}
            ordered = temporary and all(self._side(n) == ORDER for n in temporary)
            plain = isinstance(line.node, ast.Assign) and not line.temporary
            if ordered and plain and not line.stays and not line.uses & made:
                self._sides[number] = ORDER

    def _worth(self, heavy: set[int]) -> set[int]:
        """Of what may run at the same time: the rest stays where it stands."""
        kept = heavy & {*self._plan["worth"]}
        while True:
            uses = set[str]().union(*(self._lines[n].uses for n in kept))
            temporary = {self._lines[n].temporary for n in kept} - {""}
            more = {
                n
                for n in heavy - kept
                if self._made_by(n) & uses or self._lines[n].uses & temporary
            }
            if not more:
                return kept
            kept |= more

    def _made_by(self, number: int) -> set[str]:
        line = self._lines[number]
        return {*line.binds, line.temporary} - {""}

    def _side(self, number: int) -> str:
        return self._sides.get(number, STAYS)

    def _pieces(self) -> Iterator[Fragment]:
        """Statements, and before each what other sides make of it."""
        consumers = {n: k.number for k in self._lines.values() for n in k.uses}
        parts: dict[str, ast.expr] = {}
        for number, line in self._lines.items():
            at = self._statement_of(line)
            if at < 0:  # the condition of `while`
                continue
            side = self._side(number)
            node: Any = Put(parts).visit(copy.deepcopy(line.node))
            consumer = consumers.get(line.temporary)
            if not line.temporary:
                yield Fragment(side, at, node)
            elif consumer is None:
                yield Fragment(side, at, ast.copy_location(ast.Expr(node.value), node))
            elif self._side(consumer) == side:
                parts[line.temporary] = node.value
            else:
                name = self._script.free(*self._word_for(node.value), "made")
                parts[line.temporary] = ast.Name(name, ast.Load())
                self._named[name] = line.node
                yield Fragment(side, at, node.value, name)

    def _statement_of(self, line: Line) -> int:
        """The number of the body's statement that it is of."""
        place = line.node.lineno, line.node.col_offset
        starts = [(node.lineno, node.col_offset) for node in self._loop.body]
        return sum(start <= place for start in starts) - 1

    def _word_for(self, node: Any) -> list[str]:
        """What to call it, after its maker."""
        name = last_word(node) if isinstance(node, ast.Call) else ""
        word = VERBS.sub("", name)
        return [word] if word != name and word.isidentifier() else []

    # Whether names have the values that they would have.

    def _binders(self, name: str, *sides: str) -> list[int]:
        """Statements that bind a name, of those on these sides."""
        return [p.at for p in self._all if name in p.binds and p.side in sides]

    def _crossing(self) -> Iterator[tuple[str, float, str]]:
        """Each use of a name that is bound ahead: where, and on which side."""
        bound = set[str]().union(*(p.binds for p in self._all))
        for piece in (*self._heavy, *self._stays):
            for name in piece.uses & bound:
                yield name, piece.at, piece.side
        for name in self._after & bound:
            yield name, inf, STAYS

    def _yields_at(self) -> float:
        """Before which statement the generator yields: one that binds anew."""
        later = [
            at
            for name, used, _ in self._crossing()
            for at in self._binders(name, ORDER)
            if at > used
        ]
        first = min((p.at for p in self._stays), default=0)
        return min([*later, *(at for at in self._jumping() if at > first)], default=inf)

    def _jumping(self) -> list[int]:
        """Statements in order that leave the loop or an iteration."""
        return [p.at for p in self._order if [*jumps([p.node], False)]]

    def _check(self) -> None:
        """Every name has the value that it would have.

        Raises:
            NoLines: One would not.
        """
        for name, at, side in self._crossing():
            if name in self._named:
                continue
            before = [b for b in self._binders(name, HEAD, ORDER, HEAVY) if b < at]
            heavy = [b for b in self._binders(name, HEAVY) if b < at or side == STAYS]
            given = [b for b in self._binders(name, HEAD, ORDER) if b < self._given_at]
            if max(before, default=None) != max(heavy or given, default=None):
                raise NoLines(f"{name} has several values in one turn")
        bound = set[str]().union(*(p.binds for p in self._all))
        last = max((p.at for p in self._stays), default=0)
        for at in self._jumping():
            if self._given_at <= at < last or self._loop.orelse or self._after & bound:
                raise NoLines("what runs ahead leaves the loop")
        if isinstance(self._loop, ast.While):
            if self._loop.orelse:
                raise NoLines("it has an else")
            if later := bound_in(self._loop.test) & self._after:
                raise NoLines(f"{min(later)}, which its test sets, is used after it")
        shared = bound & declared(ast.walk(self._scope))
        if shared and not isinstance(self._scope, ast.Module):
            raise NoLines(f"{min(shared)} is no variable of the function")

    # The lines.

    def write(self) -> None:
        """Change the script."""
        script, loop = self._script, self._loop
        self._pad = script.indent(loop)
        inner = script.indent(loop.body[0])
        usual = "\t" if self._pad.startswith("\t") else "    "
        own = not inner.strip() and inner.startswith(self._pad)
        self._unit = inner[len(self._pad) :] if own else usual
        source = script.of(loop.iter if isinstance(loop, ast.For) else loop.test)
        given = self._ordered({n for n, _, side in self._crossing() if side == STAYS})
        functions, target = "", ", ".join(given) or script.free("_")
        if self._order or isinstance(loop, ast.While):
            loaded = {n for n in given if self._binders(n, HEAVY)}
            needed = self._ordered({*given} - loaded | self._heavy_needs())
            source, functions = self._generator(needed, source)
        else:
            assert isinstance(loop, ast.For)
            needed = [script.of(loop.target)]
            target = target if self._heavy else needed[0]
        if self._heavy:
            called, text = self._load(needed, given)
            functions += text
            source += f", {called}"
        source = f"{script.use('prefetch')}({source}{self._settings()})"
        colon, above = script.colon_of(loop)
        tail = script.text[colon + 1 : script.end(above)]
        if loop.body[0].lineno == above:
            tail = ""
        inner = self._pad + self._unit
        body = "".join(self._text(piece, inner) for piece in self._stays)
        rest = script.rows[loop.body[-1].end_lineno or 0 : loop.end_lineno]
        start, end = script.start(loop.lineno), script.start((loop.end_lineno or 0) + 1)
        head = f"{self._pad}for {target} in {source}:{tail}\n"
        script.change(start, end, "".join([functions, head, body, *rest]))

    def _heavy_needs(self) -> set[str]:
        """Names that the heavy pieces take from those in order."""
        return {
            name
            for name, at, side in self._crossing()
            if side == HEAVY
            and self._binders(name, HEAD, ORDER)
            and not any(b < at for b in self._binders(name, HEAVY))
        }

    def _settings(self) -> str:
        workers, depth = int(self._plan["workers"]), int(self._plan["depth"])
        if self._heavy:
            said = f", workers={workers}, depth={max(1, depth - workers)}"
        else:
            said = f", depth={depth}" if depth != 2 else ""
        return said + (', where="process"' if self._plan["where"] == "process" else "")

    def _ordered(self, names: set[str]) -> list[str]:
        """Names as they are bound first."""
        return sorted(
            names,
            key=lambda n: (min(self._binders(n, HEAD, ORDER, HEAVY), default=0), n),
        )

    def _generator(self, given: Sequence[str], source: str) -> tuple[str, str]:
        """What runs in order: its call, and its text."""
        loop, pad, unit = self._loop, self._pad, self._unit
        name = self._script.free("to_load" if self._heavy else "batches", "in_order")
        kept = ", ".join(self._carried(given))
        head = f"while {source}:"
        if isinstance(loop, ast.For):
            head = f"for {self._script.of(loop.target)} in {source}:"
        rows = [f"{pad}def {name}({kept}):\n", f"{pad}{unit}{head}\n"]
        inner = pad + 2 * unit
        early = [p for p in self._order if p.at < self._given_at]
        rows += self._rows(early, inner, "yield", given)
        rows += [self._text(p, inner) for p in self._order if p.at >= self._given_at]
        return f"{name}({kept})", "".join(rows)

    def _load(self, taken: Sequence[str], given: Sequence[str]) -> tuple[str, str]:
        """What runs at the same time: its name, and its text."""
        pad, inner = self._pad, self._pad + self._unit
        name = self._script.free("load", "load_ahead")
        one = taken[0] if len(taken) == 1 and taken[0].isidentifier() else ""
        item = one or self._script.free("item", "to_load")
        rows = [f"{pad}def {name}({item}):\n"]
        if not one and taken:
            rows.append(f"{inner}{', '.join(taken)} = {item}\n")
        rows += self._rows(self._heavy, inner, "return", given)
        return name, "".join(rows)

    def _rows(
        self, pieces: Sequence[Fragment], indent: str, verb: str, given: Sequence[str]
    ) -> list[str]:
        """Pieces, and what comes of them; the last without a name if it needs none."""
        pieces, values = [*pieces], [*given]
        if pieces and pieces[-1].name in values:
            last = pieces.pop()
            values[values.index(last.name)] = ast.unparse(last.node)
        made = ", ".join(values) or "None"
        return [*(self._text(p, indent) for p in pieces), f"{indent}{verb} {made}\n"]

    def _carried(self, given: Sequence[str]) -> list[str]:
        """Names that the generator must be given: bound before the loop, and in it."""
        loop = self._loop
        bound = set[str]().union(*(p.binds for p in self._order))
        sure, found = set[str](), set[str]()
        if isinstance(loop, ast.For):
            sure = bound_in(loop.target)
        else:
            found = names_in(loop.test, ast.Load) & bound
        for piece in self._order:
            if piece.at >= self._given_at:
                found |= {*given} - sure
            found |= piece.uses & bound - sure
            sure |= {piece.name} if piece.name else certain([piece.node])
            found |= piece.binds - sure
        found |= {*given} & bound - sure
        return sorted(found & bound_outside(self._scope, loop))

    def _text(self, piece: Fragment, indent: str) -> str:
        """A piece as rows: the user's, with the comments above, if they are its own."""
        if piece.name:
            return f"{indent}{piece.name} = {ast.unparse(piece.node)}\n"
        script, body, node = self._script, self._loop.body, piece.node
        first = script.colon_of(self._loop)[1]
        if piece.at:
            first = body[piece.at - 1].end_lineno or 0
        after = body[piece.at + 1].lineno if piece.at + 1 < len(body) else inf
        moved = piece.side != STAYS
        lines = moved and any(
            isinstance(part, ast.Constant | ast.JoinedStr)
            and part.lineno != part.end_lineno
            for part in ast.walk(node)
        )
        if not first < node.lineno <= node.end_lineno < after or lines:
            return textwrap.indent(f"{ast.unparse(node)}\n", indent)
        start, end = script.start(first + 1), script.start(node.end_lineno + 1)
        text, at = "", start
        for name in sorted(piece.uses & {*self._named}, key=self._start_of):
            low, high = script.span(self._named[name])
            text, at = text + script.text[at:low] + name, high
        text += script.text[at:end]
        if not moved:
            return text
        old = script.indent(body[0])
        rows = text.splitlines(keepends=True)
        moved_rows = [indent + r.removeprefix(old) if r.strip() else r for r in rows]
        return "".join(moved_rows).lstrip("\r\n")

    def _start_of(self, name: str) -> int:
        return self._script.span(self._named[name])[0]
