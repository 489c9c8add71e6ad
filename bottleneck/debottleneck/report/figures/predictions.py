"""Predicted speed-up over workers, one line a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import plotly.graph_objects as go

from debottleneck.analysis.result import Prediction, Predictions
from debottleneck.errors import UsageError
from debottleneck.report.colours import stage_colour
from debottleneck.report.figures.base import LEVEL, NEUTRAL, blank, plain, title
from debottleneck.report.words import predictions as words
from debottleneck.strategies.spec import FORWARD, PREFETCH, UPDATE, Strategy, parse

FEWEST = 2
"""Settings from which on a strategy is a line."""

BAND = 0.16
"""How much of its colour the band around a line has."""

STAGES: Mapping[str, str] = MappingProxyType(
    {PREFETCH: "load", FORWARD: "forward", UPDATE: "update"}
)
"""A strategy's line has the colour of the stage that it acts on."""

KINDS = ("threads", "processes")
"""What an axis counts."""

RECORDED, ASSUMED = "the loop as recorded", "the loop as assumed"
"""Levels without a strategy: measured, and under a question."""


@dataclass(frozen=True)
class Curve:
    """A strategy's settings, by how many threads, processes or parts they have.

    Attributes:
        name: What people call it: "prefetch, processes".
        strategy: The first of its settings.
        workers: Rising.
        rows: As many as workers.
    """

    name: str
    strategy: Strategy
    workers: tuple[int, ...]
    rows: tuple[Prediction, ...]


def curve(found: Predictions) -> go.Figure | None:
    """Speed-up over workers with its 90 % band; 1 is the loop as it was recorded.

    Returns:
        None where no strategy was looked at with several numbers of workers.
    """
    drawn = curves(found)
    if not any(len(each.rows) >= FEWEST for each in drawn):
        return None
    figure = blank(380, hovermode="closest")
    figure.update_layout(
        showlegend=True,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 8, "r": 16, "t": 8, "b": 48},
    )
    ticks = sorted({count for each in drawn for count in each.workers})
    ends = [ticks[0] / 1.15, ticks[-1] * 1.15]
    for each in drawn:
        _band(figure, each)
    _level(figure, RECORDED, 1.0, "dot", ends)
    if found.question:
        _level(figure, ASSUMED, found.plain.speedup, "dashdot", ends)
    for each in drawn:
        _line(figure, each)
    _axes(figure, ticks, drawn)
    return figure


def curves(found: Predictions) -> list[Curve]:
    """The strategies whose settings say how many workers they have."""
    made = map(_curve, found.settings)
    return [each for each in made if each is not None]


def _curve(settings: Sequence[Prediction]) -> Curve | None:
    known: dict[int, Prediction] = {}
    first: Strategy | None = None
    for row in settings:
        strategy = _alone(row.spec)
        count = _count(strategy) if strategy else 0
        if strategy and count:
            first = first or strategy
            known[count] = row
    if first is None:
        return None
    workers = tuple(sorted(known))
    return Curve(_name(first), first, workers, tuple(known[n] for n in workers))


def _alone(spec: str) -> Strategy | None:
    """The strategy if the text is one, and no other acts beside it."""
    try:
        found = parse(spec)
    except UsageError:
        return None
    return found[0] if len(found) == 1 else None


def _count(strategy: Strategy) -> int:
    return strategy.number("workers", 0)


def _name(strategy: Strategy) -> str:
    kinds = {"process": "processes", "thread": "threads"}
    kind = kinds[strategy.word("where", "thread")]
    return f"{strategy.name.replace('-', ' ')}, {kind}"


def _apart(strategy: Strategy) -> bool:
    return strategy.word("where", "thread") == "process"


def _colour(strategy: Strategy) -> str:
    return stage_colour(STAGES[strategy.name])


def _band(figure: go.Figure, each: Curve) -> None:
    """Where nine of ten measured values should lie; one setting has arms instead."""
    if len(each.rows) < FEWEST:
        return
    colour = _colour(each.strategy)
    channels = ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    figure.add_scatter(
        x=[*each.workers, *reversed(each.workers)],
        y=[*(r.low for r in each.rows), *(r.high for r in reversed(each.rows))],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({channels},{BAND})",
        hoverinfo="skip",
        showlegend=False,
    )


def _level(
    figure: go.Figure, name: str, value: float, dash: str, ends: list[float]
) -> None:
    figure.add_scatter(
        name=name,
        x=ends,
        y=[value, value],
        mode="lines",
        line={"width": 1.5, "color": NEUTRAL, "dash": dash},
        hoverinfo="skip",
        showlegend=True,
    )


def _line(figure: go.Figure, each: Curve) -> None:
    colour, apart = _colour(each.strategy), _apart(each.strategy)
    arms = None
    if len(each.rows) < FEWEST:
        (row,) = each.rows
        arms = {
            "type": "data",
            "symmetric": False,
            "array": [row.high - row.speedup],
            "arrayminus": [row.speedup - row.low],
            "thickness": 2,
            "color": colour,
        }
    figure.add_scatter(
        name=plain(each.name),
        x=list(each.workers),
        y=[row.speedup for row in each.rows],
        error_y=arms,
        mode="lines+markers",
        line={"width": 2, "color": colour, "dash": "dash" if apart else "solid"},
        marker={"size": 8, "color": colour, "symbol": "square" if apart else "circle"},
        customdata=list(map(_said, each.rows)),
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=True,
    )


def _said(row: Prediction) -> str:
    gain = f"{words.speedup(row)} ({words.bounds(row)})"
    return f"<b>{plain(row.spec)}</b><br>{gain}<br>{plain(words.why(row))}"


def _axes(figure: go.Figure, ticks: list[int], drawn: Sequence[Curve]) -> None:
    counted = [k for k in KINDS if any(each.name.endswith(k) for each in drawn)]
    figure.update_xaxes(
        title=title(" or ".join(filter(None, (", ".join(counted[:-1]), counted[-1])))),
        type="log",
        tickvals=ticks,
        ticktext=list(map(str, ticks)),
        zeroline=False,
        fixedrange=True,
    )
    figure.update_yaxes(
        title=title("times as fast as recorded"),
        ticksuffix="x",
        nticks=6,
        rangemode="tozero",
        automargin=True,
        **LEVEL,
    )
