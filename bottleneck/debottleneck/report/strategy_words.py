"""Strategies as people call them: "prefetch with 4 threads"."""

from __future__ import annotations

from debottleneck.report.words.quantities import clean, count
from debottleneck.strategies.spec import AUTO, PREFETCH, Strategy, known


def named(spec: str) -> str:
    """What people call a strategy; a text that is none stays as it is."""
    return " and ".join(map(_one, known(spec))) or clean(spec)


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def _one(strategy: Strategy) -> str:
    name = strategy.name.replace("-", " ")
    return ", ".join([f"{name}{_workers(strategy)}", *_depth(strategy)])


def _workers(strategy: Strategy) -> str:
    workers = strategy.settings.get("workers")
    apart = strategy.name == PREFETCH and strategy.settings.get("where") == "process"
    if workers is None:
        return " in another process" if apart else ""
    if workers == AUTO:
        return f" with as many {'processes' if apart else 'threads'} as help"
    if apart:
        return f" in {count(int(workers), 'process', 'processes')}"
    return f" with {count(int(workers), 'thread')}"


def _depth(strategy: Strategy) -> list[str]:
    depth = strategy.settings.get("depth")
    return [] if depth is None else [f"{depth} ahead"]
