"""What statements read and write, by the names in them; which feed the training.

Names are dotted paths as written (`x`, `self.buffer`); what lies within an index is
part of what is indexed. A call may change its receiver and, where its result is not
used, its arguments. Standard library only.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
INPUT, TRAIN = "input", "train"
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.MatMult)


@dataclass(frozen=True)
class Flow:
    """One statement's traffic with names.

    Attributes:
        reads: Paths whose values it uses.
        writes: Paths that it binds, or changes an element or attribute of.
        touches: Paths of objects that calls in it may change.
        calls: Paths of what it calls, functions of modules aside.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    touches: frozenset[str]
    calls: frozenset[str] = frozenset()


def path_of(node: ast.AST) -> str:
    """The dotted path that an expression is part of, "" for others.

    Indices are left out: `self.w["a"][0]` is of `self.w`.
    """
    names: list[str] = []
    while True:
        if isinstance(node, ast.Subscript | ast.Starred):
            node, names = node.value, [] if isinstance(node, ast.Subscript) else names
        elif isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Name):
            return ".".join([node.id, *reversed(names)])
        else:
            return ""


def overlap(one: str, other: str) -> bool:
    """Whether two paths are of one object, or of an object and a part of it."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def meets(some: Collection[str], others: Collection[str]) -> bool:
    """Whether any path of one overlaps any of the others."""
    return any(overlap(one, other) for one in some for other in others)


def last_word(node: ast.AST) -> str:
    """The last name of `a.b`, `b` or a call of it; "" of all else."""
    while isinstance(node, ast.Call):
        node = node.func
    word: str = getattr(node, "attr", getattr(node, "id", ""))
    return word


def declared(nodes: Iterable[ast.AST], *kinds: type[ast.AST]) -> set[str]:
    """Names that are declared in these, global or nonlocal, or of one kind."""
    found = (n for n in nodes if isinstance(n, kinds or (ast.Global, ast.Nonlocal)))
    return {name for node in found for name in vars(node)["names"]}


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run with this one: not what it defines for later."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, SCOPES):
            waiting += ast.iter_child_nodes(node)


@dataclass(frozen=True)
class Module:
    """What names stand for in one module.

    Attributes:
        imported: Names of modules: calls change nothing in them.
        functions: The module's own, wherever they are defined -> their traffic with
            names that are not their own, that of functions they call included.
        tallies: See `tallies`.
    """

    imported: frozenset[str] = frozenset()
    functions: Mapping[str, Flow] = field(default_factory=dict)
    tallies: Collection[tuple[int, int]] = ()


def module_of(tree: ast.Module) -> Module:
    """What the names of a module stand for."""
    imports = (n for n in ast.walk(tree) if isinstance(n, ast.Import))
    bound = {a.asname or a.name.partition(".")[0] for n in imports for a in n.names}
    module = Module(frozenset(bound), tallies=tallies(tree))
    methods = {n for c in ast.walk(tree) if isinstance(c, ast.ClassDef) for n in c.body}
    functions = [
        n for n in ast.walk(tree) if isinstance(n, SCOPES[:2]) and n not in methods
    ]
    for _ in range(DEPTH):
        flows = {f.name: _free_flow(f, module) for f in functions}
        if flows == module.functions:
            break
        module = replace(module, functions=flows)
    return module


DEPTH = 3
"""Functions that call each other are followed so far."""


def _free_flow(function: ast.AST, module: Module) -> Flow:
    """The traffic of a function's body with names that are not its own."""
    body = [*ast.iter_child_nodes(function)]
    nodes = [each for part in body for each in walk(part)]
    stored = (n for n in nodes if isinstance(n, ast.Name))
    own = {n.id for n in stored if isinstance(n.ctx, ast.Store)} - declared(nodes)
    own |= {n.arg for n in nodes if isinstance(n, ast.arg)} | module.imported
    flow = flow_of(body, module)
    parts = (flow.reads, flow.writes, flow.touches)
    return Flow(*(frozenset(p for p in s if p.split(".")[0] not in own) for s in parts))


