"""What a strategy changed in the mean step: row by cause."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from debottleneck import words
from debottleneck.report import matrix
from debottleneck.report.colours import cause_colour
from debottleneck.report.figures.base import (
    LEVEL,
    blank,
    plain,
    said,
    title,
)
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import in_order, number, percent, table_digits
from debottleneck.trials.sides import Side

PITCH = 40
"""Pixels of a stage: two bars."""

TIMES = ("before", "after")


def bars(sides: Sequence[Side]) -> go.Figure | None:
    """Two bars for each row, before above after, split by cause, on one scale.

    Returns:
        None where no causes were measured.
    """
    pairs = [(side, matrix.trainer_causes(side.analysis)) for side in sides]
    pairs = [(side, table) for side, table in pairs if table.size]
    if not pairs:
        return None
    shown = ShownRows.of(*(side.analysis for side, _ in pairs))
    stages = in_order((r for _, t in pairs for r in t.index), shown.order)
    causes = in_order((c for _, t in pairs for c in t.columns), words.CAUSES)
    digits = table_digits(max(side.step_ms for side, _ in pairs))
    figure = blank(PITCH * len(stages) + 56, barmode="stack")
    ticks: dict[float, str] = {}
    sums: dict[float, float] = {}
    for index, (side, table) in enumerate(pairs):
        ms = table.reindex(index=stages, columns=causes).fillna(0.0)
        places = [at + (index - (len(pairs) - 1) / 2) * 0.4 for at in range(len(ms))]
        names = [f"<b>{plain(shown.short(row))}</b>" for row in stages]
        befores = [f"{name} {TIMES[0]}" for name in names] if pairs[1:] else names
        ticks |= zip(places, [TIMES[1]] * len(ms) if index else befores, strict=True)
        sums |= zip(places, ms.sum(axis=1), strict=True)
        for cause in causes:
            texts = [
                f"{name}, {plain(cause)}<br>{number(value, digits)} ms per step, "
                f"{percent(value / (side.step_ms or float('nan')))} of it<br>"
                f"{plain(side.label)}{said(shown, row)}"
                for name, row, value in zip(names, stages, ms[cause], strict=True)
            ]
            _bar(figure, cause, ms[cause].tolist(), places, texts, 0.36)
    length = table_digits(max(sums.values()))
    ends = [f"{number(value, length)} ms" for value in sums.values()]
    return _finished(figure, sums, ticks, ends, len(stages))


def _bar(
    figure: go.Figure,
    cause: str,
    x: Sequence[float],
    y: Sequence[float],
    texts: Sequence[str],
    width: float,
) -> None:
    """Bars of one colour, and what is said of each under the pointer."""
    figure.add_bar(
        name=plain(cause),
        orientation="h",
        x=x,
        y=y,
        width=width,
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
        marker={"color": cause_colour(cause), "line": {"width": 0}},
    )


def _finished(
    figure: go.Figure,
    ends: dict[float, float],
    names: dict[float, str],
    texts: Sequence[str],
    rows: int,
) -> go.Figure:
    """With milliseconds from 0 on, names of bars from the top down, texts at ends."""
    figure.add_scatter(
        x=list(ends.values()),
        y=list(ends),
        text=[f" {text}" for text in texts],
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(margin={"l": 8, "r": 76, "t": 4, "b": 48})
    span = {"range": [0, max(ends.values()) or 1.0], "nticks": 6, **LEVEL}
    figure.update_xaxes(title=title("ms per step"), **span)
    bare = {"showgrid": False, "zeroline": False, "fixedrange": True}
    return figure.update_yaxes(
        tickvals=list(names),
        ticktext=list(names.values()),
        range=[rows - 0.5, -0.5],
        automargin=True,
        ticklabelstandoff=4,
        **bare,
    )
