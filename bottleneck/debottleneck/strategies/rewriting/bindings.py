"""Names that code binds and reads: for certain, before it binds them, elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from debottleneck.agent.dataflow import SCOPES, declared, last_word

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_NAMED = (*SCOPES[:3], ast.ExceptHandler)


def names_in(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Names that it stores, or loads or deletes; not those of comprehensions."""
    found: set[str] = set()
    waiting: list[tuple[ast.AST, frozenset[str]]] = [(node, frozenset())]
    while waiting:
        part, hidden = waiting.pop()
        if isinstance(part, ast.Name):
            stores = isinstance(part.ctx, ast.Store)
            if stores == (context is ast.Store):
                found |= {part.id} - hidden
        elif isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            found |= {part.target.id} - hidden  # both read and bound
        generators: list[ast.comprehension] = getattr(part, "generators", [])
        own = (n for g in generators for n in ast.walk(g.target))
        inner = hidden | {n.id for n in own if isinstance(n, ast.Name)}
        waiting += [(child, inner) for child in ast.iter_child_nodes(part)]
        waiting += [(g.iter, hidden) for g in generators[:1]]  # outside of it
    return found


def bound_in(node: ast.AST, without: ast.AST | None = None) -> set[str]:
    """Names that it binds itself: not functions in it, nor a part left out."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if part is without:
            continue
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
        elif isinstance(part, ast.alias):
            found.add((part.asname or part.name).partition(".")[0])
        elif isinstance(part, _NAMED) and part.name:
            found.add(part.name)
        if isinstance(part, _COMPREHENSIONS):
            named = (n for n in ast.walk(part) if isinstance(n, ast.NamedExpr))
            waiting += [one.target for one in named]
        elif not isinstance(part, SCOPES):
            waiting += ast.iter_child_nodes(part)
    return found


def exposed(body: Sequence[ast.stmt]) -> set[str]:
    """Names that the body may read as they were before it."""
    found: set[str] = set()
    bound: set[str] = set()
    for node in body:
        found |= _exposed_of(node) - bound
        bound |= _certain_of(node)
    return found


def _exposed_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.For):
        turns = exposed(node.body) - _names(ast.Store, node.target)
        heads = _names(ast.Load, node.iter, node.target)
        return heads | turns | exposed(node.orelse)
    if isinstance(node, ast.While | ast.If):
        return _names(ast.Load, node.test) | exposed(node.body) | exposed(node.orelse)
    if isinstance(node, ast.With):
        names = _names(ast.Store, *(item.optional_vars for item in node.items))
        return _names(ast.Load, *node.items) | (exposed(node.body) - names)
    return (
        _from_around(node) if isinstance(node, _FUNCTIONS) else _names(ast.Load, node)
    )


def _names(context: type[ast.expr_context], *nodes: ast.AST | None) -> set[str]:
    return set[str]().union(*(names_in(n, context) for n in nodes if n is not None))


def certain(body: Sequence[ast.stmt]) -> set[str]:
    """Names that are bound whenever the body is left at its end."""
    bound: set[str] = set()
    for node in body:
        bound |= _certain_of(node)
    return bound


_LET_RAISE = {
    "open", "fdopen", "File", "ZipFile", "TarFile", "closing", "nullcontext", "urlopen",
    "errstate", "printoptions", "no_grad", "enable_grad", "set_grad_enabled", "device",
    "inference_mode", "autocast", "fork_rng", "stream", "record_function", "profile",
    "catch_warnings", "localcontext", "redirect_stdout", "redirect_stderr", "connect",
    "cursor", "begin", "scandir", "Pool", "ThreadPoolExecutor", "ProcessPoolExecutor",
    "TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile", "memoryview",
    "option_context", "get_lock", "Lock", "RLock", "threadpool_limits", "lock",
}  # fmt: skip
"""Managers that let what is raised within them out."""


def _lets_raise(manager: ast.expr) -> bool:
    """Whether a `with` is left only by its end or by what was raised in it."""
    return not isinstance(manager, ast.Call) or last_word(manager) in _LET_RAISE


def _certain_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.If):
        return _shared([node.body, node.orelse])
    if isinstance(node, ast.With):
        names = _names(ast.Store, *(i.optional_vars for i in node.items))
        raises = all(_lets_raise(i.context_expr) for i in node.items)
        return names | certain(node.body) if raises else names
    if isinstance(node, ast.Try):
        ways = [[*node.body, *node.orelse], *(h.body for h in node.handlers)]
        return _shared(ways) | certain(node.finalbody)
    if isinstance(node, ast.Assign):
        return _names(ast.Store, *node.targets)
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return _names(ast.Store, node.target)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.partition(".")[0] for a in node.names}
    return set()


def _shared(ways: Sequence[Sequence[ast.stmt]]) -> set[str]:
    """Names that every way binds that does not leave."""
    jumps = (ast.Break, ast.Continue, ast.Return, ast.Raise)
    open_ways = [w for w in ways if not (w and isinstance(w[-1], jumps))]
    found = [certain(way) for way in open_ways]
    return set.intersection(*found) if found else set()


def scope_of(tree: ast.Module, inner: ast.AST) -> Scope:
    """The function that a node is in, or the module."""
    found: Scope = tree
    for node in ast.walk(tree):  # the innermost comes last
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if any(part is inner for part in ast.walk(node)):
            found = node
    return found


def bound_outside(scope: Scope, loop: ast.AST) -> set[str]:
    """Names that the scope binds besides in the loop."""
    return _given(scope).union(*(bound_in(part, loop) for part in scope.body))


def _given(function: ast.AST) -> set[str]:
    spec = getattr(function, "args", None)
    nodes = ast.walk(spec) if spec is not None else ()
    return {part.arg for part in nodes if isinstance(part, ast.arg)}


def read_elsewhere(scope: Scope, loop: ast.For | ast.While) -> set[str]:
    """Names that may be read after the loop began, but not in it."""
    found = _read_after(scope.body, loop) or set()
    inside = {*ast.walk(loop)}
    for node in ast.walk(scope):
        if isinstance(node, _FUNCTIONS) and node is not scope and node not in inside:
            found |= _from_around(node)
    return found


def _from_around(function: ast.AST) -> set[str]:
    """Names that a function takes from around it."""
    own = _given(function).union(*map(bound_in, ast.iter_child_nodes(function)))
    return names_in(function, ast.Load) - (own - declared(ast.walk(function)))


def _read_after(body: Sequence[ast.stmt], loop: ast.stmt) -> set[str] | None:
    """Names that may be read once a loop within these statements has begun."""
    for at, node in enumerate(body):
        found: set[str] | None = None
        if node is loop:
            found = exposed(getattr(loop, "orelse", []))
        elif any(part is loop for part in ast.walk(node)):
            parts = [node, *getattr(node, "handlers", []), *getattr(node, "cases", [])]
            blocks = [
                getattr(part, name, [])
                for part in parts
                for name in ("body", "orelse", "finalbody")
            ]
            for block in blocks:
                inner = _read_after(block, loop)
                found = inner if inner is not None else found
            if found is not None and not isinstance(node, ast.If | ast.With):
                found |= _exposed_of(node)  # once more, or as it ends
        if found is not None:
            return found | exposed(body[at + 1 :])
    return None
