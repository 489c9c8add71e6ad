"""Strategies as people call them: "prefetch with 4 threads"."""

from __future__ import annotations

from debottleneck.errors import UsageError
from debottleneck.report.words.quantities import clean, count
from debottleneck.strategies.spec import AUTO, PREFETCH, Strategy, parse


def named(spec: str) -> str:
    """What people call a strategy; a text that is none stays as it is."""
    try:
        return " and ".join(map(_one, parse(spec)))
    except UsageError:
        return clean(spec)


def capital(text: str) -> str:
    """The text with a capital at its start."""
    return text[:1].upper() + text[1:]


def _one(strategy: Strategy) -> str:
    name = strategy.name.replace("-", " ")
    details = [f"{name}{_workers(strategy)}", *_depth(strategy), *_chunks(strategy)]
    return ", ".join(details)


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


def _chunks(strategy: Strategy) -> list[str]:
    chunks = strategy.settings.get("chunks")
    return [] if chunks is None else [f"each batch in {chunks} parts"]
