"""A load opened: the lines of the function that a line calls, in place of the call.

A function that draws indices, counts or steps through a file, and then loads, must run
in order as a whole. With its own lines in the flat loop only those that keep a state
do. Opened are the user's own functions of the loop's module, called on things that
the loop does not bind, whose body ends in its only `return`.
"""

from __future__ import annotations

import ast
import copy
import gc
import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from debottleneck.agent.generated import Put, located, parsed
from debottleneck.strategies.conflicts import PLAIN
from debottleneck.strategies.rewriting import known
from debottleneck.strategies.rewriting.bindings import certain, names_in
from debottleneck.strategies.rewriting.flatten import (
    FlatLoop,
    Line,
    lines_of,
    needs_frame,
)
from debottleneck.strategies.rewriting.values import users_function

DEEPEST = 3
"""Functions within functions that are opened."""

_REFUSED = (
    ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.Global, ast.Nonlocal,
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.NamedExpr,
)  # fmt: skip


def opened(
    flat: FlatLoop, wanted: Collection[int], space: dict[str, Any],
    fixed: Mapping[str, Any], changed: Collection[str] = (),
) -> FlatLoop:  # fmt: skip
    """The loop with what some of its lines call opened; itself if nothing can be.

    Args:
        flat: The loop.
        wanted: Numbers of the lines.
        space: Globals of the function that it is in.
        fixed: Names that the loop does not bind, and what they hold.
        changed: Attributes that it binds.
    """
    objects = _Objects(dict(fixed), frozenset(changed))
    for _ in range(DEEPEST):
        lines: list[Line] = []
        start = max(line.number for line in flat.lines) + 1
        for line in flat.lines:
            within = (
                _opened(line, start, space, objects) if line.number in wanted else []
            )
            start += len(within)
            lines += within or [line]
        if len(lines) == len(flat.lines):
            return flat
        wanted = {*wanted, *(line.number for line in lines)} - {
            line.number for line in flat.lines if line.number not in wanted
        }
        flat = replace(flat, lines=tuple(lines))
    return flat


@dataclass(frozen=True)
class Iterable:
    """What a loop goes over, whose generators are under way, waiting at their `yield`.

    Attributes:
        iterator: What those generators' loops go over.
        names: What their lines use of the generators' own names.
    """

    iterator: Any
    names: dict[str, Any]


def under_way(iterator: Any, space: dict[str, Any], prefix: str = ".") -> Iterable:
    """The loops that generators are in; itself if none can be taken over."""
    joined = _joined(iterator)
    if joined is not None:
        make, parts, rest = joined
        inner = [under_way(p, space, f"{prefix}{n}.") for n, p in enumerate(parts)]
        names = {name: v for part in inner for name, v in part.names.items()}
        same = all(i.iterator is p for i, p in zip(inner, parts, strict=True))
        own = iterator if same else make(*(part.iterator for part in inner), *rest)
        return Iterable(own, names)
    if _loop_of(iterator, space) is not None:
        local = iterator.gi_frame.f_locals
        held = {id(value) for value in local.values()}
        found = [
            each
            for each in gc.get_referents(iterator)
            if hasattr(each, "__next__") and id(each) not in held
        ]
        if len(found) == 1:
            return Iterable(found[0], {f"{prefix}{n}": v for n, v in local.items()})
    return Iterable(iterator, {})


def _joined(iterator: Any) -> tuple[Callable[..., Any], list[Any], list[Any]] | None:
    """How a `zip` or `enumerate` is made anew, of what, and of what else."""
    if type(iterator) not in (zip, enumerate):
        return None
    make, given, *strict = iterator.__reduce__()
    if strict:
        return None
    parts = [*given] if make is zip else [given[0]]
    return make, parts, [*given[len(parts) :]]


def joins(iterator: Any) -> bool:
    """Whether items of several are taken at once."""
    make, parts, _ = _joined(iterator) or (None, [], [])
    return make is zip or any(map(joins, parts))


def resumed(iterator: Any, inner: Any) -> Any:
    """What the loop goes over from where `inner` is, which was made of it."""
    joined, now = _joined(iterator), _joined(inner)
    if joined is None or now is None:
        return iterator
    make, parts, rest = now
    pairs = zip(joined[1], parts, strict=True)
    return make(*(resumed(one, part) for one, part in pairs), *rest)


