"""Figures of two recordings side by side: the same rows, colours and scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.figures import causes, steps, timeline
from debottleneck.report.words.quantities import in_order, number
from debottleneck.trials.sides import Side


def causes_of(analysis: Analysis) -> pd.DataFrame:
    """The trainer's milliseconds per step, a row a stage, a column a cause."""
    return matrix.pivot(analysis.causes[analysis.causes.role == "trainer"])


MOST_MARKS = 60
"""Beginnings of steps that are marked in a timeline."""
PAST = 4
"""Pixels that such a mark is longer than the strip, at either end."""

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
    """A typical step of the slower side; of the other as long a time, in all its steps.

    Dotted lines are where steps begin.
    """
    shown = windows(found)
    longest = max((window.milliseconds for window in shown.values()), default=0.0)
    drawn: Drawn = {}
    for side in found:
        if side.id in shown:
            window = shown[side.id]
            strip = timeline.draw(side.analysis, window)
            strip.figure.update_xaxes(range=[0, longest])
            begun = _begun(side.analysis, window)
            _mark(strip.figure, (begun - window.start_ns) / 1e6)
            left = f"; {strip.left_out} more threads are not drawn"
            note = _note(window, len(begun)) + left * (strip.left_out > 0)
            drawn[side.id] = (strip.figure, note)
    return drawn


def windows(found: Sequence[Side]) -> dict[str, timeline.Window]:
    """What `timelines` shows of each side that has a quiet step."""
    typical = {
        side.id: window
        for side in found
        if (window := timeline.windows(side.analysis).get("typical")) is not None
    }
    longest = max((w.end_ns - w.start_ns for w in typical.values()), default=0)
    return {
        side.id: typical[side.id]
        if typical[side.id].end_ns - typical[side.id].start_ns == longest
        else _span(side.analysis, longest) or typical[side.id]
        for side in found
        if side.id in typical
    }


def _span(analysis: Analysis, length_ns: int) -> timeline.Window | None:
    """That long a time of quiet steps, with as many of them as is usual."""
    steps = analysis.steps.sort_values("start_ns")
    starts = steps.start_ns.to_numpy()
    loud = np.append(0, np.cumsum(steps.block != "quiet"))
    first = np.arange(len(starts))
    last = np.searchsorted(starts, starts + length_ns)
    whole = starts + length_ns <= int(steps.end_ns.max())
    fit = first[whole & (loud[last] == loud[first])]
    if not len(fit):
        return None
    counts = last[fit] - fit
    at = fit[int(np.abs(counts - np.median(counts)).argmin())]
    begin = int(starts[at])
    return timeline.Window(int(steps.step.iloc[at]), begin, begin + length_ns)


def _begun(analysis: Analysis, window: timeline.Window) -> NDArray[np.int64]:
    """When the steps of the window began, the first included."""
    starts = analysis.steps.start_ns.to_numpy(np.int64)
    inside = (starts >= window.start_ns) & (starts < window.end_ns)
    return np.sort(starts[inside])


def _mark(figure: go.Figure, starts_ms: NDArray[np.float64]) -> None:
    """Lines through the trainer's stages where steps begin, unless there are many."""
    if len(starts_ms) > MOST_MARKS or not figure.data:
        return
    top, high = min((min(bar.y) + bar.offset, bar.width) for bar in figure.data)
    for at in map(float, starts_ms[1:]):
        line = {"width": 1.5, "dash": "dot"}
        ends = {"y0": top - PAST, "y1": top + high + PAST}
        figure.add_shape(type="line", x0=at, x1=at, line=line, **ends)


def _note(window: timeline.Window, steps: int) -> str:
    long = number(window.milliseconds)
    if steps < 2:
        return f"step {window.step:,}, {long} ms"
    return f"{steps:,} steps from step {window.step:,} on, {long} ms"
