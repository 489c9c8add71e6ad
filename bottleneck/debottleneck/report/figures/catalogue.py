"""Figures by the names that users type, each standing alone: legend, light theme.

The pages have keys of their own beside their figures; a figure in a notebook or a
picture has nothing but itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import plotly.graph_objects as go

from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.report import matrix
from debottleneck.report.colours import THEMES
from debottleneck.report.figures import (
    causes,
    change,
    flame,
    flame_change,
    losses,
    predictions,
    sides,
    steps,
    timeline,
    trials,
)
from debottleneck.report.figures.base import plain
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Side, Sides

Drawn: TypeAlias = go.Figure | None
"""None where the figure's data were not measured."""

PAPER = "#ffffff"
FLAME_COLOURS = ("#dcdcd4", "#f0b35a", "#ecebe5")
"""Of a library, the user's own code, neither: as on the page."""

FEWEST = 2
"""Names from which on a legend says something."""

LEGEND_ROW, NAMES_A_ROW = 24, 6
"""Pixels that a row of the legend needs, and names that it surely has room for."""

TITLE_SIZE, TITLE_ROOM = 14, 30
"""Pixels."""

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "causes": "Where the time of a step goes: stage by cause, ms",
        "steps": "Every step's time by stage; in shaded steps other instruments worked",
        "distribution": "How long the undisturbed steps took",
        "timeline": "A typical step: stages of each thread, below them its waits",
        "slowest": "The slowest step: stages of each thread, below them its waits",
        "flame": "Stacks of the heaviest stage; orange is the script's own code, "
        "a dot marks code that held the GIL",
        "predictions": "What strategies should gain, with 90 % bands: speed-up over "
        "workers",
        "change": "The mean step before and after: stages by cause",
        "waterfall": "From the old mean step to the new one, cause by cause",
        "speedups": "Speed-up of each strategy with its 95 % interval",
        "trials": "Step times of every trial: a dot a round, a bar all its steps",
        "cost": "What each strategy costs in memory and CPU time",
        "losses": "The loss of the plain script and of each strategy",
        "causes-before": "Before: stage by cause, ms per step",
        "causes-after": "After: stage by cause, ms per step",
        "steps-before": "Before: every step's time by stage",
        "steps-after": "After: every step's time by stage",
        "timeline-before": "Before: a typical step of each thread",
        "timeline-after": "After: a typical step of each thread",
        "flame-change": "What changed in the stacks: blue takes less time, orange more",
    }
)
"""A figure that stands alone has to say what it shows."""

STAGE = "flame:"
"""Begins the name of one stage's flame graph."""

PREDICTIONS = "predictions"
"""The figure that needs predictions, which take time to make."""


def of_run(analysis: Analysis, name: str) -> go.Figure:
    """A figure of one recording.

    Args:
        analysis: What is drawn.
        name: One of RUN, or "flame:STAGE".

    Raises:
        UsageError: No such figure, or nothing was measured for it.
    """
    check_run(name)
    known = _names_of_run(analysis)
    if name in RUN:
        return _alone(RUN[name](analysis), name, TITLES[name], known)
    stage = name.removeprefix(STAGE)
    title = TITLES["flame"].replace("the heaviest stage", plain(stage))
    return _alone(_flame(analysis, stage), name, title, known)


def of_comparison(comparison: Comparison, shown: Sides, name: str) -> go.Figure:
    """A figure of a comparison.

    Args:
        comparison: What was compared.
        shown: What stands behind it.
        name: One of COMPARISON.

    Raises:
        UsageError: No such figure, or nothing was measured for it.
    """
    check_comparison(name)
    known = (each for each in COMPARISON if COMPARISON[each](comparison, shown))
    return _alone(COMPARISON[name](comparison, shown), name, TITLES[name], known)


def check_run(name: str) -> None:
    """Refuse a name that no recording has a figure for.

    Raises:
        UsageError: No such figure; the names there are.
    """
    if name not in RUN and not name.startswith(STAGE):
        raise _unknown(name, "a recording", (*RUN, f"{STAGE}STAGE"))


def check_comparison(name: str) -> None:
    """Refuse a name that no comparison has a figure for.

    Raises:
        UsageError: No such figure; the names there are.
    """
    if name not in COMPARISON:
        raise _unknown(name, "a comparison", COMPARISON)


def _unknown(name: str, kind: str, names: Iterable[str]) -> UsageError:
    said = f"{kind} has no figure called {name!r}"
    return UsageError(said, f"choose one of: {', '.join(names)}")


def _names_of_run(analysis: Analysis) -> Iterable[str]:
    """The figures that this recording has."""
    yield from (name for name in RUN if RUN[name](analysis))
    yield from (f"{STAGE}{stage}" for stage in flame.stages(analysis.flame))


