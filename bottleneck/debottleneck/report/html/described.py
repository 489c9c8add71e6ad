"""What the run's figures show, for who cannot see them: a sentence, and numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report.figures import timeline
from debottleneck.report.html.tables import Cell, Table
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    count,
    decimals,
    in_order,
    number,
    percent,
    table_digits,
)

MOST_PARTS = 10
"""Rows of the table that stands for the bars of a long run."""


def heat(values: pd.DataFrame, whole_ms: float, unit: str) -> str:
    """The two largest cells of a table of milliseconds by row and cause."""
    cells = values.stack().sort_values(ascending=False).head(2)
    named = [f"{row}/{cause} {number(ms)} ms" for (row, cause), ms in cells.items()]
    largest = ", then ".join(clean(name) for name in named)
    return (
        f"Heat map of causes: largest is {largest}, of {number(whole_ms)} ms a {unit}."
    )


def bars(analysis: Analysis) -> str:
    """Mean milliseconds of each stage, the longest first."""
    ranked = analysis.stages.sort_values("ms_per_step", ascending=False)
    means = _listed(zip(ranked.stage, ranked.ms_per_step, strict=True))
    steps = count(len(analysis.steps), "step")
    return f"Stacked bars of step time by stage, {steps}. Means: {means or NOTHING}."


def distribution(analysis: Analysis) -> str:
    """Median and 95th percentile."""
    loop = analysis.loop
    quiet = int((analysis.steps.block == "quiet").sum())
    return (
        f"Histogram of the times of {count(quiet, 'quiet step')}: median "
        f"{number(loop.step_median_ms)} ms, 95th percentile {number(loop.step_p95_ms)} "
        "ms."
    )


def strip(analysis: Analysis, window: timeline.Window) -> str:
    """How long the step was, and the trainer's stages in it."""
    found = timeline.segments_in(analysis, window)
    mine = found[found.tid == analysis.loop.trainer_tid]
    sums = mine.groupby("name").ms.sum().sort_values(ascending=False)
    return (
        f"Timeline of the threads in step {window.step:,}, "
        f"{number(window.milliseconds)} ms; training thread: {_listed(sums.items())}."
    )


def flame(analysis: Analysis, stage: str) -> str:
    """The stage, and the line with most of its samples."""
    lines = analysis.lines[analysis.lines.stage == stage]
    top = lines.sort_values("share", ascending=False).head(1).to_dict("records")
    most = [f"; most samples in {r['function']}, {percent(r['share'])}" for r in top]
    return clean(f"Flame graph of {stage}{''.join(most)}.")


def _listed(named: Iterable[tuple[Any, Any]]) -> str:
    return ", ".join(f"{clean(name)} {number(float(ms))} ms" for name, ms in named)


def bars_table(figure: go.Figure) -> Table:
    """The stacked bars as at most MOST_PARTS rows, each the mean of its bars."""
    traces = list(figure.data)
    middle, width = (np.asarray(traces[0][key], dtype=float) for key in ("x", "width"))
    parts = np.array_split(np.arange(len(middle)), min(MOST_PARTS, len(middle)))
    heights = np.array([trace.y for trace in traces], dtype=float)
    digits = table_digits(float(heights.sum(axis=0).max()))
    rows = []
    for part in parts:
        means = np.average(heights[:, part], axis=1, weights=width[part])
        first, last = middle[part[0]], middle[part[-1]]
        begin = round(first - (width[part[0]] - 1) / 2)
        end = round(last + (width[part[-1]] - 1) / 2)
        span = f"{begin:,} to {end:,}" if end > begin else f"{begin:,}"
        cells = [_ms(float(ms), digits) for ms in (means.sum(), *means)]
        rows.append((Cell(span, float(begin), "num"), *cells))
    names = ("steps", "all", *(clean(trace.name) for trace in traces))
    heads = tuple(Cell(name, kind="num") for name in names)
    caption = "Mean step time by stage along the run, ms per step; all kinds of steps."
    return Table("bars-table", caption, heads, tuple(rows), sortable=False)


def bins_table(figure: go.Figure) -> Table:
    """The histogram as at most MOST_PARTS rows, each the sum of neighbouring bars."""
    drawn = figure.data[0]
    edges = np.asarray(drawn.customdata, dtype=float)
    parts = np.array_split(np.arange(len(edges)), min(MOST_PARTS, len(edges)))
    wide = float(edges[parts[0][-1], 1] - edges[0, 0])
    digits = max(0, decimals(wide) - 1)
    rows = []
    for part in parts:
        low, high = edges[part[0], 0], edges[part[-1], 1]
        steps = int(np.asarray(drawn.y)[part].sum())
        span = f"{number(low, digits)} to {number(high, digits)}"
        rows.append((Cell(span, kind="num"), Cell(f"{steps:,}", kind="num")))
    heads = (Cell("ms per step", kind="num"), Cell("steps", kind="num"))
    caption = "How many quiet steps took how long."
    return Table("distribution-table", caption, heads, tuple(rows), sortable=False)


def strip_table(analysis: Analysis, window: timeline.Window, id: str) -> Table:
    """Every thread's stages and causes in the step, added up."""
    stages = timeline.segments_in(analysis, window)
    waits = timeline.waits_in(analysis, window)
    rows = []
    for one in timeline.rows_of(analysis, stages, waits).to_dict("records"):
        texts = [
            _sums(_of_thread(table, one), order)
            for table, order in ((stages, words.STAGES), (waits, words.CAUSES))
        ]
        cells = (Cell(text or NOTHING, kind="text") for text in texts)
        name = clean(one["name"]) or one["role"]
        rows.append((Cell(name, kind="code"), Cell(one["role"]), *cells))
    heads = tuple(map(Cell, ("thread", "role", "stages, ms", "causes, ms as sampled")))
    caption = f"What every thread did in step {window.step:,}, added up."
    return Table(id, caption, heads, tuple(rows), sortable=False)


def _of_thread(table: pd.DataFrame, one: dict[Any, Any]) -> pd.DataFrame:
    return table[(table.pid == one["pid"]) & (table.tid == one["tid"])]


def _sums(part: pd.DataFrame, order: Iterable[str]) -> str:
    sums = part.groupby("name").ms.sum()
    names = in_order(sums.index, list(order))
    return ", ".join(f"{clean(name)} {number(float(sums[name]))}" for name in names)


def _ms(value: float, digits: int) -> Cell:
    return Cell(number(value, digits), round(value, 6), "num")
