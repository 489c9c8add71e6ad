"""The functions that run ahead, generated for one loop and one frame.

`index` is a generator that goes over the loop's items, runs the lines that keep their
order and yields what the heavy lines need; `load` runs those for one item. Both take
the names that they use as parameters, so that nothing is nonlocal and the loop's own
frame is not touched. What they make comes out by the number of the line.
"""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debottleneck.strategies.rewriting.divide import Division
from debottleneck.strategies.rewriting.flatten import (
    LEAVES,
    SKIPS,
    FlatLoop,
    Line,
    codes_of,
    function_of,
)
from debottleneck.strategies.rewriting.tracebacks import generated_in

ITEM, VALUES, CARRY, NAMES = ".item", ".values", ".carry", ".names"
NOTE = ".note"


class Unset:
    """What stands for a name that was not bound, in every process the same."""

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = Unset()


class LoopItems:
    """The loop's own items; tells what it raised from what lines raise.

    Attributes:
        raised: What it raised.
        ended: Whether it is over.
        came: Called after each item.
    """

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator
        self.raised: BaseException | None = None
        self.ended = False
        self.came: Callable[[], None] | None = None

    def __iter__(self) -> LoopItems:
        return self

    def __next__(self) -> Any:
        try:
            item = next(self.iterator)
            if self.came is not None:
                self.came()
            return item
        except StopIteration:
            self.ended = True
            raise
        except BaseException as error:
            self.raised = error
            raise


def values_before(error: BaseException) -> tuple[Any, list[Any]] | None:
    """The item and the values that lines had made before one raised."""
    trace = generated_in(error)
    if trace is None:
        return None
    local = trace.tb_frame.f_locals
    return local.get(ITEM), local.get(VALUES) or []