def opened_iterable(
    flat: FlatLoop, iterator: Any, space: dict[str, Any]
) -> FlatLoop | None:
    """The loop with those of the generators it goes over in it."""
    if flat.target is None or under_way(iterator, space).iterator is iterator:
        return None
    start = max((line.number for line in flat.lines), default=0) + 1
    target, value, lines = _turn_of(iterator, space, ".", start)
    start += len(lines)
    added = parsed("$given = $VALUE\n$TARGET = $given", VALUE=value, TARGET=flat.target)
    target, *added = (located(node, lines[-1].node) for node in (target, *added))
    made = lines_of(added, start)
    made[-2] = replace(made[-2], binds=(), temporary=".given")
    lines += [replace(line, opened=True, through=lines[-1].through) for line in made]
    lines = [replace(line, within=flat.place) for line in lines]
    names = tuple(sorted(names_in(target, ast.Store)))
    if _keeps(lines, names):
        return None
    return replace(
        flat, lines=(*lines, *flat.lines), target=target, names=names,
        item=made[-2].number,
    )  # fmt: skip


def _turn_of(
    iterator: Any, space: dict[str, Any], prefix: str, start: int
) -> tuple[ast.expr, ast.expr, list[Line]]:
    """What a turn binds, its item, and its lines, of all generators in turn."""
    joined = _joined(iterator)
    if joined is not None:
        make, parts, _ = joined
        targets, values, lines = list[ast.expr](), list[ast.expr](), list[Line]()
        if make is enumerate:
            targets = [ast.Name(f"{prefix}count", ast.Store())]
            values = [ast.Name(f"{prefix}count", ast.Load())]
        for n, part in enumerate(parts):
            at = start + len(lines)
            target, value, more = _turn_of(part, space, f"{prefix}{n}.", at)
            targets, values, lines = [*targets, target], [*values, value], lines + more
        store, load = ast.Store(), ast.Load()
        return ast.Tuple(targets, store), ast.Tuple(values, load), lines
    loop = _loop_of(iterator, space)
    if loop is None:
        name = f"{prefix}item"
        return ast.Name(name, ast.Store()), ast.Name(name, ast.Load()), []
    code = iterator.gi_code
    own = {*code.co_varnames[: code.co_nlocals], *code.co_cellvars}
    renamer = Put({name: f"{prefix}{name}" for name in own})
    body = [renamer.visit(copy.deepcopy(part)) for part in loop.body]
    pause: Any = body.pop()
    last = pause.value.value or ast.copy_location(ast.Constant(None), pause)
    given = ast.Name(f"{prefix}yielded", ast.Store())
    body.append(ast.copy_location(ast.Assign([given], last), pause))
    ast.copy_location(given, pause)
    through = ((code.co_name, None),)
    lines = [replace(k, opened=True, through=through) for k in lines_of(body, start)]
    target = renamer.visit(copy.deepcopy(loop.target))
    return target, ast.Name(given.id, ast.Load()), lines


def _loop_of(generator: Any, space: dict[str, Any]) -> ast.For | None:
    """The `for` loop that ends a generator and in whose end it waits."""
    if not isinstance(generator, types.GeneratorType):
        return None
    code, frame = generator.gi_code, generator.gi_frame
    if frame is None or frame.f_globals is not space or code.co_freevars:
        return None
    node = known.source_of(types.FunctionType(code, space))
    loop = node.body[-1] if isinstance(node, ast.FunctionDef) else None
    if not isinstance(node, ast.FunctionDef) or not isinstance(loop, ast.For):
        return None
    pause = loop.body[-1]
    if not (isinstance(pause, ast.Expr) and isinstance(pause.value, ast.Yield)):
        return None
    nodes = [n for part in node.body for n in ast.walk(part)]
    if loop.orelse or sum(isinstance(n, ast.Yield) for n in nodes) != 1:
        return None
    if any(isinstance(n, ast.Lambda | ast.FunctionDef | ast.ClassDef) for n in nodes):
        return None
    others = tuple(kind for kind in _REFUSED if kind is not ast.Yield)
    leaves = (*others, ast.Break, ast.Continue, ast.Try, ast.With)
    if any(isinstance(n, leaves) for part in loop.body for n in ast.walk(part)):
        return None
    end = pause.end_lineno or pause.lineno
    return loop if pause.lineno <= frame.f_lineno <= end else None


def _keeps(lines: Sequence[Line], names: tuple[str, ...]) -> bool:
    """Whether a name of the generator's is carried from one turn to the next."""
    sure = {*names}
    stored = {n for line in lines for n in (*line.binds, line.temporary)}
    for line in lines:
        early = (line.uses | {*line.binds} - certain([line.node])) & stored - sure
        if early or isinstance(line.node, ast.AugAssign):
            return True
        sure |= {*line.binds, line.temporary}
    return False


