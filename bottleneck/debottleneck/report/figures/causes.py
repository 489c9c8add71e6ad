"""Row by cause as a heat map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.figures.base import blank, plain, said
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import number, percent, table_digits


def cells(analysis: Analysis) -> tuple[pd.DataFrame, float]:
    """Milliseconds by row and cause (by role without a loop), and the whole."""
    if analysis.loop.found:
        return matrix.trainer_causes(analysis), analysis.loop.step_ms
    return matrix.pivot(analysis.causes), 1e3


def of_run(analysis: Analysis) -> go.Figure | None:
    """The heat map of a recording; None where no causes were measured."""
    values, whole_ms = cells(analysis)
    rows = ShownRows.of(analysis)
    unit = analysis.loop.unit
    return heat_map(values, whole_ms, unit, rows) if values.size else None


def heat_map(
    values: pd.DataFrame, whole_ms: float, unit: str, rows: ShownRows
) -> go.Figure:
    """Milliseconds by row (or role) and cause; blank where none occurred.

    Args:
        values: Rows by causes, in the order to show.
        whole_ms: What shares in the hover text are of.
        unit: "step" or "second".
        rows: What lines say.

    `meta.slant` is the room that slanted column names need on a narrow page.
    """
    ms = values.to_numpy(dtype="float64")
    digits = table_digits(float(np.nanmax(ms)) if ms.size else 0.0)
    text = [[number(v, digits) if np.isfinite(v) else "" for v in r] for r in ms]
    sources = [said(rows, str(row)) for row in values.index]
    share = [
        [f"{percent(v / whole_ms) if whole_ms else '-'} of it{source}" for v in r]
        for r, source in zip(ms, sources, strict=True)
    ]
    margin = {"l": 84, "r": 8, "t": 34, "b": 8}
    figure = blank(70 + 38 * len(values), margin=margin, meta={"slant": 52})
    figure.add_heatmap(
        x=[plain(c) for c in values.columns],
        y=[plain(rows.short(str(r))) for r in values.index],
        z=ms,
        text=text,
        customdata=share,
        texttemplate="%{text}",
        hovertemplate="<b>%{y}</b>, %{x}<br>%{text} ms per "
        + unit
        + "<br>%{customdata}<extra></extra>",
        coloraxis="coloraxis",
        hoverongaps=False,
        xgap=2,
        ygap=2,
    )
    figure.update_xaxes(side="top", showgrid=False, ticks="", fixedrange=True)
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", fixedrange=True)
    figure.update_yaxes(automargin=True)
    return figure