def names_of(local: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    """The values of names, `UNSET` for those not bound."""
    return tuple(local.get(name, UNSET) for name in names)


@dataclass(frozen=True)
class Split:
    """What was generated.

    Attributes:
        index: Of an iterable (of a `while` loop, of anything endless) -> a generator
            of (item, values by line, what `load` needs or None where there is none).
        load: Of values and what it needs; fills the values in.
        taken: Of each line, whether its value comes from ahead.
    """

    index: Callable[[Any], Any]
    load: Callable[[list[Any], Any], None]
    taken: tuple[bool, ...]


def split(
    flat: FlatLoop,
    division: Division,
    space: dict[str, Any],
    local: Mapping[str, Any],
    kept: Collection[str],
    file: str,
    note: Callable[[int, Any], Any] | None = None,
    besides: Mapping[str, Any] | None = None,
) -> Split:
    """Generate and compile.

    Args:
        flat: The loop.
        division: Its sides.
        space: Globals of the function that the loop is in.
        local: Its local variables as they are; at module level the globals.
        kept: Names that stay the module's where they are bound ahead, as functions
            that are called ahead read them there.
        file: Where the loop stands.
        note: Is told of every line that runs in order.
        besides: Names that are no variables of the frame.
    """
    lines = flat.numbered
    order = [lines[n] for n in division.order]
    heavy = [lines[n] for n in division.heavy]
    made = {*flat.names, *(n for line in order for n in _all_binds(line))}
    own = {n for line in heavy for n in _all_binds(line)}
    needs = sorted(_uses(heavy) & made - set(kept))
    bound = (made | own) - set(kept)
    used = _uses([*order, *heavy])
    used |= _ids(flat.target) if flat.target is not None else set()
    within = local is not space  # what is the module's is read there
    given = {n: v for n, v in local.items() if n in used and (within or n in bound)}
    given = {n: v for n, v in given.items() if n not in kept} | dict(besides or {})
    hidden = sorted({*kept} & (made | own))
    index = _index(flat, order, needs, sorted(given), hidden, note is not None)
    # What heavy lines only bind is not given: it is bound by them, or as it was.
    rest = {n: v for n, v in given.items() if n in _uses(heavy) and n not in needs}
    load = _load(heavy, needs, sorted(rest), hidden)
    made_index, made_load = _made([index, load], flat, space, file)
    taken = [False] * (max(lines) + 1)
    for number in (*division.order, *division.heavy):
        taken[number] = True
    return Split(
        lambda items: made_index(items, names_of, note, **given),
        lambda values, carry: made_load(values, carry, names_of, **rest),
        tuple(taken),
    )


def _made(
    functions: list[ast.stmt], flat: FlatLoop, space: dict[str, Any], file: str
) -> list[types.FunctionType]:
    """The functions, with the module's own globals."""
    for function in functions:
        _locate(function, flat)
    return [types.FunctionType(code, space) for code in codes_of(functions, file)]


def _all_binds(line: Line) -> tuple[str, ...]:
    return (*line.binds, line.temporary) if line.temporary else line.binds


def _uses(lines: Sequence[Line]) -> set[str]:
    return {name for line in lines for name in line.uses}


def _ids(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _name(name: str, store: bool = False) -> ast.Name:
    return ast.Name(name, ast.Store() if store else ast.Load())


def _tuple(names: Sequence[str], store: bool = False) -> ast.Tuple:
    context = ast.Store() if store else ast.Load()
    return ast.Tuple([_name(n, store) for n in names], context)


def _function(
    name: str, given: Sequence[str], kept: Sequence[str], body: list[ast.stmt]
) -> ast.FunctionDef:
    head: list[ast.stmt] = [ast.Global([*kept])] if kept else []
    return function_of(name, given, [*head, *body])


def _index(
    flat: FlatLoop,
    order: Sequence[Line],
    needs: Sequence[str],
    given: Sequence[str],
    kept: Sequence[str],
    noted: bool,
) -> ast.FunctionDef:
    start = ast.Assign(
        [_name(VALUES, True)],
        ast.BinOp(
            ast.List([_name(NAMES)], ast.Load()), ast.Mult(),
            ast.Constant(max(flat.numbered) + 1),
        ),
    )  # fmt: skip
    body: list[ast.stmt] = [start]
    if flat.target is not None:
        body.append(ast.Assign([copy.deepcopy(flat.target)], _name(ITEM)))
    for line in order:
        body += _run(line, kept)
        if noted:
            body.append(_noted(line))
        if flat.target is None and line.number == 0:
            body.append(_end_of_while())
    body.append(_give(_tuple(needs)))
    items = _name(".items")
    loop = ast.For(_name(ITEM, True), items, body, [])
    return _function(".index", [".items", NAMES, NOTE, *given], kept, [loop])


def _end_of_while() -> ast.stmt:
    """The condition was false: give it on and end."""
    left: list[ast.stmt] = [_give(ast.Constant(None)), ast.Return()]
    return ast.If(ast.UnaryOp(ast.Not(), _name(".0")), left, [])


def _give(carry: ast.expr) -> ast.stmt:
    made = ast.Tuple([_name(ITEM), _name(VALUES), carry], ast.Load())
    return ast.Expr(ast.Yield(made))


def _load(
    heavy: Sequence[Line],
    needs: Sequence[str],
    given: Sequence[str],
    kept: Sequence[str],
) -> ast.FunctionDef:
    body: list[ast.stmt] = []
    if needs:
        body.append(ast.Assign([_tuple(needs, True)], _name(CARRY)))
    for line in heavy:
        body += _run(line, kept)
    given = [VALUES, CARRY, NAMES, *given]
    return _function(".load", given, kept, body or [ast.Pass()])


def _noted(line: Line) -> ast.stmt:
    value: ast.expr = _tuple(line.binds)
    if line.temporary:
        value = _name(line.temporary)
    elif not isinstance(line.node, ast.Assign | ast.AugAssign):
        value = ast.Constant(None)
    return ast.Expr(ast.Call(_name(NOTE), [ast.Constant(line.number), value], []))


def _run(line: Line, kept: Collection[str]) -> list[ast.stmt]:
    """A line, and what it made put where it is taken from."""
    node = copy.deepcopy(line.node)
    if line.leaves:
        node = _Leaving(line, kept).visit(node)
    return [node, _put(line, 0, kept)]


def _put(line: Line, code: int, kept: Collection[str]) -> ast.stmt:
    place = ast.Subscript(_name(VALUES), ast.Constant(line.number), ast.Store())
    if line.temporary:
        return ast.Assign([place], _name(line.temporary))
    local = ast.Call(_name("locals"), [], [])
    names = ast.Call(_name(NAMES), [local, *(ast.Constant(n) for n in line.binds)], [])
    certain = isinstance(line.node, ast.Assign | ast.AugAssign) or not line.binds
    if certain and not {*kept} & {*line.binds}:  # those are bound where they are read
        names = _tuple(line.binds)  # type: ignore[assignment] # bound for certain
    made = ast.Tuple([ast.Constant(code), ast.Starred(names, ast.Load())], ast.Load())
    return ast.Assign([place], made)


class _Leaving(ast.NodeTransformer):
    """What leaves the loop also leaves the values where they are taken from."""

    def __init__(self, line: Line, kept: Collection[str]) -> None:
        self._line, self._kept = line, kept

    def visit_Break(self, node: ast.Break) -> list[ast.stmt]:
        """Nothing comes after this item."""
        return [
            _put(self._line, LEAVES, self._kept),
            _give(ast.Constant(None)),
            ast.Return(),
        ]

    def visit_Continue(self, node: ast.Continue) -> list[ast.stmt]:
        """The next item comes."""
        return [_put(self._line, SKIPS, self._kept), _give(ast.Constant(None)), node]

    def _loop(self, node: Any) -> Any:
        node.orelse = [self.visit(each) for each in node.orelse]
        return node

    visit_For = visit_While = _loop

    def _scope(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_Lambda = visit_ClassDef = _scope


def _locate(function: ast.stmt, flat: FlatLoop) -> None:
    """What was generated stands where the first of the user's lines does."""
    first = flat.lines[0].place if flat.lines else 1
    waiting: list[tuple[ast.AST, int]] = [(function, first)]
    while waiting:
        node, line = waiting.pop()
        if isinstance(node, ast.stmt | ast.expr | ast.arg):
            if getattr(node, "lineno", None) is None:
                node.lineno = node.end_lineno = line
                node.col_offset = node.end_col_offset = 0
            line = node.lineno
        waiting += [(child, line) for child in ast.iter_child_nodes(node)]
