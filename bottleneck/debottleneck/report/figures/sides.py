"""Figures of two recordings side by side: the same rows, colours and scales.

Each function draws the side called `id` of sides with a training loop, on the scale of
all of them; None where that side lacks what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.figures import causes, steps, timeline
from debottleneck.report.figures.timeline import StepWindow
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import in_order, number
from debottleneck.trials.sides import Side

MOST_MARKS = 60
"""Beginnings of steps that are marked in a timeline."""
PAST = 4
"""Pixels that such a mark is longer than the strip, at either end."""


def heat(sides: Sequence[Side], id: str) -> go.Figure | None:
    """Row x cause, the same rows, columns and shades."""
    tables = {side.id: matrix.trainer_causes(side.analysis) for side in sides}
    tables = {name: table for name, table in tables.items() if table.size}
    if id not in tables:
        return None
    shown = _rows(sides)
    rows = in_order((r for t in tables.values() for r in t.index), shown.order)
    columns = in_order((c for t in tables.values() for c in t.columns), words.CAUSES)
    step_ms = next(side.step_ms for side in sides if side.id == id)
    table = tables[id].reindex(index=rows, columns=columns)
    figure = causes.heat_map(table, step_ms, "step", shown)
    top = max(float(table.max().max()) for table in tables.values())
    return figure.update_layout(coloraxis={"cmin": 0, "cmax": top})


def _rows(sides: Sequence[Side]) -> ShownRows:
    """Of all sides: a row has one colour."""
    return ShownRows.of(*(side.analysis for side in sides))


def bars(sides: Sequence[Side], id: str) -> go.Figure | None:
    """Step time over the run, the same scale of time."""
    drawn = {s.id: steps.step_bars(s.analysis, _rows(sides)) for s in sides}
    figure = drawn.get(id)
    if figure is None:
        return None
    stacks = [[bar.y for bar in each.data] for each in drawn.values() if each]
    top = max(float(np.sum(heights, axis=0).max()) for heights in stacks)
    return figure.update_yaxes(range=[0, 1.04 * top])


def strips(sides: Sequence[Side], id: str) -> go.Figure | None:
    """A typical step of the slower side; of the other as long a time, in all its steps.

    Dotted lines are where steps begin.
    """
    spans = windows(sides)
    if id not in spans:
        return None
    analysis = next(side.analysis for side in sides if side.id == id)
    figure = timeline.draw(analysis, spans[id], _rows(sides))
    longest = max(window.milliseconds for window in spans.values())
    figure.update_xaxes(range=[0, longest])
    _mark(figure, (_begun(analysis, spans[id]) - spans[id].start_ns) / 1e6)
    return figure


def windows(sides: Sequence[Side]) -> dict[str, StepWindow]:
    """What `strips` shows of each side that has a quiet step."""
    typical = {
        side.id: timeline.windows(side.analysis).get("typical") for side in sides
    }
    spans = {id: window for id, window in typical.items() if window is not None}
    longest = max((w.end_ns - w.start_ns for w in spans.values()), default=0)
    for side in sides:
        window = spans.get(side.id)
        if window and window.end_ns - window.start_ns < longest:
            spans[side.id] = _span(side.analysis, longest) or window
    return spans


def _span(analysis: Analysis, length_ns: int) -> StepWindow | None:
    """That long a time of quiet steps, with as many of them as is usual."""
    ordered = analysis.steps.sort_values("start_ns")
    starts = ordered.start_ns.to_numpy()
    loud = np.append(0, np.cumsum(ordered.block != "quiet"))
    first = np.arange(len(starts))
    last = np.searchsorted(starts, starts + length_ns)
    inside = starts + length_ns <= int(ordered.end_ns.max())
    fit = first[inside & (loud[last] == loud[first])]
    if not len(fit):
        return None
    counts = last[fit] - fit
    at = fit[int(np.abs(counts - np.median(counts)).argmin())]
    begin = int(starts[at])
    return StepWindow(int(ordered.step.iloc[at]), begin, begin + length_ns)


def _begun(analysis: Analysis, window: StepWindow) -> NDArray[np.int64]:
    """When the steps of the window began, the first included."""
    starts = analysis.steps.start_ns.to_numpy(np.int64)
    inside = (starts >= window.start_ns) & (starts < window.end_ns)
    return np.sort(starts[inside])


def _mark(figure: go.Figure, starts_ms: NDArray[np.float64]) -> None:
    """Lines through the trainer's rows where steps begin, unless there are many."""
    if len(starts_ms) > MOST_MARKS or not figure.data:
        return
    top, high = min((min(bar.y) + bar.offset, bar.width) for bar in figure.data)
    for at in map(float, starts_ms[1:]):
        line = {"width": 1.5, "dash": "dot"}
        ends = {"y0": top - PAST, "y1": top + high + PAST}
        figure.add_shape(type="line", x0=at, x1=at, line=line, **ends)


def span_in_words(analysis: Analysis, window: StepWindow) -> str:
    """Which steps a timeline shows, and how long that is."""
    steps_in, long = len(_begun(analysis, window)), number(window.milliseconds)
    if steps_in < 2:
        return f"step {window.step:,}, {long} ms"
    return f"{steps_in:,} steps from step {window.step:,} on, {long} ms"
