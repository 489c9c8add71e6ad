"""One fixed colour for each stage and each cause, the same in light and in dark.

Found by search: every colour has a contrast of 3:1 or more to both papers (WCAG 2,
1.4.11), and among stages, as among causes, every two differ by 10 or more in CIEDE2000
as people see them without and with protanopia, deuteranopia and tritanopia (Machado,
Oliveira and Fernandes 2009). Neither is the only sign of anything: each coloured thing
also has its name beside it or under the pointer, and its number in a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

STAGE_COLOURS: Mapping[str, str] = {
    "load": "#7a7bf3",
    "augment": "#576690",
    "transfer": "#399ca7",
    "forward": "#e36502",
    "loss": "#8c9558",
    "backward": "#c62852",
    "update": "#197352",
    "evaluate": "#b48383",
    "checkpoint": "#925703",
    "log": "#7041e8",
    "other": "#70767d",
}

LINE_COLOURS = ("#d06898", "#488868", "#8888c8", "#e01830", "#7070b8", "#c81098")
"""Of lines of the user's code, the largest first. Each differs by 7 or more from the
others and from every stage's: more than six that are as far apart as stages do not
exist beside them (searched)."""

CAUSE_COLOURS: Mapping[str, str] = {
    "python": "#4280ff",
    "native": "#08a090",
    "gil": "#d31b75",
    "lock": "#814cb8",
    "disk": "#a28d66",
    "network": "#736b11",
    "ipc": "#4d6e47",
    "sleep": "#8b8cbf",
    "device": "#be788c",
    "collective": "#a46961",
    "runqueue": "#ce7c27",
    "throttle": "#7c7c40",
    "gc": "#dc1c1c",
    "memory": "#7c70b8",
    "unattributed": "#626569",
    "running": "#467d90",
}
"""`running` is a sample on a core of which the GIL's holder is unknown."""

STRANGER = "#70767d"

BLOCK_COLOURS: Mapping[str, str] = {
    "warmup": "#a3a9b0",
    "stacks": "#0b7a9b",
    "functions": "#b5651d",
    "delays": "#a03d6e",
    "loops": "#6c5b9e",
}
BLOCK_NAMES: Mapping[str, str] = {
    "warmup": "warm-up, left out",
    "stacks": "stacks were taken",
    "functions": "functions were counted",
    "delays": "others were held back",
    "loops": "loops were learned",
}


def stage_colour(stage: str) -> str:
    """The stage's colour."""
    return STAGE_COLOURS.get(stage, STRANGER)


def cause_colour(cause: str) -> str:
    """The cause's colour."""
    return CAUSE_COLOURS.get(cause, STRANGER)


def ink_on(colour: str) -> str:
    """Black or white, whichever is easier to read on that colour: 4.5:1 at least."""
    black, white = "#000000", "#ffffff"
    return black if contrast(black, colour) > contrast(white, colour) else white


def contrast(first: str, second: str) -> float:
    """How far two colours are apart in brightness, 1 to 21 (WCAG 2)."""
    dark, bright = sorted(map(_luminance, (first, second)))
    return (bright + 0.05) / (dark + 0.05)


def channels(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb", 0 to 255."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _luminance(colour: str) -> float:
    parts = [channel / 255 for channel in channels(colour)]
    red, green, blue = (
        part / 12.92 if part <= 0.04 else ((part + 0.055) / 1.055) ** 2.4
        for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _theme(ink: str, muted: str, line: str, sheet: str) -> Any:
    axis = {
        "gridcolor": line,
        "linecolor": line,
        "zerolinecolor": line,
        "tickcolor": line,
        "tickfont": {"color": muted},
        "title": {"font": {"color": muted}},
    }
    return {
        "layout": {
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": ink, "size": 12},
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {
                "bgcolor": sheet,
                "bordercolor": line,
                "font": {"color": ink, "size": 12},
            },
            "annotationdefaults": {"font": {"color": muted}},
            "shapedefaults": {"line": {"color": muted}},
        },
    }


THEMES: Mapping[str, Any] = {
    "light": _theme(
        "#1b1f24",
        "#56606b",
        "#e4e4df",
        "#ffffff",
    ),
    "dark": _theme(
        "#e8eaec",
        "#a0aab3",
        "#30363c",
        "#22272c",
    ),
}
"""plotly templates; the page takes the one that its reader prefers."""
