"""Every step of a run: its time by stage, and how step times spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Loop
from debottleneck.report.colours import BLOCK_COLOURS, stage_colour
from debottleneck.report.figures.base import blank, plain, title
from debottleneck.report.words.quantities import in_order, number

MOST_BARS = 400
MOST_SHADES = 200
BINS = 60
FAR = 3.0
"""The distribution is drawn up to this many times the 95th percentile."""


def step_bars(steps: pd.DataFrame, step_stages: pd.DataFrame) -> go.Figure:
    """Every step's time by stage; neighbours are averaged into MOST_BARS bars."""
    ordered = steps.sort_values("step")
    numbers = ordered.step.to_numpy()
    per_bar = max(1, -(-len(numbers) // MOST_BARS))
    edges = numbers[::per_bar]
    counts = np.diff(np.append(np.arange(0, len(numbers), per_bar), len(numbers)))
    ends = numbers[np.cumsum(counts) - 1]
    stages = in_order(step_stages.stage.unique(), words.STAGES)
    sums = _sums_by_bar(step_stages, numbers, per_bar, len(edges), stages)
    figure = blank(320, barmode="stack", hovermode="x unified")
    for index, stage in enumerate(stages):
        _one_stage(figure, stage, edges, ends, sums[index] / counts / 1e6)
    figure.update_xaxes(title=title("step"), showgrid=False, hoverformat=",.0f")
    figure.update_yaxes(title=title("ms per step"), rangemode="tozero")
    figure.update_layout(shapes=_shades(ordered))
    return figure


def _one_stage(
    figure: go.Figure,
    stage: str,
    edges: np.ndarray[Any, Any],
    ends: np.ndarray[Any, Any],
    mean_ms: np.ndarray[Any, Any],
) -> None:
    figure.add_bar(
        name=plain(stage),
        x=(edges + ends) / 2,
        width=(ends - edges + 1).astype("float64"),
        y=mean_ms,
        marker={"color": stage_colour(stage), "line": {"width": 0}},
        hovertemplate="%{y:.4~g} ms",
    )


def _sums_by_bar(
    step_stages: pd.DataFrame,
    numbers: np.ndarray[Any, Any],
    per_bar: int,
    bars: int,
    stages: list[str],
) -> np.ndarray[Any, Any]:
    """Wall nanoseconds, a row a stage, a column a bar."""
    place = np.searchsorted(numbers, step_stages.step.to_numpy()) // per_bar
    codes = pd.Categorical(step_stages.stage, categories=stages).codes
    flat = codes.astype("int64") * bars + np.minimum(place, bars - 1)
    weights = step_stages.wall_ns.to_numpy(dtype="float64")
    sums = np.bincount(flat, weights=weights, minlength=bars * len(stages))
    return sums.reshape(len(stages), bars)


def _shades(steps: pd.DataFrame) -> list[dict[str, Any]]:
    """Shaded spans of steps in which something beside marks and waits was at work."""
    spans = block_spans(steps)
    return [
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": first - 0.5,
            "x1": last + 0.5,
            "y0": 0,
            "y1": 1,
            "fillcolor": BLOCK_COLOURS.get(block, "#a3a9b0"),
            "opacity": 0.16,
            "line": {"width": 0},
            "layer": "below",
        }
        for block, first, last in spans
    ]


def block_spans(steps: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Runs of steps in one block other than quiet; near ones joined if many."""
    if steps.empty:
        return []
    block = steps.block.astype("str").to_numpy()
    starts = np.flatnonzero(np.append(True, block[1:] != block[:-1]))
    ends = np.append(starts[1:], len(block)) - 1
    number_of = steps.step.to_numpy()
    gap = len(block) / MOST_SHADES if len(starts) > 2 * MOST_SHADES else 0
    spans: list[tuple[str, int, int]] = []
    last_of: dict[str, int] = {}
    for a, b in zip(starts.tolist(), ends.tolist(), strict=True):
        kind = block[a]
        if kind == "quiet":
            continue
        at = last_of.get(kind)
        if at is not None and number_of[a] - spans[at][2] < gap:
            spans[at] = (kind, spans[at][1], int(number_of[b]))
        else:
            last_of[kind] = len(spans)
            spans.append((kind, int(number_of[a]), int(number_of[b])))
    return spans


def distribution(steps: pd.DataFrame, loop: Loop) -> go.Figure:
    """How many quiet steps took how long, with median and 95th percentile."""
    wall = steps.wall_ns[steps.block == "quiet"].to_numpy(dtype="float64") / 1e6
    end = min(float(wall.max()), FAR * max(loop.step_p95_ms, loop.step_median_ms))
    inside = wall[wall <= end]
    counts, edges = np.histogram(inside, bins=min(BINS, max(5, len(inside) // 4)))
    figure = blank(260, hovermode="closest")
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=counts,
        width=np.diff(edges) * 0.94,
        customdata=np.column_stack([edges[:-1], edges[1:]]),
        marker={"color": "#3f8db3", "line": {"width": 0}},
        hovertemplate="%{customdata[0]:.4~g} to %{customdata[1]:.4~g} ms: "
        "%{y} steps<extra></extra>",
    )
    middle = (float(edges[0]) + float(edges[-1])) / 2
    _line_at(figure, loop.step_median_ms, "median", middle, 0)
    _line_at(figure, loop.step_p95_ms, "95th percentile", middle, 15)
    figure.update_xaxes(title=title("ms per step"), showgrid=False)
    figure.update_yaxes(title=title("steps"), rangemode="tozero")
    figure.update_layout(margin={"l": 56, "r": 12, "t": 38, "b": 44})
    return figure


def _line_at(
    figure: go.Figure, value: float, text: str, middle: float, up: int
) -> None:
    figure.add_shape(
        type="line",
        x0=value,
        x1=value,
        y0=0,
        y1=1,
        yref="paper",
        line={"width": 1.5, "dash": "dot"},
    )
    figure.add_annotation(
        x=value,
        y=1,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if value > middle else "left",
        yshift=up,
        showarrow=False,
        text=f"{text} {number(value)} ms",
    )


def beyond(steps: pd.DataFrame, loop: Loop) -> int:
    """Quiet steps that `distribution` leaves out because they are so long."""
    wall = steps.wall_ns[steps.block == "quiet"] / 1e6
    return int((wall > FAR * max(loop.step_p95_ms, loop.step_median_ms)).sum())
