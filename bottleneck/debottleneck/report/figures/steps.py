"""Every step of a run: its time by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.report.colours import BLOCK_COLOURS
from debottleneck.report.figures.base import blank, plain, title
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import in_order

MOST_BARS = 400
MOST_SHADES = 200


def step_bars(analysis: Analysis, rows: ShownRows | None = None) -> go.Figure | None:
    """Every step's time by row; neighbours are averaged into MOST_BARS bars.

    `rows` are those of its page, by default its own. None without steps.
    """
    rows = rows or ShownRows.of(analysis)
    if analysis.steps.empty or analysis.step_stages.empty:
        return None
    ordered = analysis.steps.sort_values("step")
    numbers = ordered.step.to_numpy()
    begins = np.arange(0, len(numbers), per_bar(analysis))
    ends = np.append(begins[1:], len(numbers))
    first, last = numbers[begins], numbers[ends - 1]
    figure = blank(320, barmode="stack", hovermode="x unified")
    for stage, sums in _sums_by_bar(analysis.step_stages, first, rows).items():
        figure.add_bar(
            name=plain(stage),
            x=(first + last) / 2,
            width=(last - first + 1).astype("float64"),
            y=sums.to_numpy() / (ends - begins) / 1e6,
            marker={"color": rows.colour(str(stage)), "line": {"width": 0}},
            hovertemplate=f"%{{y:.4~g}} ms  {plain(rows.source(str(stage)))}",
        )
    figure.update_xaxes(title=title("step"), showgrid=False, hoverformat=",.0f")
    figure.update_yaxes(title=title("ms per step"), rangemode="tozero")
    figure.update_layout(shapes=_shades(ordered))
    return figure


def per_bar(analysis: Analysis) -> int:
    """How many steps are averaged into one bar."""
    return max(1, -(-len(analysis.steps) // MOST_BARS))


def _sums_by_bar(
    step_stages: pd.DataFrame, first: np.ndarray[Any, Any], rows: ShownRows
) -> pd.DataFrame:
    """Wall nanoseconds, a bar each, and a column a row; `first` are the bars' steps."""
    bar = np.searchsorted(first, step_stages.step.to_numpy(), side="right") - 1
    table = step_stages.assign(bar=np.maximum(bar, 0), ns=step_stages.wall_ns * 1.0)
    sums = table.pivot_table(index="bar", columns="stage", values="ns", aggfunc="sum")
    stages = in_order(map(str, sums.columns), rows.order)
    return sums.reindex(index=range(len(first)), columns=stages).fillna(0.0)


def _shades(steps: pd.DataFrame) -> list[dict[str, Any]]:
    """Shaded spans of steps in which something beside marks and waits was at work."""
    rect = {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1}
    look = {"opacity": 0.16, "line": {"width": 0}, "layer": "below"}
    return [
        {
            **rect,
            **look,
            "x0": first - 0.5,
            "x1": last + 0.5,
            "fillcolor": BLOCK_COLOURS.get(block, "#a3a9b0"),
        }
        for block, first, last in block_spans(steps)
    ]


def block_spans(steps: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Runs of steps in one block other than quiet, the longest if there are many."""
    run = (steps.block != steps.block.shift()).cumsum()
    runs = steps.groupby(run).agg({"block": "first", "step": ["min", "max"]})
    spans = [*runs.itertuples(index=False, name=None)]
    loud = [(block, first, last) for block, first, last in spans if block != "quiet"]
    return sorted(loud, key=lambda span: span[1] - span[2])[:MOST_SHADES]
