"""Names that statements bind for certain, and those that they read before."""

from __future__ import annotations

import ast
from collections.abc import Sequence


def names_in(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Names that it loads or stores; those of comprehensions are their own."""
    found: set[str] = set()
    waiting: list[tuple[ast.AST, frozenset[str]]] = [(node, frozenset())]
    while waiting:
        part, hidden = waiting.pop()
        if isinstance(part, ast.Name) and isinstance(part.ctx, context):
            found |= {part.id} - hidden
        elif isinstance(part, ast.AugAssign) and isinstance(part.target, ast.Name):
            found |= {part.target.id} - hidden  # both read and bound
        generators: list[ast.comprehension] = getattr(part, "generators", [])
        own = (n for g in generators for n in ast.walk(g.target))
        inner = hidden | {n.id for n in own if isinstance(n, ast.Name)}
        waiting += [(child, inner) for child in ast.iter_child_nodes(part)]
        waiting += [(g.iter, hidden) for g in generators[:1]]  # outside of it
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
        turns = exposed(node.body) - _stores(node.target)
        return _loads(node.iter, node.target) | turns | exposed(node.orelse)
    if isinstance(node, ast.While | ast.If):
        return _loads(node.test) | exposed(node.body) | exposed(node.orelse)
    if isinstance(node, ast.With):
        names = _stores(*(item.optional_vars for item in node.items))
        return _loads(*node.items) | (exposed(node.body) - names)
    return _loads(node)


def _loads(*nodes: ast.AST) -> set[str]:
    return set[str]().union(*(names_in(node, ast.Load) for node in nodes))


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
    if not isinstance(manager, ast.Call):
        return True  # a lock, or a file
    called = manager.func
    name = called.attr if isinstance(called, ast.Attribute) else None
    return (called.id if isinstance(called, ast.Name) else name) in _LET_RAISE


def _certain_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.If):
        return _shared([node.body, node.orelse])
    if isinstance(node, ast.With):
        names = _stores(*(i.optional_vars for i in node.items))
        raises = all(_lets_raise(i.context_expr) for i in node.items)
        return names | certain(node.body) if raises else names
    if isinstance(node, ast.Try):
        ways = [[*node.body, *node.orelse], *(h.body for h in node.handlers)]
        return _shared(ways) | certain(node.finalbody)
    if isinstance(node, ast.Assign):
        return _stores(*node.targets)
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return _stores(node.target)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.partition(".")[0] for a in node.names}
    return set()


def _shared(ways: Sequence[Sequence[ast.stmt]]) -> set[str]:
    """Names that every way binds that does not leave."""
    jumps = (ast.Break, ast.Continue, ast.Return, ast.Raise)
    open_ways = [w for w in ways if not (w and isinstance(w[-1], jumps))]
    found = [certain(way) for way in open_ways]
    return set.intersection(*found) if found else set()


def _stores(*targets: ast.AST | None) -> set[str]:
    return {
        n.id
        for target in targets
        if target is not None
        for n in ast.walk(target)
        if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
