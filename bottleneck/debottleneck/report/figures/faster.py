"""What the step gains where a row is faster: a line a row."""

from __future__ import annotations

import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis, Faster, RowCurve
from debottleneck.report.colours import channels
from debottleneck.report.figures.base import (
    LEGEND_ABOVE,
    LEVEL,
    add_line,
    blank,
    plain,
    title,
)
from debottleneck.report.rows import ShownRows
from debottleneck.report.words import faster as words

BAND = 0.14
"""How much of its colour the band around a line has."""

NOTHING = Faster(0, 0.0, 0.0, 0.0)


def curves(analysis: Analysis) -> go.Figure | None:
    """The part of the step that goes over the part of a row that does, 95 % bands.

    Returns:
        None where no row was tried.
    """
    if analysis.faster is None or not analysis.faster.rows:
        return None
    margin = {"l": 8, "r": 16, "t": 8, "b": 48}
    figure = blank(300, margin=margin, showlegend=True, legend=LEGEND_ABOVE)
    rows = ShownRows.of(analysis)
    for curve in analysis.faster.rows:
        _row(figure, curve, rows.colour(curve.row))
    add_line(figure, [0, 100], [0, 0])
    scale = {"ticksuffix": " %", "fixedrange": True, "zeroline": False}
    figure.update_xaxes(title=title("the row takes so much less"), **scale)
    return figure.update_yaxes(
        title=title("the step takes so much less"),
        automargin=True,
        **{**LEVEL, "ticksuffix": " %"},
    )


def _row(figure: go.Figure, curve: RowCurve, colour: str) -> None:
    points = (NOTHING, *curve.points)
    percents = [point.percent for point in points]
    red, green, blue = channels(colour)
    bounds = [p.high for p in points] + [p.low for p in reversed(points)]
    figure.add_scatter(
        x=[*percents, *reversed(percents)],
        y=[100 * bound for bound in bounds],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{BAND})",
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        name=plain(curve.row),
        x=percents,
        y=[100 * point.gain for point in points],
        mode="lines+markers",
        line={"width": 2, "color": colour},
        marker={"size": 7, "color": colour},
        customdata=[words.gain(point) for point in points],
        hovertemplate=f"<b>{plain(curve.row)}</b> %{{x}} less: the step takes "
        "%{customdata} less<extra></extra>",
        showlegend=True,
    )
