"""What all figures share: the empty one, names set as they are, rows with names."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from debottleneck.report.rows import ShownRows
from debottleneck.report.words import strategies
from debottleneck.report.words.quantities import clean

TALLEST = 640
"""Pixels; a higher figure does not fit on a screen of 1280 x 720."""

NEUTRAL = "#7d8790"
ACCENT = "#3f8db3"
"""Marks that stand for no stage and no cause; readable on light and on dark."""

THOUSANDS = {"separatethousands": True, "exponentformat": "none"}
"""Of an axis: 12,000 and not 12k."""

LEVEL = {"zeroline": False, "fixedrange": True, **THOUSANDS}
"""Of an axis of values that is neither moved nor zoomed."""

LEGEND_ABOVE = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}

LINE = 15
"""Pixels of a line of text above a row."""

WIDEST = 44
"""Letters of a line that fit on a page of 390 pixels."""


def plain(text: object) -> str:
    """A name that plotly shows as it is: neither its pseudo-HTML nor a formula."""
    escaped = clean(text).replace("&", "&amp;").replace("$", "&#36;")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def said(rows: ShownRows, row: str) -> str:
    """What a line says as one more line under the pointer, "" of a stage."""
    source = rows.source(row)
    return f"<br>{plain(source)}" if source else ""


def blank(height: int, **layout: Any) -> go.Figure:
    """A figure without a template, with what all share unless `layout` says else."""
    margin = {"l": 56, "r": 12, "t": 8, "b": 44}
    shared = {
        "margin": margin,
        "hovermode": "closest",
        "showlegend": False,
        "bargap": 0,
    }
    return go.Figure(layout={"template": {}, "height": height, **shared, **layout})


def arms(value: float, low: float, high: float, **style: Any) -> dict[str, Any]:
    """The error bar from `low` to `high` around a mark at `value`."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, high - value)],
        "arrayminus": [max(0.0, value - low)],
        **style,
    }


def title(text: str) -> dict[str, Any]:
    """An axis's title, as large as the rest of the text and near the axis."""
    return {"text": text, "standoff": 6, "font": {"size": 12}}


def wrapped(spec: str, width: int = WIDEST) -> list[str]:
    """A strategy's name in lines that fit, ready for plotly."""
    lines = textwrap.wrap(strategies.named(spec), width) or [""]
    return [plain(line) for line in lines]


def name_above(figure: go.Figure, text: str, y: float) -> None:
    """A row's name at the left edge, its upper edge at `y`; `text` is plotly's."""
    figure.add_annotation(
        x=0,
        xref="paper",
        xanchor="left",
        y=y,
        yanchor="top",
        text=text,
        align="left",
        showarrow=False,
        borderpad=0,
    )


def named(spec: str, said: str) -> str:
    """The strategy in bold and what is said of it, on a line of its own if long."""
    lines = wrapped(spec)
    bold = [f"<b>{line}</b>" for line in lines]
    if not said:
        return "<br>".join(bold)
    short = len(lines) == 1 and len(lines[0]) + len(said) < 46
    return "<br>".join(bold) + ("  " if short else "<br>") + said


def add_rows(figure: go.Figure, names: Sequence[str], band: float) -> list[float]:
    """Give the figure rows, their names above them, and its height.

    Args:
        figure: Its y axis is set to pixels.
        names: What stands above each row, plotly's text, lines split by <br>.
        band: Pixels of a row below its name.

    Returns:
        The middle of each row's band, in pixels from the top; of those that had room.
    """
    margin = figure.layout.margin
    room = TALLEST - margin.t - margin.b - LINE
    top, middles = 0.0, []
    for name in names:
        height = LINE * (1 + name.count("<br>"))
        if top + height + band > room:
            break
        name_above(figure, name, top + 1)
        middles.append(top + height + band / 2)
        top += height + band
    left_out = len(names) - len(middles)
    if left_out:
        name_above(figure, f"and {left_out} more, which the table has", top + 1)
        top += LINE
    figure.update_layout(height=int(top + margin.t + margin.b))
    figure.update_yaxes(
        range=[top, 0],
        showticklabels=False,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    return middles
