"""Function times as `python -m pstats`, snakeviz and others load them.

From yappi's windows on the wall clock: a few steps of the run, not the whole of it.
A function's calls and times are those of all threads together; calls of itself are
not told apart, so that primitive calls are all calls. yappi makes functions of very
short calls look slower than they are.

Who called whom was not recorded. Viewers draw nothing without callers, so each
function stands below the threads that ran it, and these below `{all threads}`, with
the function's own time in that thread. These added rows have no calls and no own time.
"""

from __future__ import annotations

import marshal
from collections import defaultdict
from typing import Any

import pandas as pd

from debottleneck.analysis.result import Analysis
from debottleneck.report.exports.threads import lacks
from debottleneck.report.words.quantities import clean

KEYS = ["file", "line", "function"]
SUMS = ["calls", "own", "total"]

Function = tuple[str | int, ...]
"""File, line, name."""

Times = tuple[int, int, float, float]
"""Primitive calls, calls, own seconds, cumulative seconds."""

Entries = dict[Function, tuple[int, int, float, float, dict[Function, Times]]]
"""Function -> its times, and those that it had within each caller."""


def render(analysis: Analysis) -> bytes:
    """The file of `pstats.Stats.dump_stats`.

    Raises:
        UsageError: yappi's wall clock was not at work.
    """
    table = analysis.functions.dropna(subset=["self_wall_ms", "total_wall_ms"])
    if table.empty:
        remedy = "profile a longer run without --no-functions, or with --functions all"
        raise lacks(analysis, "functions", "yappi on the wall clock", remedy)
    rows = _cleaned(table)
    return marshal.dumps(_functions(rows) | _threads(rows))


def _cleaned(table: pd.DataFrame) -> pd.DataFrame:
    threads = table.thread.map(clean) + " (" + table.role + ")"
    return table.assign(
        file=table.file.map(clean),
        function=table.function.map(clean),
        thread=threads,
        own=table.self_wall_ms / 1e3,
        total=table.total_wall_ms / 1e3,
    )


def _row(name: str) -> Function:
    """How pstats marks what is no function of a file; it prints `{name}`."""
    return "~", 0, f"<{name}>"


def _functions(rows: pd.DataFrame) -> Entries:
    """Each function, below its threads."""
    callers: defaultdict[Function, dict[Function, Times]] = defaultdict(dict)
    for *place, thread, calls, own, _ in _sums(rows, [*KEYS, "thread"]):
        callers[tuple(place)][_row(thread)] = calls, calls, own, own
    return {
        tuple(place): (calls, calls, own, total, callers[tuple(place)])
        for *place, calls, own, total in _sums(rows, KEYS)
    }


def _threads(rows: pd.DataFrame) -> Entries:
    """A row for each thread, below the one that stands for all."""
    root = _row("all threads")
    times = {
        _row(name): (0, 0, 0.0, own) for name, _, own, _ in _sums(rows, ["thread"])
    }
    total = sum(own for *_, own in times.values())
    below: Entries = {thread: (*own, {root: own}) for thread, own in times.items()}
    return {root: (0, 0, 0.0, total, {}), **below}


def _sums(rows: pd.DataFrame, keys: list[str]) -> list[tuple[Any, ...]]:
    """Keys, calls, own and cumulative seconds."""
    sums = rows.groupby(keys, sort=False, as_index=False)[SUMS].sum()
    return list(zip(*(sums[name].tolist() for name in (*keys, *SUMS)), strict=True))