def own_parts(node: ast.stmt) -> Sequence[ast.stmt | ast.expr]:
    """What of a statement runs before any block of it."""
    if isinstance(node, ast.If | ast.While):
        return [node.test]
    if isinstance(node, ast.For | ast.AsyncFor):
        return [node.iter, node.target]
    if isinstance(node, ast.With | ast.AsyncWith):
        parts = [(item.context_expr, item.optional_vars) for item in node.items]
        return [part for pair in parts for part in pair if part is not None]
    if isinstance(node, ast.Match):
        return [node.subject]
    return [] if isinstance(node, ast.Try | ast.TryStar) else [node]


def flow_of(nodes: Sequence[ast.AST], module: Module | None = None) -> Flow:
    """The traffic of one statement, given as the nodes of it that count."""
    module = module or Module()
    reads: set[str] = set()
    writes: set[str] = set()
    touches: set[str] = set()
    calls: set[str] = set()
    for top in nodes:
        unused = isinstance(top, ast.Expr) and isinstance(top.value, ast.Call)
        for node in walk(top):
            if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
                path = path_of(node)
                if isinstance(node.ctx, ast.Load):
                    reads.add(path)
                else:
                    writes.add(path)
            elif isinstance(node, ast.AugAssign):
                reads.add(path_of(node.target))
            elif isinstance(node, ast.For):
                touches.update(_changed_through(node))
            elif isinstance(node, ast.Call):
                calls.add(path_of(node.func))
                if isinstance(node.func, ast.Attribute):
                    touches.add(path_of(node.func.value))
                elif called := module.functions.get(path_of(node.func)):
                    reads |= called.reads
                    touches |= called.writes | called.touches
                if unused and node is top.value:  # type: ignore[attr-defined] # an Expr
                    given = [*node.args, *(k.value for k in node.keywords)]
                    touches.update(map(path_of, given))
    touches = {p for p in touches if p.partition(".")[0] not in module.imported}
    calls = {p for p in calls if p.partition(".")[0] not in module.imported}
    return Flow(*(frozenset(p - {""}) for p in (reads, writes, touches, calls)))


def items_of(node: ast.For | ast.comprehension) -> frozenset[str]:
    """What a loop binds, unless it only counts: `epoch` says nothing of the data."""
    target, source = node.target, node.iter
    while isinstance(source, ast.Call):
        name = last_word(source)
        if name.endswith(("range", "count")):
            return frozenset()
        if name == "enumerate" and isinstance(target, ast.Tuple):
            target = target.elts[-1]
        source = source.args[0] if source.args else node.target
    return flow_of([target]).writes


def _changed_through(loop: ast.For) -> Iterator[str]:
    """Paths of what a loop goes through, where it changes the items themselves."""
    items = {n.id for n in walk(loop.target) if isinstance(n, ast.Name)}
    inner = [each for part in loop.body for each in walk(part)]
    changed = [n.target for n in inner if isinstance(n, ast.AugAssign)]
    changed += [
        n
        for n in inner
        if isinstance(n, ast.Attribute | ast.Subscript) and isinstance(n.ctx, ast.Store)
    ]
    if items & {path_of(each).partition(".")[0] for each in changed}:
        called = {n.func for n in walk(loop.iter) if isinstance(n, ast.Call)}
        yield from (path_of(n) for n in walk(loop.iter) if n not in called)


def tallies(tree: ast.AST) -> frozenset[tuple[int, int]]:
    """Where statements stand that add to what nothing uses while their loop runs.

    What they change (a mean of predictions over folds) is no parameter.
    """
    functions = [n for n in ast.walk(tree) if isinstance(n, SCOPES[:2])]
    uses = {function: _uses(function) for function in functions}
    return frozenset(
        (node.lineno, node.col_offset)
        for scope in (tree, *functions)
        for loop in _outermost_loops(scope)
        for node in _tallies_of(loop, uses)
    )


