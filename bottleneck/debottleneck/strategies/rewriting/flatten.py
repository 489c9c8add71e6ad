"""A loop's body as one call a line, and a copy of the loop in which any can be taken.

Both are made when the module is compiled. The copy stands in the user's function and
is as written until a plan says which lines run ahead: each is an alternative between
the user's own expression and the value that was made for it ahead,
`VALUES[3] if TAKEN[3] else OUT(3, load(indices))`, each assignment one between itself
and names bound from such a value. So the running frame needs no other code, names and
places in the source are the user's, and nothing becomes nonlocal. The lines serve to
see what depends on what, and to generate the functions that run ahead.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.agent.dataflow import SCOPES
from debottleneck.agent.generated import Put, listed, located, parsed
from debottleneck.strategies.rewriting.bindings import bound_in, exposed

Loop = ast.For | ast.While

LEAVES, SKIPS = 1, 2
"""What a line that was run ahead ended with: `break` or `continue` of the loop."""

Make = Callable[[str], ast.expr]
"""The attribute of that name of the loop's `Takes`, as an expression."""

_FRAME_BOUND = {"super", "__class__", "locals", "vars", "dir", "exec", "eval"}
_COMPREHENSION = (ast.ListComp, ast.SetComp, ast.DictComp)
_PAUSE = (ast.Yield, ast.YieldFrom, ast.Await)
_NEVER = (
    *_PAUSE, ast.Return, ast.Delete, ast.FunctionDef, ast.AsyncFunctionDef,
    ast.ClassDef, ast.Nonlocal, ast.AsyncFor, ast.AsyncWith,
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One line of a flat body.

    Attributes:
        number: By which it is known; those of one loop differ.
        node: The statement, over temporary names; of a call `.3 = call`.
        place: The user's line in the source.
        binds: The user's names that it binds.
        temporary: The name that holds its value, "" for the user's own statements.
        leaves: Whether it may `break` or `continue` the loop.
        stays: Whether it can run nowhere but in the user's own frame.
        opened: Whether it is of a function that a line calls, see `opening`.
        within: Of such a line, the place of the loop's own; else 0.
        through: The functions in which such a line stands, the outermost first, each
            with the call in it that leads to the next one.
    """

    number: int
    node: ast.stmt
    place: int
    binds: tuple[str, ...] = ()
    temporary: str = ""
    leaves: bool = False
    stays: bool = False
    opened: bool = False
    within: int = 0
    through: tuple[tuple[str, ast.expr | None], ...] = ()

    @property
    def uses(self) -> set[str]:
        """Names that it reads as they were before it, temporary ones too."""
        return exposed([self.node])


@dataclass(frozen=True)
class FlatLoop:
    """A loop with its body flat.

    Attributes:
        lines: Of a `while` loop the first one is its condition, as far as it binds
            no name: else that is `True`, and the next ones bind it and may leave.
        target: What each item is bound to; None for `while`.
        names: Names that the target binds.
        place: The line of its header.
        item: Line that makes what the loop is given; None where its iterable does.
    """

    lines: tuple[Line, ...]
    target: ast.expr | None
    names: tuple[str, ...]
    place: int
    item: int | None = None

    @property
    def numbered(self) -> dict[int, Line]:
        """Lines by their numbers."""
        return {line.number: line for line in self.lines}

    def told_by(self, numbers: Collection[int]) -> tuple[int, ...]:
        """Those of these lines whose values are for others than lines among them."""
        own = [line for line in self.lines if line.number in numbers]
        within = {name for line in own for name in line.uses}
        within -= {n for line in self.lines if line not in own for n in line.uses}
        out = [n for n in own if n.binds or n.temporary not in within]
        return tuple(n.number for n in own if n in out or n.number == self.item)


def flatten(loop: Loop, make: Make, source: ast.expr) -> tuple[FlatLoop, Loop]:
    """The flat loop, and the copy of the loop in which lines can be taken.

    Args:
        loop: As parsed; it is left as it is.
        make: How the copy reaches what is taken.
        source: What a `for` loop of the copy goes over; the condition of `while`,
            which is and-ed with the user's.
    """
    work = copy.deepcopy(loop)
    if isinstance(work, ast.While):
        _bind_within(work)
    flat = _Flat(make)
    new = copy.copy(work)
    names: tuple[str, ...] = ()
    target = None
    if isinstance(work, ast.For):
        target = copy.deepcopy(work.target)
        names = _bound(work.target)
        assert isinstance(new, ast.For)
        new.iter = source
    else:
        assert isinstance(new, ast.While)
        test = flat.taken(work.test, work.test)
        new.test = ast.BoolOp(ast.And(), [source, flat.framed(test)])
    new.body = flat.block(work.body)
    made = FlatLoop(tuple(flat.lines), target, names, loop.lineno)
    return made, located(new, work)


def _bind_within(loop: ast.While) -> None:
    """Have `while (x := f()) > 0` bind and test in its body, in place.

    So where the name is bound before anything else is evaluated.
    """
    test = holder = loop.test
    field, part = "test", loop.test
    while not isinstance(part, ast.NamedExpr):
        names = [n for n in ("left", "operand") if hasattr(part, n)]
        if not names:
            return
        holder, field = part, names[0]
        part = getattr(part, field)
    binds = [node for node in ast.walk(test) if isinstance(node, ast.NamedExpr)]
    if loop.orelse or len(binds) > 1:
        return
    name = ast.copy_location(ast.Name(part.target.id, ast.Load()), part)
    if part is test:
        test = name
    else:
        setattr(holder, field, name)
    first = parsed(
        "$NAME = $VALUE\nif not $TEST: break",
        NAME=part.target, VALUE=part.value, TEST=test,
    )  # fmt: skip
    loop.body[:0] = [located(node, loop.test) for node in first]
    loop.test = ast.copy_location(ast.Constant(True), loop.test)


def lines_of(body: Sequence[ast.stmt], start: int) -> list[Line]:
    """The lines of a function's body, numbered from `start`."""
    flat = _Flat(lambda name: ast.Name(name, ast.Load()), start)
    flat.block(body)
    return flat.lines


class _Flat:
    """Collects lines, and makes each part of the copy."""

    def __init__(self, make: Make, start: int = 0) -> None:
        self.lines: list[Line] = []
        self._make = make
        self._start = start
        self._choices: dict[str, ast.expr] = {}

    def block(self, body: Sequence[ast.stmt]) -> list[ast.stmt]:
        made: list[ast.stmt] = []
        for node in body:
            value: Any = getattr(node, "value", None)
            flat = node
            if not _is_whole(node):
                flat = copy.copy(node)
                flat.value = self._split(value)  # type: ignore[attr-defined] # it has one
            if isinstance(node, ast.Pass | ast.Global | ast.Nonlocal):
                made.append(node)
            elif isinstance(flat, ast.Expr) and flat.value is not value:
                made.append(self.framed(flat))  # all that it does is lines by now
            else:
                made += self._statement(flat)
        return made

    def framed(self, flat: Any) -> Any:
        """What stands in the copy: alternatives in place of temporary names."""
        return Put(self._choices).visit(copy.deepcopy(flat))

    def _statement(self, flat: ast.stmt) -> list[ast.stmt]:
        """A statement, or names bound from what it bound ahead."""
        number = self._start + len(self.lines)
        leaves = any(True for _ in jumps([flat], False))
        binds = _bound(flat)
        stays = any(isinstance(n, _NEVER) for n in ast.walk(flat)) or needs_frame(flat)
        stays = stays or (leaves and any(map(_has_end, ast.walk(flat))))
        line = Line(number, plain(flat), flat.lineno, binds, "", leaves, stays)
        self.lines.append(line)
        made = "None"
        if isinstance(flat, ast.Assign | ast.AugAssign):  # what it binds is bound
            made = f"({listed(binds)})"
        rows = ["$FRAMED", f"$OUT({number}, {made})"]
        if not stays:
            taken, got = ["pass"], f"$VALUES[{number}]"
            for index, name in enumerate(binds, start=1):
                bound = f"{name} = {got}[{index}]".replace(".", "$")
                taken.append(f"if {got}[{index}] is not $UNSET: {bound}")
            if leaves:
                taken.append(f"if {got}[0] == {LEAVES}: break")
                taken.append(f"if {got}[0] == {SKIPS}: continue")
            here = ["else:", *(f"    {row}" for row in rows)]
            rows = [f"if $TAKEN[{number}]:", *(f"    {row}" for row in taken), *here]
        parts = parsed("\n".join(rows), FRAMED=[self.framed(flat)], **self._points())
        return [located(part, flat) for part in parts]

    def _points(self) -> dict[str, ast.expr]:
        names = ("taken", "values", "unset", "out")
        return {name.upper(): self._make(name) for name in names}

    def _split(self, node: ast.expr) -> ast.expr:
        """The expression with temporary names in place of its calls."""
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self.taken(node, self._children(node, "value", "slice"))
        if isinstance(node, _COMPREHENSION):
            flat = copy.copy(node)
            first = self._children(node.generators[0], "iter")
            flat.generators = [first, *node.generators[1:]]
            return self.taken(node, flat)
        fields = _EAGER.get(type(node), ())
        return self._children(node, *fields) if fields else node

    def _call(self, node: ast.Call) -> ast.expr:
        if needs_frame(node.func):
            return node
        flat = copy.copy(node)
        if isinstance(node.func, ast.Attribute):
            flat.func = self._children(node.func, "value")
        flat.args = [self._split(each) for each in node.args]
        flat.keywords = [self._children(each, "value") for each in node.keywords]
        return self.taken(node, flat)

    def _children(self, node: Any, *fields: str) -> Any:
        flat = copy.copy(node)
        for name in fields:
            inner = getattr(node, name)
            several = isinstance(inner, list)
            made = [self._split(each) for each in inner] if several else None
            setattr(flat, name, made if several else self._split(inner))
        return flat

    def taken(self, node: ast.expr, flat: ast.expr) -> ast.expr:
        """An expression that is one line; its temporary name."""
        number = self._start + len(self.lines)
        name = f".{number}"
        line = ast.Assign([ast.Name(name, ast.Store())], flat)
        never = (*_NEVER, ast.NamedExpr)
        stays = any(isinstance(n, never) for n in ast.walk(flat)) or needs_frame(flat)
        statement, place = plain(located(line, node)), node.lineno
        given = (number, statement, place, _bound(flat), name, False, stays)
        self.lines.append(Line(*given))
        text = f"$VALUES[{number}] if $TAKEN[{number}] else $OUT({number}, $FRAME)"
        parts = {"FRAME": self.framed(flat), **self._points()}
        self._choices[name] = located(parsed(text, **parts)[0].value, node)
        return ast.copy_location(ast.Name(name, ast.Load()), node)


_EAGER: dict[type[ast.AST], tuple[str, ...]] = {
    ast.BinOp: ("left", "right"),
    ast.UnaryOp: ("operand",),
    ast.Attribute: ("value",),
    ast.Tuple: ("elts",),
    ast.List: ("elts",),
    ast.Starred: ("value",),
}
"""Expressions of which every part is evaluated, in this order."""


def jumps(body: Sequence[ast.stmt], returns: bool) -> Iterator[ast.stmt]:
    """`break` and `continue` of the loop whose body this is, `return` if asked for."""
    waiting: list[tuple[ast.AST, bool]] = [(node, True) for node in body]
    while waiting:
        node, own = waiting.pop()
        if isinstance(node, ast.Return) and returns:
            yield node
        if isinstance(node, ast.Break | ast.Continue) and own:
            yield node
        if isinstance(node, SCOPES):
            continue
        if isinstance(node, ast.For | ast.While | ast.AsyncFor):
            waiting += [(child, False) for child in node.body]
            waiting += [(child, own) for child in node.orelse]
        else:
            waiting += [(child, own) for child in ast.iter_child_nodes(node)]


def _bound(node: ast.AST) -> tuple[str, ...]:
    """Names that a statement or a target binds, in a fixed order."""
    return tuple(sorted(bound_in(node)))


class _Plain(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.AST:
        """As it was before a point was put there, see `each`."""
        original = vars(node).get("plain")
        return original if original is not None else self.generic_visit(node)


def plain(node: Any) -> Any:
    """A node as the user wrote it, without points of ours."""
    if not any("plain" in vars(part) for part in ast.walk(node)):
        return node
    return _Plain().visit(copy.deepcopy(node))


def _is_whole(node: ast.stmt) -> bool:
    """Whether a statement is one line, with whatever is in it."""
    kinds = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign)
    if not isinstance(node, kinds) or node.value is None:
        return True
    return any(isinstance(n, (*_PAUSE, ast.NamedExpr)) for n in ast.walk(node))


def needs_frame(node: ast.AST) -> bool:
    """Whether it only works in the function where it is written."""
    nodes = [*ast.walk(node)]
    ids = {part.id for part in nodes if isinstance(part, ast.Name)}
    named = ids | {part.attr for part in nodes if isinstance(part, ast.Attribute)}
    private = (n for n in named if n.startswith("__") and not n.endswith("__"))
    return bool(ids & _FRAME_BOUND) or any(private)


def _has_end(node: ast.AST) -> bool:
    """Whether something of it runs after a jump within it."""
    if isinstance(node, ast.Try | ast.TryStar):
        return bool(node.finalbody)
    return isinstance(node, ast.With)