def _opened(
    line: Line, start: int, space: dict[str, Any], objects: _Objects
) -> list[Line]:
    """The lines of what one line calls; none if it cannot be opened."""
    call = getattr(line.node, "value", None)
    if not line.temporary or line.stays or not isinstance(call, ast.Call):
        return []
    found = _called(call.func, objects)
    if found is None:
        return []
    function, receiver = found
    node = known.source_of(function)
    if not isinstance(node, ast.FunctionDef) or function.__globals__ is not space:
        return []
    body = node.body[ast.get_docstring(node, clean=False) is not None :]
    given = _arguments(function, call, receiver)
    if given is None or not body or not _is_simple(body, function):
        return []
    rename = {
        name: f"{line.temporary}.{name}"
        for name in {*given, *(n for part in body for n in names_in(part, ast.Store))}
    }
    for name, value in given.items():
        known_object = objects.of(value)
        if known_object is not None:
            objects.names[rename[name]] = known_object
    outer = [(name, call) for name, _ in line.through[-1:]]
    through = (*line.through[:-1], *outer, (function.__name__, None))
    made = _lines(line, start, given, rename, body)
    return [replace(one, through=through) for one in made]


def _lines(
    line: Line, start: int, given: Mapping[str, ast.expr], rename: Mapping[str, str],
    body: Sequence[ast.stmt],
) -> list[Line]:  # fmt: skip
    renamer = Put(rename)
    own = [renamer.visit(copy.deepcopy(part)) for part in body]
    result: ast.expr | None = None
    if isinstance(own[-1], ast.Return):
        result = own.pop().value
    values = [(rename[name], value) for name, value in given.items()]
    first = [ast.Assign([ast.Name(n, ast.Store())], value) for n, value in values]
    end = parsed(f"{line.temporary} = $VALUE".replace(".", "$"), VALUE=result or _NONE)
    parts = [located(part, line.node) for part in (*first, *own, *end)]
    within = line.within or line.place
    found = lines_of(parts, start)
    made = [replace(part, opened=True, within=within) for part in found]
    last = replace(made[-1], number=line.number, binds=(), temporary=line.temporary)
    return [*made[:-1], last]


_NONE = ast.Constant(None)


def _is_simple(body: Sequence[ast.stmt], function: Any) -> bool:
    """Whether its only way out is the end of its body."""
    code = function.__code__
    if code.co_freevars:
        return False
    inner = body[:-1] if isinstance(body[-1], ast.Return) else body
    nodes = [node for part in inner for node in ast.walk(part)]
    last = ast.walk(body[-1])
    nodes += [node for node in last if node is not body[-1]]
    refused = any(isinstance(node, _REFUSED) for node in nodes)
    return not (refused or any(map(needs_frame, body)))


@dataclass(frozen=True)
class _Objects:
    """What expressions are at any time in the loop.

    Attributes:
        names: That it does not bind, and what they hold.
        changed: Attributes that it binds.
    """

    names: dict[str, Any]
    changed: frozenset[str]

    def of(self, node: ast.expr) -> Any:
        """What it is; None if that is not known."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Attribute) and node.attr not in self.changed:
            return getattr(self.of(node.value), "__dict__", {}).get(node.attr)
        return None


def _called(node: ast.expr, objects: _Objects) -> tuple[Any, ast.expr | None] | None:
    """The function that is called, and on what; None if that may change."""
    if isinstance(node, ast.Name):
        found = objects.of(node)
        return (found, None) if _is_plain(found) else None
    if not isinstance(node, ast.Attribute) or node.attr in objects.changed:
        return None
    owner = objects.of(node.value)
    if owner is None or isinstance(owner, type | types.ModuleType):
        return None
    if node.attr in getattr(owner, "__dict__", {}):
        return None
    found = inspect.getattr_static(type(owner), node.attr, None)
    return (found, node.value) if _is_plain(found) else None


def _is_plain(found: Any) -> bool:
    """Whether it is a function of the user's, and nothing is around it."""
    return isinstance(found, types.FunctionType) and users_function(found) is found


def _arguments(
    function: types.FunctionType, call: ast.Call, receiver: ast.expr | None
) -> dict[str, ast.expr] | None:
    """Parameters -> expressions, as they are evaluated; None if they cannot be told."""
    signature = inspect.signature(function)
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    starred = any(isinstance(arg, ast.Starred) for arg in call.args)
    if starred or any(p.kind in several for p in signature.parameters.values()):
        return None
    placed = [*([receiver] if receiver is not None else []), *call.args]
    named = {keyword.arg or "**": keyword.value for keyword in call.keywords}
    try:
        bound = signature.bind(*placed, **named).arguments
    except TypeError:
        return None
    order = [*map(id, placed), *map(id, named.values())]
    given = dict(sorted(bound.items(), key=lambda pair: order.index(id(pair[1]))))
    for name, parameter in signature.parameters.items():
        if name not in given:
            if not isinstance(parameter.default, PLAIN):
                return None
            given[name] = ast.Constant(parameter.default)
    return given
