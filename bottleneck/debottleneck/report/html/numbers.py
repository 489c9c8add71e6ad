"""What figures show, in numbers: the tables that are folded below them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report.figures import timeline
from debottleneck.report.html.tables import ROLE, Field, Table, build, numbers
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    decimals,
    in_order,
    number,
    table_digits,
)

MOST_PARTS = 10
"""Rows of the table that stands for the bars of a long run."""


def bars(figure: go.Figure, id: str) -> Table:
    """The stacked bars as at most MOST_PARTS rows, each the mean of its bars."""
    traces = list(figure.data)
    middle, width = (np.asarray(traces[0][key], dtype=float) for key in ("x", "width"))
    heights = np.array([trace.y for trace in traces], dtype=float)
    digits = table_digits(float(heights.sum(axis=0).max()))
    rows = []
    for part in _parts(len(middle)):
        means = np.average(heights[:, part], axis=1, weights=width[part])
        begin = round(middle[part[0]] - (width[part[0]] - 1) / 2)
        end = round(middle[part[-1]] + (width[part[-1]] - 1) / 2)
        steps = f"{begin:,} to {end:,}" if end > begin else f"{begin:,}"
        rows.append((steps, means.sum(), *means))
    names = ("all", *(clean(trace.name) for trace in traces))
    columns = [
        Field("steps", "num", itemgetter(0)),
        *(Field(n, "num", numbers(at, digits)) for at, n in enumerate(names, 1)),
    ]
    caption = "Mean step time along the run, ms per step; all kinds of steps."
    return build(id, caption, columns, rows, sortable=False)


def bins(figure: go.Figure, id: str) -> Table:
    """The histogram as at most MOST_PARTS rows, each the sum of neighbouring bars."""
    drawn = figure.data[0]
    edges = np.asarray(drawn.customdata, dtype=float)
    parts = _parts(len(edges))
    digits = max(0, decimals(float(edges[parts[0][-1], 1] - edges[0, 0])) - 1)
    rows = [
        (edges[part[0], 0], edges[part[-1], 1], int(np.asarray(drawn.y)[part].sum()))
        for part in parts
    ]
    columns = [
        Field(
            "ms per step",
            "num",
            lambda row: f"{number(row[0], digits)} to {number(row[1], digits)}",
        ),
        Field("steps", "num", lambda row: f"{row[2]:,}"),
    ]
    caption = "How many quiet steps took how long."
    return build(id, caption, columns, rows, sortable=False)


def _parts(bars: int) -> list[np.ndarray[Any, Any]]:
    """Neighbouring bars, in at most MOST_PARTS groups."""
    return np.array_split(np.arange(bars), min(MOST_PARTS, bars))


def strip(analysis: Analysis, window: timeline.StepWindow, what: str, id: str) -> Table:
    """Every thread's stages and causes in the window, added up.

    Args:
        analysis: Of the recording.
        window: What its timeline shows.
        what: The same in words.
        id: Of the table.
    """
    stages = timeline.segments_in(analysis, window)
    waits = timeline.waits_in(analysis, window)
    columns = [
        Field("thread", "code", lambda row: clean(row["name"]) or row["role"]),
        ROLE,
        Field(f"{ShownRows.of(analysis).noun}s, ms", "text", itemgetter("stages")),
        Field("causes, ms as sampled", "text", itemgetter("causes")),
    ]
    rows = timeline.rows_of(analysis, stages, waits).to_dict("records")
    for row in rows:
        row["stages"] = _sums(stages, row, analysis.row_names)
        row["causes"] = _sums(waits, row, words.CAUSES)
    caption = f"What every thread did in {what}, added up."
    return build(id, caption, columns, rows, sortable=False)


def _sums(table: pd.DataFrame, thread: dict[Any, Any], order: Iterable[str]) -> str:
    """One thread's milliseconds by name."""
    part = table[(table.pid == thread["pid"]) & (table.tid == thread["tid"])]
    sums = part.groupby("name").ms.sum()
    names = in_order(sums.index, list(order))
    listed = (f"{clean(name)} {number(float(sums[name]))}" for name in names)
    return ", ".join(listed) or NOTHING
