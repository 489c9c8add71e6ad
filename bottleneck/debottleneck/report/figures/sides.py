"""Figures of two recordings side by side: the same rows, colours and scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.evidence import Side
from debottleneck.report.figures import causes, steps, timeline
from debottleneck.report.quantities import in_order, number


def causes_of(analysis: Analysis) -> pd.DataFrame:
    """The trainer's milliseconds per step, a row a stage, a column a cause."""
    return matrix.pivot(analysis.causes[analysis.causes.role == "trainer"])


Drawn = dict[str, tuple[go.Figure, str]]
"""Side's id -> its figure and a line that belongs to it."""


def heats(found: Sequence[Side]) -> Drawn:
    """Stage x cause of each side, the same rows, columns and shades."""
    values = {side.id: causes_of(side.analysis) for side in found}
    known = {id: table for id, table in values.items() if table.size}
    rows = in_order((r for t in known.values() for r in t.index), words.STAGES)
    columns = in_order((c for t in known.values() for c in t.columns), words.CAUSES)
    top = max((float(table.max().max()) for table in known.values()), default=0.0)
    drawn: Drawn = {}
    for side in found:
        if side.id in known:
            table = known[side.id].reindex(index=rows, columns=columns)
            figure = causes.heat_map(table, side.step_ms, "step")
            figure.update_layout(coloraxis={"cmin": 0, "cmax": top})
            drawn[side.id] = (figure, "")
    return drawn


def bars(found: Sequence[Side]) -> Drawn:
    """Step time over the run, the same scale of time."""
    drawn: Drawn = {}
    for side in found:
        table, stages = side.analysis.steps, side.analysis.step_stages
        if not (table.empty or stages.empty):
            drawn[side.id] = (steps.step_bars(table, stages), "")
    top = max((_height(figure) for figure, _ in drawn.values()), default=0.0)
    for figure, _ in drawn.values():
        figure.update_yaxes(range=[0, 1.04 * top])
    return drawn


def _height(figure: go.Figure) -> float:
    """The highest stack of a figure of stacked bars."""
    return float(np.sum([trace.y for trace in figure.data], axis=0).max())


def timelines(found: Sequence[Side]) -> Drawn:
    """The step nearest the median of each side, the same axis of time."""
    chosen = {side.id: timeline.windows(side.analysis).get("typical") for side in found}
    longest = max((w.milliseconds for w in chosen.values() if w), default=0.0)
    drawn: Drawn = {}
    for side in found:
        window = chosen[side.id]
        if window is not None:
            strip = timeline.draw(side.analysis, window)
            strip.figure.update_xaxes(range=[0, longest])
            left = f"; {strip.left_out} more threads are not drawn"
            note = f"step {window.step:,}, {number(window.milliseconds)} ms"
            drawn[side.id] = (strip.figure, note + left * (strip.left_out > 0))
    return drawn