def _uses(node: ast.AST) -> Counter[str]:
    """How often each name stands in it."""
    return Counter(n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def _outermost_loops(scope: ast.AST) -> Iterator[ast.For | ast.While]:
    waiting = [*ast.iter_child_nodes(scope)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.For | ast.While):
            yield node
        elif not isinstance(node, SCOPES):
            waiting += ast.iter_child_nodes(node)


def _tallies_of(
    loop: ast.stmt, functions: Mapping[Any, Counter[str]]
) -> Iterator[ast.stmt]:
    """Those of one loop, given the names in each function that it may call."""
    changing = [
        (node, path)
        for node in walk(loop)
        if isinstance(node, ast.AugAssign | ast.Assign)
        and (path := changed_by(node))
        and "." not in path
    ]
    if not changing:
        return
    first, last = loop.lineno, loop.end_lineno or loop.lineno
    called = [
        names
        for function, names in functions.items()
        if not function.lineno <= first <= last <= (function.end_lineno or 0)
    ]
    within = _uses(loop)
    for node, path in changing:
        own = [n.id for n in walk(node) if isinstance(n, ast.Name)].count(path)
        uses = within[path] + sum(names[path] for names in called)
        adds = isinstance(node, ast.AugAssign) or isinstance(node.value, ast.BinOp)
        calls = (n for n in walk(node) if isinstance(n, ast.Call))
        given = any(path in {path_of(n) for n in walk(call)} for call in calls)
        most = 1 if isinstance(node, ast.AugAssign) else 2
        if adds and not given and uses == own <= most:
            yield node


def changed_by(node: ast.stmt) -> str:
    """Path of what a statement changes, or replaces by something made of it, or "".

    It leads to the object that holds what is assigned: of `w[i] -= g` that is `w`.
    """
    if isinstance(node, ast.AugAssign):
        small = isinstance(node.value, ast.Constant)
        is_change = not small and isinstance(node.op, _ARITHMETIC)
        return _holder(node.target) if is_change else ""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, _MAKES):
        return ""
    used = {path_of(n) for n in walk(node.value)} - {""}
    for target in node.targets:
        inner = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
        for each in inner:
            if path_of(each) in used:
                return _holder(each)
    return ""


_MAKES = (ast.BinOp, ast.Call, ast.ListComp, ast.DictComp, ast.Tuple, ast.List)


def _holder(target: ast.expr) -> str:
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    if isinstance(target, ast.Attribute) and target.attr == "data":
        target = target.value  # a new object at each look, of the same memory
    return path_of(target)


def sides(
    flows: Sequence[Flow], training: Collection[int], computing: Collection[int] = ()
) -> list[str]:
    """Each statement's side of one iteration: `INPUT`, `TRAIN` or neither, "".

    Input is what the training uses and what uses nothing that the training changes;
    neither is what nothing later uses (logging, an evaluation). A method of what is
    itself called, as `net.eval()` of a model, makes nothing that training uses: that
    it changes parameters would have been seen.

    Args:
        flows: Of the statements of a loop's body.
        training: Those in which parameters were seen to change.
        computing: Those that use them, as was seen: what they call may hold them.
    """
    called = frozenset[str]().union(*(flow.calls for flow in flows))
    flows = [
        flow if index in training else replace(flow, touches=flow.touches - called)
        for index, flow in enumerate(flows)
    ]
    bound = {path for flow in flows for path in flow.writes if "." not in path}
    changed = {
        path
        for index in training
        for path in flows[index].writes | flows[index].touches
        if path not in bound or path in flows[index].reads & flows[index].writes
    }
    after, before = {*training, *computing}, set(training)
    made = set(changed).union(*(flows[index].writes for index in after))
    made |= {path for index in computing for path in flows[index].calls}
    known = -1
    while known != (known := len(after) + len(before)):
        for index, flow in enumerate(flows):
            if index not in after and meets(flow.reads, made):
                after.add(index)
                made |= flow.writes
            if index not in before and any(_feeds(flows, index, o) for o in before):
                before.add(index)
    return [
        "" if index not in before else (TRAIN if index in after else INPUT)
        for index in range(len(flows))
    ]


def _feeds(flows: Sequence[Flow], index: int, other: int) -> bool:
    """Whether a statement makes what another uses, in this iteration or the next."""
    made = flows[index].writes | flows[index].touches
    if other <= index:  # what is bound anew before comes from no last iteration
        anew = [flow.writes - flow.reads for flow in flows[:other]]
        made = frozenset(p for p in made if not any(p in paths for paths in anew))
    return meets(made, flows[other].reads)
