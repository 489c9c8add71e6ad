"""One fixed colour for each stage and each cause, in light and in dark.

Stages use Okabe and Ito's palette (https://jfly.uni-koeln.de/color/) with three
more for what happens between steps, causes Paul Tol's "muted"
(https://sronpersonalpages.nl/~pault/). Neither is the only sign of anything: each
coloured thing also has its name beside it or under the pointer.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

STAGE_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "load": "#0072b2",
        "augment": "#56b4e9",
        "transfer": "#009e73",
        "forward": "#e69f00",
        "loss": "#f0e442",
        "backward": "#d55e00",
        "update": "#cc79a7",
        "evaluate": "#8f7bd1",
        "checkpoint": "#8c6d4b",
        "log": "#b5cf6b",
        "other": "#a3a9b0",
    }
)

CAUSE_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "python": "#88ccee",
        "native": "#44aa99",
        "gil": "#d6455d",
        "lock": "#aa4499",
        "disk": "#ddcc77",
        "network": "#999933",
        "ipc": "#2f8f56",
        "sleep": "#7b74c9",
        "runqueue": "#ee8a3c",
        "unattributed": "#c2c6ca",
        "running": "#66bbc4",
    }
)
"""`running` is a sample on a core of which the GIL's holder is unknown."""

STRANGER = "#a3a9b0"

BLOCK_COLOURS: Mapping[str, str] = MappingProxyType(
    {"warmup": "#a3a9b0", "stacks": "#0b7a9b", "functions": "#b5651d"}
)
BLOCK_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "warmup": "warm-up, left out",
        "stacks": "stacks were taken",
        "functions": "functions were counted",
    }
)


def stage_colour(stage: str) -> str:
    """The stage's colour."""
    return STAGE_COLOURS.get(stage, STRANGER)


def cause_colour(cause: str) -> str:
    """The cause's colour."""
    return CAUSE_COLOURS.get(cause, STRANGER)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on that colour (WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = map(_linear, channels)
    bright = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#111418" if bright > 0.18 else "#ffffff"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04 else ((channel + 0.055) / 1.055) ** 2.4


def _theme(ink: str, muted: str, line: str, sheet: str, scale: list[str]) -> Any:
    axis = {
        "gridcolor": line,
        "linecolor": line,
        "zerolinecolor": line,
        "tickcolor": line,
        "tickfont": {"color": muted},
        "title": {"font": {"color": muted}},
    }
    steps = len(scale) - 1
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": ink, "size": 12},
            "xaxis": axis,
            "yaxis": axis,
            "coloraxis": {
                "colorscale": [[i / steps, c] for i, c in enumerate(scale)],
                "showscale": False,
            },
            "hoverlabel": {
                "bgcolor": sheet,
                "bordercolor": line,
                "font": {"color": ink, "size": 12},
            },
            "annotationdefaults": {"font": {"color": muted}},
            "shapedefaults": {"line": {"color": muted}},
        }
    }


THEMES: Mapping[str, Any] = MappingProxyType(
    {
        "light": _theme(
            "#1b1f24",
            "#56606b",
            "#e4e4df",
            "#ffffff",
            ["#f4f3ee", "#cfe1ea", "#8fbdd3", "#3f8db3", "#0f5c85", "#083a58"],
        ),
        "dark": _theme(
            "#e8eaec",
            "#a0aab3",
            "#30363c",
            "#22272c",
            ["#20262b", "#1d3644", "#1b4a61", "#1a6081", "#1a77a2", "#1b86b8"],
        ),
    }
)
"""plotly templates; the page takes the one that its reader prefers."""
