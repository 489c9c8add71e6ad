"""Strategies as people call them ("prefetch with 4 threads") and as they break."""

from __future__ import annotations

import re

from debottleneck.report.words.quantities import clean, count
from debottleneck.strategies.spec import AUTO, OF_LOOPS, PREFETCH, Strategy, known

PIECE = r".+?(?:[:,/]|-(?=\d)|$)"


def named(spec: str) -> str:
    """What people call a strategy; a text that is none stays as it is."""
    return " and ".join(map(_one, known(spec))) or clean(spec)


def _one(strategy: Strategy) -> str:
    if strategy.name not in OF_LOOPS:
        return str(strategy)
    name = f"{strategy.name.replace('-', ' ')}{_workers(strategy)}"
    depth = strategy.settings.get("depth")
    return name if depth is None else f"{name}, {depth} ahead"


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


def pieces(spec: str) -> list[list[str]]:
    """Where a strategy's text may break: by strategy, then by setting.

    `a:b=1,c=2+d` is [["a:", "b=1,", "c=2+"], ["d"]]. The name of a recording breaks
    behind a folder and before a date.
    """
    strategies = re.findall(r"[^+]*\+|[^+]+$", clean(spec)) or [""]
    return [re.findall(PIECE, text) or [text] for text in strategies]