def _alone(figure: Drawn, name: str, title: str, known: Iterable[str]) -> go.Figure:
    """The figure with title and legend on white paper; an error if there is none."""
    if figure is None:
        names = ", ".join(known)
        raise UsageError(
            f"there is no figure {name!r} here: what it draws was not measured",
            f"choose one of: {names}" if names else "profile the script for longer",
        )
    figure.update_layout(
        template=THEMES["light"], paper_bgcolor=PAPER, plot_bgcolor=PAPER
    )
    _colour_flames(figure)
    _legend(figure)
    _title(figure, title)
    return figure


def _colour_flames(figure: go.Figure) -> None:
    """On the page the reader chooses the colours of flame graphs; here nobody can."""
    kinds = (figure.layout.meta or {}).get("kind")
    if kinds:
        colours = [FLAME_COLOURS[kind] for kind in kinds]
        line = {"width": 1, "color": PAPER}
        figure.update_traces(marker={"colors": colours, "line": line})
        figure.update_traces(root={"color": "rgba(0,0,0,0)"})


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
    font = {"size": TITLE_SIZE}
    place = {"x": 0, "xref": "paper", "y": 1, "yref": "container", "yanchor": "top"}
    pad = {"t": 10}
    figure.update_layout(title={"text": text, "font": font, "pad": pad, **place})
    _grow(figure, "t", TITLE_ROOM)


def _grow(figure: go.Figure, side: str, room: int) -> None:
    """More margin at one side, and so much more height."""
    layout = figure.layout
    height = {"height": layout.height + room} if layout.height else {}
    figure.update_layout(margin={side: (layout.margin[side] or 0) + room}, **height)


def _causes(analysis: Analysis) -> Drawn:
    loop = analysis.loop
    if loop.found:
        values, whole = sides.causes_of(analysis), loop.step_ms
    else:
        values, whole = matrix.pivot(analysis.causes, "role"), 1e3
    return causes.heat_map(values, whole, loop.unit) if values.size else None


def _steps(analysis: Analysis) -> Drawn:
    if analysis.steps.empty or analysis.step_stages.empty:
        return None
    return steps.step_bars(analysis.steps, analysis.step_stages)


def _distribution(analysis: Analysis) -> Drawn:
    if (analysis.steps.block == "quiet").sum() < FEWEST:
        return None
    return steps.distribution(analysis.steps, analysis.loop)


def _typical(analysis: Analysis) -> Drawn:
    window = timeline.windows(analysis).get("typical")
    return timeline.draw(analysis, window).figure if window else None


def _slowest(analysis: Analysis) -> Drawn:
    """The slowest step, which may be the typical one in a run of few steps."""
    windows = timeline.windows(analysis)
    window = windows.get("slowest", windows.get("typical"))
    return timeline.draw(analysis, window).figure if window else None


def _flame(analysis: Analysis, stage: str = "") -> Drawn:
    """The stage's flame graph, of the heaviest stage unless one is named."""
    stages = flame.stages(analysis.flame)
    chosen = stage or next(iter(stages), "")
    return flame.figure(analysis, chosen) if chosen in stages else None


def _predictions(analysis: Analysis) -> Drawn:
    found = analysis.predictions
    return None if found is None else predictions.curve(found)


RUN: Mapping[str, Callable[[Analysis], Drawn]] = MappingProxyType(
    {
        "causes": _causes,
        "steps": _steps,
        "distribution": _distribution,
        "timeline": _typical,
        "slowest": _slowest,
        "flame": _flame,
        PREDICTIONS: _predictions,
    }
)
"""Name -> the figure of a recording."""


def _losses(comparison: Comparison, shown: Sides) -> Drawn:
    drawn = losses.curves(shown.measured, comparison.best)
    return drawn[0] if drawn else None


def _flames(_: Comparison, shown: Sides) -> Drawn:
    if len(shown.found) < FEWEST:
        return None
    return flame_change.figure(*(side.analysis for side in shown.found[:2]))


def _side(
    draw: Callable[[Sequence[Side]], sides.Drawn], id: str
) -> Callable[[Comparison, Sides], Drawn]:
    """One side of a figure that both sides are drawn for, on the scale of both."""

    def drawn(_: Comparison, shown: Sides) -> Drawn:
        both = draw(shown.found)
        return both[id][0] if id in both else None

    return drawn


COMPARISON: Mapping[str, Callable[[Comparison, Sides], Drawn]] = MappingProxyType(
    {
        "change": lambda _, shown: change.bars(shown.found),
        "waterfall": lambda _, shown: change.waterfall(shown.found),
        "speedups": lambda found, _: trials.speedups(found),
        "trials": lambda found, shown: trials.distribution(shown.measured, found),
        "cost": lambda found, _: trials.cost(found),
        "losses": _losses,
        "causes-before": _side(sides.heats, "before"),
        "causes-after": _side(sides.heats, "after"),
        "steps-before": _side(sides.bars, "before"),
        "steps-after": _side(sides.bars, "after"),
        "timeline-before": _side(sides.timelines, "before"),
        "timeline-after": _side(sides.timelines, "after"),
        "flame-change": _flames,
    }
)
"""Name -> the figure of a comparison."""
