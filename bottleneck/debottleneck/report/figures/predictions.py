"""Predicted speed-up over workers, one line a strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from debottleneck.analysis.result import Prediction, Predictions
from debottleneck.errors import UsageError
from debottleneck.report.colours import channels, stage_colour
from debottleneck.report.figures.base import (
    LEGEND_ABOVE,
    LEVEL,
    add_line,
    arms,
    blank,
    plain,
    title,
)
from debottleneck.report.words import predictions as words
from debottleneck.strategies.spec import (
    FORWARD,
    PREFETCH,
    UPDATE,
    Strategy,
    parse,
)

FEWEST = 2
"""Settings from which on a strategy is a line."""

BAND = 0.16
"""How much of its colour the band around a line has."""

STAGES: Mapping[str, str] = {PREFETCH: "load", FORWARD: "forward", UPDATE: "update"}
"""A strategy's line has the colour of the stage that it acts on."""

KINDS = ("threads", "processes")
"""What an axis counts, of a strategy in the script's process or beside it."""

RECORDED = "the loop as recorded"


@dataclass(frozen=True)
class Curve:
    """A strategy's settings, by how many threads, processes or parts they have.

    Attributes:
        strategy: The first of its settings.
        workers: Rising.
        rows: As many as workers.
    """

    strategy: Strategy
    workers: tuple[int, ...]
    rows: tuple[Prediction, ...]

    @property
    def kind(self) -> str:
        """What its workers are."""
        return KINDS[self.strategy.word("where", "thread") == "process"]


def curve(predicted: Predictions | None) -> go.Figure | None:
    """Speed-up over workers with its 90 % band; 1 is the loop as it was recorded.

    Returns:
        None where no strategy was looked at with several numbers of workers.
    """
    lines = [] if predicted is None else curves(predicted)
    if predicted is None or not any(len(line.rows) >= FEWEST for line in lines):
        return None
    margin = {"l": 8, "r": 16, "t": 8, "b": 48}
    figure = blank(380, margin=margin, showlegend=True, legend=LEGEND_ABOVE)
    ticks = sorted({workers for line in lines for workers in line.workers})
    ends = [ticks[0] / 1.15, ticks[-1] * 1.15]
    for line in lines:
        _band(figure, line)
    add_line(figure, ends, [1.0] * 2, dash="dot", name=RECORDED, showlegend=True)
    for line in lines:
        _line(figure, line)
    kinds = [kind for kind in KINDS if any(line.kind == kind for line in lines)]
    steps = {"tickvals": ticks, "ticktext": list(map(str, ticks))}
    figure.update_xaxes(title=title(" or ".join(kinds)), type="log", **steps)
    figure.update_xaxes(zeroline=False, fixedrange=True)
    scale = {"ticksuffix": "x", "nticks": 6, "rangemode": "tozero", "automargin": True}
    return figure.update_yaxes(
        title=title("times as fast as recorded"), **scale, **LEVEL
    )


def curves(predicted: Predictions) -> list[Curve]:
    """The strategies whose settings say how many workers they have."""
    return list(filter(None, map(_curve, predicted.settings)))


def _curve(settings: Sequence[Prediction]) -> Curve | None:
    """Of those settings in which no other strategy acts beside it."""
    first: Strategy | None = None
    by_workers: dict[int, Prediction] = {}
    for row in settings:
        try:
            strategies = parse(row.spec)
        except UsageError:
            continue
        count = strategies[0].number("workers", 0) if len(strategies) == 1 else 0
        if count:
            first = first or strategies[0]
            by_workers[count] = row
    if first is None:
        return None
    workers = tuple(sorted(by_workers))
    return Curve(first, workers, tuple(by_workers[n] for n in workers))


def _band(figure: go.Figure, curve: Curve) -> None:
    """Where nine of ten measured values should lie; one setting has arms instead."""
    if len(curve.rows) < FEWEST:
        return
    red, green, blue = channels(stage_colour(STAGES[curve.strategy.name]))
    figure.add_scatter(
        x=[*curve.workers, *reversed(curve.workers)],
        y=[*(r.low for r in curve.rows), *(r.high for r in reversed(curve.rows))],
        mode="lines",
        line={"width": 0},
        fill="toself",
        fillcolor=f"rgba({red},{green},{blue},{BAND})",
        hoverinfo="skip",
        showlegend=False,
    )


def _line(figure: go.Figure, curve: Curve) -> None:
    colour = stage_colour(STAGES[curve.strategy.name])
    apart = curve.kind == KINDS[1]
    bounds = None
    if len(curve.rows) < FEWEST:
        (row,) = curve.rows
        bounds = arms(row.speedup, row.low, row.high, thickness=2, color=colour)
    texts = [
        f"<b>{plain(row.spec)}</b><br>{words.speedup(row)} ({words.bounds(row)})<br>"
        f"{plain(words.why(row))}"
        for row in curve.rows
    ]
    figure.add_scatter(
        name=plain(f"{curve.strategy.name.replace('-', ' ')}, {curve.kind}"),
        x=list(curve.workers),
        y=[row.speedup for row in curve.rows],
        error_y=bounds,
        mode="lines+markers",
        line={"width": 2, "color": colour, "dash": "dash" if apart else "solid"},
        marker={"size": 8, "color": colour, "symbol": "square" if apart else "circle"},
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
        showlegend=True,
    )
