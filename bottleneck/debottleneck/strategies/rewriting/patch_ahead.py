"""A loop whose next items are made ahead, in the user's words and `prefetch`'s.

What runs ahead in order becomes a generator, what several threads or processes do a
function of what it yields; all else stays as it is.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from debottleneck.strategies.rewriting.bindings import certain
from debottleneck.strategies.rewriting.flatten import jumps
from debottleneck.strategies.rewriting.fragments import HEAD, Fragment, Fragments
from debottleneck.strategies.rewriting.patch import Script
from debottleneck.strategies.rewriting.patch_names import (
    NoLines,
    bound_in,
    bound_outside,
    loads,
    loop_at,
    names_at,
    read_elsewhere,
    scope_of,
)
from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS


class Ahead:
    """Writes one loop.

    Args:
        script: The file.
        plan: The loop's, as `Plan.as_json` gives it.

    Raises:
        NoLines: It cannot be written.
    """

    def __init__(self, script: Script, plan: Mapping[str, Any]) -> None:
        if plan["unwritten"] or plan["reason"]:
            raise NoLines(plan["unwritten"] or plan["reason"])
        self._script, self._plan = script, plan
        self._loop = loop = loop_at(script.tree, plan["line"])
        self._scope = scope_of(script.tree, loop)
        script.names |= names_at(self._scope)
        pieces = Fragments(script, loop, plan).all
        self._stays = [p for p in pieces if p.side == STAYS]
        self._order = [p for p in pieces if p.side == ORDER]
        self._heavy = [p for p in pieces if p.side == HEAVY]
        self._all = [*self._order, *self._heavy]
        if isinstance(loop, ast.For):
            self._all.insert(0, Fragment(HEAD, -1, loop.target))
        self._after = read_elsewhere(self._scope, loop)
        self._given_at = self._yields_at()
        self._check()

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
        jumping = [p.at for p in self._order if [*jumps([p.node], False)]]
        first = min((p.at for p in self._stays), default=0)
        return min([*later, *(at for at in jumping if at > first)], default=inf)

    def _check(self) -> None:
        """Every name has the value that it would have.

        Raises:
            NoLines: One would not.
        """
        named = {p.name for p in self._all}
        for name, at, side in self._crossing():
            if name in named:
                continue
            before = [b for b in self._binders(name, HEAD, ORDER, HEAVY) if b < at]
            heavy = [b for b in self._binders(name, HEAVY) if b < at or side == STAYS]
            given = [b for b in self._binders(name, HEAD, ORDER) if b < self._given_at]
            if max(before, default=None) != max(heavy or given, default=None):
                raise NoLines(f"{name} has several values in one turn")
        jumping = [p for p in self._order if [*jumps([p.node], False)]]
        last = max((p.at for p in self._stays), default=0)
        lost = self._after & set[str]().union(*(p.binds for p in self._all))
        for piece in jumping:
            late = piece.at >= self._given_at and piece.at < last
            if late or self._loop.orelse or lost:
                raise NoLines(f"line {piece.node.lineno} leaves the loop")
        declared = {
            name
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Global | ast.Nonlocal)
            for name in node.names
        }
        if isinstance(self._loop, ast.While) and self._loop.orelse:
            raise NoLines("it has an else")
        shared = declared & set[str]().union(*(p.binds for p in self._all))
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
        source = self._items()
        given = self._ordered({n for n, _, side in self._crossing() if side == STAYS})
        how = self._settings()
        start = script.start(loop.lineno)
        functions = ""
        if self._order or isinstance(loop, ast.While):
            loaded = {n for n in given if self._binders(n, HEAVY)}
            needed = self._ordered({*given} - loaded | self._heavy_needs())
            called, text = self._generator(needed, source)
            functions += text
            source = called
        else:
            needed = [script.of(loop.target)]
        if self._heavy:
            called, text = self._load(needed, given)
            functions += text
            source += f", {called}"
        prefetch = script.use("prefetch")
        self._header(given, f"{prefetch}({source}{how})", bool(functions))
        script.change(start, start, functions)
        self._remove([p for p in self._all if not p.name and p.side != HEAD])
        for piece in self._stays:
            for part, name in piece.others:
                script.change(*script.span(part), name)

    def _items(self) -> str:
        loop = self._loop
        return self._script.of(loop.iter if isinstance(loop, ast.For) else loop.test)

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

    def _header(self, given: Sequence[str], source: str, anew: bool) -> None:
        """The loop over what was made ahead."""
        script, loop = self._script, self._loop
        target = ", ".join(given) or script.free("_")
        if isinstance(loop, ast.For):
            script.change(*script.span(loop.iter), source)
            if anew:
                script.change(*script.span(loop.target), target)
            return
        end = script.span(loop.test)[1]
        colon = script.text.index(":", end)
        script.change(script.span(loop)[0], colon, f"for {target} in {source}")

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
            values[values.index(last.name)] = self._expression(last)
        made = ", ".join(values) or "None"
        return [*(self._text(p, indent) for p in pieces), f"{indent}{verb} {made}\n"]

    def _carried(self, given: Sequence[str]) -> list[str]:
        """Names that the generator must be given: bound before the loop, and in it."""
        loop = self._loop
        bound = set[str]().union(*(p.binds for p in self._order))
        sure = bound_in(loop.target) if isinstance(loop, ast.For) else set()
        found = set() if isinstance(loop, ast.For) else loads(loop.test) & bound
        for piece in self._order:
            if piece.at >= self._given_at:
                found |= {*given} - sure
            found |= piece.uses & bound - sure
            sure |= {piece.name} if piece.name else certain([piece.node])
            found |= piece.binds - sure
        found |= {*given} & bound - sure
        return sorted(found & bound_outside(self._scope, loop))

    # Text of pieces.

    def _cut(self, start: int, end: int, others: Sequence[tuple[Any, str]]) -> str:
        """The user's text with parts replaced."""
        made = ""
        spans = [(*self._script.span(part), name) for part, name in others]
        for low, high, name in sorted(spans):
            made += self._script.text[start:low] + name
            start = high
        return made + self._script.text[start:end]

    def _expression(self, piece: Fragment) -> str:
        text = self._cut(*self._script.span(piece.node), piece.others)
        try:
            ast.parse(text.strip(), mode="eval")
        except SyntaxError:
            return f"({text})"
        return text

    def _text(self, piece: Fragment, indent: str) -> str:
        """A piece as rows of a function."""
        if piece.name:
            return f"{indent}{piece.name} = {self._expression(piece)}\n"
        script = self._script
        start, end, rows = self._chunk(piece)
        if not rows:
            text = self._cut(*script.span(piece.node), piece.others)
            return f"{indent}{text}\n"
        old = script.indent(self._loop.body[0])
        fixed = {
            script.rows[line]
            for part in ast.walk(piece.node)
            if isinstance(part, ast.Constant | ast.JoinedStr)
            for line in range(part.lineno, part.end_lineno or 0)
        }
        text = self._cut(start, end, piece.others)
        lines = re.split(r"(?<=\n)", text)
        return "".join(
            indent + line.removeprefix(old) if line.strip() and line not in fixed
            else line
            for line in lines
        ).lstrip("\r\n")  # fmt: skip

    def _chunk(self, piece: Fragment) -> tuple[int, int, bool]:
        """Where a statement's rows with their comments are; or it alone, and False."""
        script, body = self._script, self._loop.body
        node, start = piece.node, script.span(piece.node)[0]
        before: Any = body[piece.at - 1] if piece.at else self._last_of_header()
        after = body[piece.at + 1] if piece.at + 1 < len(body) else None
        alone = after is None or after.lineno > node.end_lineno
        if before.end_lineno < node.lineno and alone:
            first = script.start(before.end_lineno + 1)
            return first, script.start(node.end_lineno + 1), True
        if after is not None and not alone:
            return start, script.span(after)[0], False
        return script.span(before)[1], script.span(node)[1], False

    def _last_of_header(self) -> Any:
        return self._loop.iter if isinstance(self._loop, ast.For) else self._loop.test

    def _remove(self, pieces: Sequence[Fragment]) -> None:
        """Take statements out of the loop; those that share a row, together."""
        spans = sorted(self._chunk(piece)[:2] for piece in pieces)
        while spans:
            start, end = spans.pop(0)
            while spans and spans[0][0] < end:
                end = max(end, spans.pop(0)[1])
            self._script.change(start, end, "")
