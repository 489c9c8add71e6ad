"""What all figures share: the empty one, and names set as they are."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from debottleneck.report.quantities import clean


def plain(text: object) -> str:
    """A name that plotly shows as it is: its pseudo-HTML is escaped."""
    escaped = clean(text).replace("&", "&amp;")
    return escaped.replace("<", "&lt;").replace(">", "&gt;")


def blank(height: int, **layout: Any) -> go.Figure:
    """A figure without a template, with the margins that all share."""
    margin = {"l": 56, "r": 12, "t": 8, "b": 44}
    figure = go.Figure(layout={"template": {}, "height": height, "margin": margin})
    figure.update_layout(showlegend=False, bargap=0, **layout)
    return figure
