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

from debottleneck.agent.generated import (
    codes_of,
    listed,
    located,
    parsed,
)
from debottleneck.strategies.rewriting.divide import Division
from debottleneck.strategies.rewriting.flatten import (
    LEAVES,
    SKIPS,
    FlatLoop,
    Line,
)
from debottleneck.strategies.rewriting.tracebacks import generated_in

ITEM, VALUES = ".item", ".values"
GIVE_NONE = "yield $item, $values, None"


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
    target = ast.walk(flat.target or ast.Pass())
    used = {n.id for n in target if isinstance(n, ast.Name)} | _uses([*order, *heavy])
    within = local is not space  # what is the module's is read there
    given = {n: v for n, v in local.items() if n in used and (within or n in bound)}
    given = {n: v for n, v in given.items() if n not in kept} | dict(besides or {})
    hidden = sorted({*kept} & (made | own))
    # What heavy lines only bind is not given: it is bound by them, or as it was.
    rest = {n: v for n, v in given.items() if n in _uses(heavy) and n not in needs}
    index = _index(flat, order, needs, sorted(given), hidden, note is not None)
    load = _load(heavy, needs, sorted(rest), hidden)
    codes = codes_of([located(each, _at(flat)) for each in (index, load)], file)
    made_index, made_load = (types.FunctionType(code, space) for code in codes)
    taken = [False] * (max(lines) + 1)
    for number in (*division.order, *division.heavy):
        taken[number] = True
    return Split(
        lambda items: made_index(items, names_of, note, **given),
        lambda values, carry: made_load(values, carry, names_of, **rest),
        tuple(taken),
    )


def _all_binds(line: Line) -> tuple[str, ...]:
    return (*line.binds, line.temporary) if line.temporary else line.binds


def _uses(lines: Sequence[Line]) -> set[str]:
    return {name for line in lines for name in line.uses}


def _at(flat: FlatLoop) -> ast.AST:
    line = flat.place
    return ast.Pass(lineno=line, end_lineno=line, col_offset=0, end_col_offset=0)


def _index(
    flat: FlatLoop,
    order: Sequence[Line],
    needs: Sequence[str],
    given: Sequence[str],
    kept: Sequence[str],
    noted: bool,
) -> ast.stmt:
    lines: list[ast.stmt] = []
    for line in order:
        lines += _run(line, kept)
        if noted:
            lines += parsed(f"$note({line.number}, {_value(line)})")
        if flat.target is None and line.number == 0:  # it was false: give it on
            lines += parsed(f"if not $0:\n    {GIVE_NONE}\n    return")
    binds = "" if flat.target is None else "$TARGET = $item"
    text = f"""
def $index($items, $names, $note, {listed(given)}):
    {_declared(kept)}
    for $item in $items:
        $values = [$names] * {max(flat.numbered) + 1}
        {binds}
        $LINES
        yield $item, $values, ({listed(needs)})
"""
    target = flat.target or ast.Constant(None)
    made: ast.stmt = parsed(text, TARGET=target, LINES=lines)[0]
    return made


def _load(
    heavy: Sequence[Line],
    needs: Sequence[str],
    given: Sequence[str],
    kept: Sequence[str],
) -> ast.stmt:
    text = f"""
def $load($values, $carry, $names, {listed(given)}):
    {_declared(kept)}
    [{listed(needs)}] = $carry
    $LINES
"""
    lines = [node for line in heavy for node in _run(line, kept)]
    made: ast.stmt = parsed(text, LINES=lines)[0]
    return made


def _declared(kept: Sequence[str]) -> str:
    return f"global {', '.join(kept)}" if kept else "pass"


def _value(line: Line) -> str:
    """What a line gave."""
    if line.temporary:
        return line.temporary.replace(".", "$")
    certain = isinstance(line.node, ast.Assign | ast.AugAssign)
    return f"({listed(line.binds)})" if certain else "None"


def _run(line: Line, kept: Collection[str]) -> list[ast.stmt]:
    """A line, and what it made put where it is taken from."""
    node = copy.deepcopy(line.node)
    if line.leaves:
        node = _Leaving(line, kept).visit(node)
    return [node, *parsed(_put(line, 0, kept))]


def _put(line: Line, code: int, kept: Collection[str]) -> str:
    value = _value(line)
    if not line.temporary:
        certain = value != "None" or not line.binds
        if certain and not {*kept} & {
            *line.binds
        }:  # those are bound where they are read
            names = f"({listed(line.binds)})"
        else:
            names = f"$names(locals(), *{line.binds})"
        value = f"({code}, *{names})"
    return f"$values[{line.number}] = {value}"


class _Leaving(ast.NodeTransformer):
    """What leaves the loop also leaves the values where they are taken from."""

    def __init__(self, line: Line, kept: Collection[str]) -> None:
        self._line, self._kept = line, kept

    def visit_Break(self, node: ast.Break) -> list[ast.stmt]:
        """Nothing comes after this item."""
        put = _put(self._line, LEAVES, self._kept)
        return parsed(f"{put}\n{GIVE_NONE}\nreturn")

    def visit_Continue(self, node: ast.Continue) -> list[ast.stmt]:
        """The next item comes."""
        return parsed(f"{_put(self._line, SKIPS, self._kept)}\n{GIVE_NONE}\ncontinue")

    def _loop(self, node: Any) -> Any:
        node.orelse = [self.visit(each) for each in node.orelse]
        return node

    visit_For = visit_While = _loop

    def _scope(self, node: Any) -> Any:
        return node

    visit_FunctionDef = visit_Lambda = visit_ClassDef = _scope
