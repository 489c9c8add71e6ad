"""What the step gains where a row is faster: a line a row."""

from __future__ import annotations

import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis, Faster
from debottleneck.report.colours import channels
from debottleneck.report.figures.base import LEGEND_ABOVE, LEVEL, blank, plain, title
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.faster import gain

NOTHING = Faster(0, 0.0, 0.0, 0.0)

BAND = 0.16
"""How much of its colour the band around a line has."""


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
        points, colour = (NOTHING, *curve.points), rows.colour(curve.row)
        percents = [point.percent for point in points]
        bounds = [p.high for p in points] + [p.low for p in reversed(points)]
        red, green, blue = channels(colour)
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
            customdata=[gain(point) for point in points],
            hovertemplate="%{x} less: the step takes %{customdata} less",
            showlegend=True,
        )
    scale = {**LEVEL, "ticksuffix": " %"}
    figure.update_xaxes(title=title("the row takes so much less"), **scale)
    words = title("the step takes so much less")
    return figure.update_yaxes(title=words, automargin=True, **scale)
