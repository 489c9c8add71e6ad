"""Variables that a loop replaces by what it made of them: parameters, perhaps.

In `for it in ...: stats = expect(data); A = stats / stats.sum()` no statement reads and
changes `A`; but `expect` uses what the iteration before has bound. Statements are taken
in the order in which they stand, those of the module's functions and methods where they
are called, found by their names.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from debottleneck.agent.dataflow import (
    DEPTH,
    SCOPES,
    declared,
    last_word,
    meets,
    overlap,
    own_parts,
    path_of,
    walk,
)

MOST_STEPS = 500
"""Statements that an iteration is followed through."""

_MADE = (
    ast.BinOp, ast.Call, ast.Name, ast.Attribute, ast.Subscript, ast.ListComp,
    ast.DictComp, ast.Tuple, ast.List,
)  # fmt: skip
_OWN = ":"
"""Stands between a function's name and that of a variable of its own."""


@dataclass(frozen=True)
class _Step:
    """A statement, or an argument handed over: paths as seen from the loop.

    Attributes:
        reads: Those that it uses.
        binds: Those that it binds -> as they are written there.
        node: The statement.
    """

    reads: frozenset[str]
    binds: Mapping[str, str]
    node: ast.stmt | None = None


def carried(tree: ast.Module) -> dict[tuple[int, int], str]:
    """Where statements stand that bind such a variable -> its path there."""
    every = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    times = Counter(function.name for function in every)
    functions = {f.name: f for f in every if times[f.name] == 1}
    found: dict[tuple[int, int], str] = {}
    for loop in ast.walk(tree):
        if isinstance(loop, ast.For | ast.While):
            steps = _Iteration(functions, loop.body).steps
            for node, path in _replacing(steps):
                found[node.lineno, node.col_offset] = path
    return found


def _replacing(steps: Sequence[_Step]) -> Iterator[tuple[ast.stmt, str]]:
    for at, step in enumerate(steps):
        if not isinstance(step.node, ast.Assign):
            continue
        if not isinstance(step.node.value, _MADE):
            continue
        for path, written in step.binds.items():
            lives = _OWN not in path and _reads_first(steps[: at + 1], path)
            if lives and meets(step.reads, _made_of(path, steps)):
                yield step.node, written


def _reads_first(steps: Sequence[_Step], path: str) -> bool:
    """Whether an iteration uses what the one before has bound."""
    for step in steps:
        if any(overlap(read, path) for read in step.reads):
            return True
        if path in step.binds:
            return False
    return False


def _made_of(path: str, steps: Sequence[_Step]) -> Collection[str]:
    """All that is bound by what uses it, and so on."""
    made, known = {path}, 0
    while known != (known := len(made)):
        for step in steps:
            if meets(step.reads, made):
                made |= {*step.binds}
    return made


class _Iteration:
    """What the statements of a loop's body read and write, in order."""

    def __init__(
        self, functions: Mapping[str, ast.FunctionDef], body: Sequence[ast.stmt]
    ) -> None:
        self._functions = functions
        self.steps: list[_Step] = []
        self._block(body, {}, DEPTH)

    def _block(
        self, body: Iterable[ast.AST], names: Mapping[str, str], depth: int
    ) -> None:
        for node in body:
            if len(self.steps) >= MOST_STEPS or isinstance(node, SCOPES):
                continue
            if not isinstance(node, ast.stmt):  # handlers, cases
                self._block(ast.iter_child_nodes(node), names, depth)
                continue
            inner = [*ast.iter_child_nodes(node)]
            reads = self._reads(own_parts(node), names, depth)
            written = [path_of(target) for target in _targets(node)]
            if isinstance(node, ast.AugAssign):
                reads |= {_seen(path, names) for path in written}
            if isinstance(node, ast.Return):
                written = ["return"]
            binds = {_seen(path, names): path for path in written}
            self.steps.append(_Step(frozenset(reads - {""}), binds, node))
            self._block([n for n in inner if _is_block(n)], names, depth)

    def _reads(
        self, nodes: Sequence[ast.AST], names: Mapping[str, str], depth: int
    ) -> set[str]:
        reads: set[str] = set()
        for node in nodes:
            if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
                path = path_of(node)
                if isinstance(node.ctx, ast.Load):
                    reads.add(_seen(path, names))
                inner = _indices(node) if path else [*ast.iter_child_nodes(node)]
                reads |= self._reads(inner, names, depth)
            elif isinstance(node, ast.Call):
                reads |= self._call(node, names, depth)
            elif not isinstance(node, SCOPES):
                reads |= self._reads([*ast.iter_child_nodes(node)], names, depth)
        return reads

    def _call(self, node: ast.Call, names: Mapping[str, str], depth: int) -> set[str]:
        """What a call uses; its steps come before those of the statement."""
        given = [*node.args, *(k.value for k in node.keywords)]
        used = [self._reads([one], names, depth) for one in given]
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        name = last_word(node)
        function = self._functions.get(name)
        reads = set[str]().union(*used)
        if receiver is not None:
            reads |= self._reads([receiver], names, depth) if not function else set()
        if function is None or not depth:
            return reads
        own = _own_names(function)
        inner = {one: f"{name}{_OWN}{one}" for one in own}
        spec = function.args
        params = [arg.arg for arg in (*spec.posonlyargs, *spec.args)]
        if receiver is not None and params:
            inner[params.pop(0)] = _seen(path_of(receiver), names)
        by_name = {k.arg: k.value for k in node.keywords if k.arg}
        pairs = [*zip(params, node.args, strict=False), *by_name.items()]
        for (param, value), parts in zip(pairs, used, strict=False):
            if path := _seen(path_of(value), names):
                inner[param] = path
            elif param in inner:
                self.steps.append(_Step(frozenset(parts), {inner[param]: param}))
        inner["return"] = f"{name}{_OWN}return"
        self._block(function.body, inner, depth - 1)
        return reads | {inner["return"]}


def _is_block(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case)


def _seen(path: str, names: Mapping[str, str]) -> str:
    """A path in the loop's terms."""
    first, dot, rest = path.partition(".")
    return f"{names.get(first, first)}{dot}{rest}"


def _indices(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node, ast.Subscript):
            found.append(node.slice)
        node = node.value
    return found


def _targets(node: ast.stmt) -> list[ast.AST]:
    """What a statement binds or changes elements of, tuples taken apart."""
    own = [*getattr(node, "targets", []), getattr(node, "target", None)]
    own += [item.optional_vars for item in getattr(node, "items", [])]
    parts = [part for one in own if one is not None for part in ast.walk(one)]
    return [p for p in parts if isinstance(getattr(p, "ctx", None), ast.Store)]


def _own_names(function: ast.FunctionDef) -> set[str]:
    """Names of its own variables."""
    nodes = [each for part in function.body for each in walk(part)]
    stored = (n for n in nodes if isinstance(n, ast.Name))
    bound = {node.id for node in stored if isinstance(node.ctx, ast.Store)}
    given = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    return (bound | given) - declared(nodes)
