"""Every figure that there may be, once: for the pages and notebooks.

An entry's `draw` returns None where its data were not measured, and nothing else says
when a figure exists. The pages have keys of their own beside their figures; a figure in
a notebook stands alone, with title, legend and light theme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.report.colours import THEMES
from debottleneck.report.figures import (
    change,
    faster,
    flame,
    losses,
    steps,
    timeline,
    trials,
)
from debottleneck.report.figures.base import plain
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Sides

PAPER = "#ffffff"
FLAME_COLOURS = ("#dcdcd4", "#f0b35a", "#ecebe5")
"""Of a library, the user's own code, neither: on the page the reader chooses them."""

FEWEST = 2
"""Names from which on a legend says something."""

LEGEND_ROW, NAMES_A_ROW = 24, 6
"""Pixels that a row of the legend needs, and names that it surely has room for."""

TITLE_SIZE, TITLE_ROOM = 14, 30
"""Pixels."""

STAGE = "flame:"
"""Begins the name of one stage's flame graph."""


@dataclass(frozen=True)
class Entry:
    """A figure of a recording, or of a comparison.

    Attributes:
        title: What it says where it stands alone, and to who cannot see it.
        draw: Subject -> the figure, None where what it draws was not measured. The
            subject is an analysis, or a comparison and what stands behind it.
        told: Subject -> more words for who cannot see it, where no table has them.
    """

    title: str
    draw: Callable[..., go.Figure | None]
    told: Callable[..., str] | None = None

    def words(self, *subject: Any) -> str:
        """What it shows of this subject, for who cannot see it."""
        return self.told(*subject) if self.told else self.title


def _window(name: str) -> Callable[[Analysis], str]:
    return lambda run: timeline.told(run, timeline.windows(run)[name])


def _side(id: str) -> Entry:
    """A typical step of one side, on the scale of both."""

    def told(_: Comparison, shown: Sides) -> str:
        side = next(side for side in shown.found if side.id == id)
        window = timeline.windows_of(shown.found)[id]
        return f"{side.label}: {timeline.told(side.analysis, window)}"

    return Entry(
        f"{id.capitalize()}: a typical step of each thread",
        lambda _, shown: timeline.of_side(shown.found, id),
        told,
    )


RUN: Mapping[str, Entry] = {
    "steps": Entry(
        "Every step's time by part; in shaded steps other instruments worked",
        steps.step_bars,
    ),
    "timeline": Entry(
        "A typical step: what each thread ran, below it its waits",
        lambda run: timeline.of_run(run, "typical"),
        _window("typical"),
    ),
    "slowest": Entry(
        "The slowest step: what each thread ran, below it its waits",
        lambda run: timeline.of_run(run, "slowest"),
        _window("slowest"),
    ),
    "flame": Entry(
        "Stacks of the heaviest part; orange is the script's own code, "
        "a dot marks code that held the GIL",
        flame.of_run,
    ),
    "faster": Entry(
        "What the step gains where a row takes less, with 95 % bands", faster.curves
    ),
}
"""Name that users type, and that it has on the page -> figure of a recording."""

COMPARISON: Mapping[str, Entry] = {
    "change": Entry(
        "The mean step before and after: its parts by cause",
        lambda _, shown: change.bars(shown.found),
    ),
    "trials": Entry(
        "Step times of every trial: a dot a round, a bar all its steps",
        lambda comparison, shown: trials.distribution(comparison, shown.measured),
    ),
    "losses": Entry(
        "The loss of the plain script and of each strategy",
        lambda comparison, shown: losses.curves(shown.measured.losses, comparison.best),
    ),
    "timeline-before": _side("before"),
    "timeline-after": _side("after"),
}
"""The same of a comparison."""


def of_run(analysis: Analysis, name: str) -> go.Figure:
    """A figure of one recording.

    Raises:
        UsageError: No such figure, or nothing was measured for it.
    """
    if name in RUN:
        figure, title = RUN[name].draw(analysis), RUN[name].title
    elif name.startswith(STAGE):
        stage = name.removeprefix(STAGE)
        figure = flame.of_run(analysis, stage)
        title = RUN["flame"].title.replace("the heaviest part", plain(stage))
    else:
        raise UsageError(
            f"a recording has no figure called {name!r}",
            f"choose one of: {', '.join((*RUN, f'{STAGE}ROW'))}",
        )
    if figure is None:
        names = [name for name, entry in RUN.items() if entry.draw(analysis)]
        names += [f"{STAGE}{stage}" for stage in flame.stages(analysis.flame)]
        raise UsageError(
            f"there is no figure {name!r} here: what it draws was not measured",
            f"choose one of: {', '.join(names)}"
            if names
            else "profile the script for longer",
        )
    return _alone(figure, title)


def _alone(figure: go.Figure, title: str) -> go.Figure:
    """The figure with title and legend on white paper."""
    papers = {"paper_bgcolor": PAPER, "plot_bgcolor": PAPER}
    figure.update_layout(template=THEMES["light"], **papers)
    if kinds := (figure.layout.meta or {}).get("kind"):
        colours = [FLAME_COLOURS[kind] for kind in kinds]
        marker = {"colors": colours, "line": {"width": 1, "color": PAPER}}
        figure.update_traces(marker=marker, root={"color": "rgba(0,0,0,0)"})
    _legend(figure)
    _title(figure, title)
    return figure


def _legend(figure: go.Figure) -> None:
    """Names of colours in rows of their own below the figure."""
    named: set[str] = set()
    for trace in figure.data:
        shown = bool(trace.name) and trace.showlegend is not False
        if "showlegend" in trace:
            trace.showlegend = shown and trace.name not in named
        named |= {trace.name} if shown else set()
    if len(named) < FEWEST:
        return
    room = LEGEND_ROW * -(-len(named) // NAMES_A_ROW)
    place = {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"}
    figure.update_layout(showlegend=True, legend=place)
    _grow(figure, "b", room)


def _title(figure: go.Figure, text: str) -> None:
    place = {"x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top"}
    look = {"font": {"size": TITLE_SIZE}, "pad": {"t": 10}}
    figure.update_layout(title={"text": text, **look, **place})
    _grow(figure, "t", TITLE_ROOM)


def _grow(figure: go.Figure, side: str, room: int) -> None:
    """More margin at one side, and so much more height."""
    layout = figure.layout
    height = {"height": layout.height + room} if layout.height else {}
    figure.update_layout(margin={side: (layout.margin[side] or 0) + room}, **height)
