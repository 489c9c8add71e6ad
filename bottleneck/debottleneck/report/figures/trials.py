"""How trials went: times of their steps, speed-ups; their cost is in `costs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.report.figures.base import (
    ACCENT,
    LEVEL,
    NEUTRAL,
    add_line,
    add_rows,
    arms,
    blank,
    named,
    plain,
    title,
    wrapped,
)
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import cut, interval, number, table_digits
from debottleneck.trials import result
from debottleneck.trials.result import Comparison, Interval, Predicted, Trial
from debottleneck.trials.save import Measurements, counted_steps
from debottleneck.trials.sides import trial_steps

MOST_DOTS = 200
"""Rounds of a row that are drawn."""

SPREAD = (0.05, 0.25, 0.75, 0.95)
"""Parts of all steps between which the thin and the thick box lie."""

SHAPES: Mapping[str, str] = {
    result.FASTER: "circle",
    result.SAME_SPEED: "square",
    result.UNDECIDED: "square-open",
    result.SLOWER: "triangle-left",
    result.DIFFERENT: "x",
    result.UNVERIFIED: "cross",
}
"""Verdict -> the mark of its row, so that colour is not the only sign."""

PREDICTED = "diamond-open"
GUESSED = "#c9772b"
BELOW = 9
"""Pixels from what was measured down to what was predicted, around a row's middle."""

Mean: TypeAlias = tuple[float, Interval | None]
"""Of a trial's rounds, with its interval where there is one."""

FAR = 3.0
"""An interval is cut at this many times the largest speed-up."""


def distribution(comparison: Comparison, measured: Measurements) -> go.Figure | None:
    """Step times of every trial: rounds as dots, all steps as boxes behind.

    A dot is the mean of a round's steps that count. The thin box holds 90 % of all
    of them, the thick one half. The upright line is the mean over rounds, with its
    interval where there is one. Of recordings all quiet steps count, in one round.

    Returns:
        None where no trial was timed.
    """
    counted = trial_steps if comparison.recorded else counted_steps
    steps = counted(measured)
    means: dict[str, Mean] = {}
    if comparison.baseline_ms is not None:
        means[""] = (comparison.baseline_ms.value, comparison.baseline_ms)
    for trial in comparison.trials:
        if trial.step_ms is not None:
            means.setdefault(trial.spec, (trial.step_ms, None))
    by_spec = dict(iter(steps.groupby("spec")))
    order = [spec for spec in dict.fromkeys(("", *means)) if spec in by_spec]
    if not order:
        return None
    digits = table_digits(float(steps.ms.median()))
    figure = _empty("ms per step")
    names = [
        named(
            spec or comparison_words.baseline(comparison),
            _mean_text(means.get(spec), digits),
        )
        for spec in order
    ]
    middles = add_rows(figure, names, band=34)
    for spec, middle in zip(order, middles, strict=False):
        _row(figure, spec, by_spec[spec], means.get(spec), middle)
    return figure.update_xaxes(rangemode="tozero")


def _empty(unit: str) -> go.Figure:
    figure = blank(100, barmode="overlay", margin={"l": 8, "r": 16, "t": 4, "b": 48})
    return figure.update_xaxes(title=title(unit), nticks=6, **LEVEL)


def _mean_text(mean: Mean | None, digits: int) -> str:
    if mean is None:
        return ""
    value, bounds = mean
    said = f"{number(value, digits)} ms"
    if bounds is not None:
        said += f" ({interval(bounds.low, bounds.high, digits)})"
    return said


def _row(
    figure: go.Figure,
    spec: str,
    steps: pd.DataFrame,
    mean: Mean | None,
    middle: float,
) -> None:
    low, first, third, high = np.quantile(steps.ms, SPREAD).tolist()
    said = f"all {len(steps):,} steps: half lie between {number(first)} and "
    said += f"{number(third)} ms,<br>90 % between {number(low)} and {number(high)} ms"
    for start, end, wide in ((low, high, 5), (first, third, 14)):
        figure.add_bar(
            orientation="h",
            base=[start],
            x=[end - start],
            y=[middle],
            width=wide,
            marker={"color": NEUTRAL, "opacity": 0.35, "line": {"width": 0}},
            hovertemplate=f"{said}<extra></extra>",
        )
    _rounds(figure, steps, ACCENT if spec else NEUTRAL, middle)
    if mean is not None:
        _mean(figure, mean, middle)


def _rounds(figure: go.Figure, steps: pd.DataFrame, colour: str, middle: float) -> None:
    """A dot a round, moved a little up or down so that equal ones are seen."""
    means = steps.groupby("round").ms.mean()
    means = means.iloc[:: -(-len(means) // MOST_DOTS)]
    golden = 0.618034 * np.arange(len(means)) % 1.0
    figure.add_scatter(
        x=means.to_numpy(),
        y=middle + 12 * (golden - 0.5),
        mode="markers",
        customdata=means.index.to_numpy() + 1,
        marker={"color": colour, "size": 7, "opacity": 0.85, "line": {"width": 0}},
        hovertemplate="round %{customdata}: %{x:.4~g} ms per step<extra></extra>",
    )


def _mean(figure: go.Figure, mean: Mean, middle: float) -> None:
    value, bounds = mean
    said = f"mean of the rounds: {number(value)} ms"
    if bounds is not None:
        said += f"<br>95 % interval {interval(bounds.low, bounds.high)} ms"
    line = {"width": 2, "color": NEUTRAL}
    marker = {"symbol": "line-ns-open", "size": 22, "color": NEUTRAL, "line": line}
    _mark(figure, (value, middle), said, marker, _arms(bounds) if bounds else None)


def _mark(
    figure: go.Figure,
    place: tuple[float, float],
    said: str,
    marker: dict[str, Any],
    error: dict[str, Any] | None,
    name: str | None = None,
) -> None:
    """One mark with its arms, and what is said under the pointer."""
    figure.add_scatter(
        name=name,
        x=place[:1],
        y=place[1:],
        error_x=error,
        mode="markers",
        marker=marker,
        customdata=[said],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _arms(bounds: Interval, colour: str = NEUTRAL) -> dict[str, Any]:
    style = {"thickness": 2, "width": 5, "color": colour}
    return arms(bounds.value, bounds.low, bounds.high, **style)


def speedups(comparison: Comparison) -> go.Figure | None:
    """Each strategy's speed-up with its interval, and what was predicted.

    Returns:
        None where no strategy has a speed-up.
    """
    timed = [(t, t.speedup) for t in comparison.trials if t.speedup is not None]
    if not timed:
        return None
    names = [named(trial.spec, _verdict(trial)) for trial, _ in timed]
    who = "the " * (not comparison.recorded) + cut(
        comparison_words.baseline(comparison), 28
    )
    figure = _empty(f"times as fast as {plain(who)}")
    middles = add_rows(figure, names, band=26)
    for (trial, ratio), middle in zip(timed, middles, strict=False):
        # a piece of the line of no difference, only where no text stands
        add_line(figure, [1, 1], [middle - 13, middle + 13])
        if trial.predicted is None:
            _speedup(figure, trial, ratio, middle)
        else:
            _speedup(figure, trial, ratio, middle - BELOW / 2)
            _prediction(figure, trial.predicted, middle + BELOW / 2)
    return figure.update_xaxes(range=_reach(comparison), ticksuffix="x")


def _verdict(trial: Trial) -> str:
    said = f"{comparison_words.speedup(trial.speedup)} "
    return f"{said}({comparison_words.bounds(trial.speedup)}), {plain(trial.verdict)}"


def _reach(comparison: Comparison) -> list[float]:
    """From the lowest to the highest that is drawn, 1 included, with room."""
    rows = [(t.speedup, t.predicted) for t in comparison.trials if t.speedup]
    drawn = [ratio for ratio, _ in rows]
    drawn += [_interval(predicted) for _, predicted in rows if predicted]
    values = [1.0, *(ratio.value for ratio in drawn)]
    top = max(*values, *(min(ratio.high, FAR * max(values)) for ratio in drawn))
    low = min(*values, *(ratio.low for ratio in drawn))
    room = 0.06 * (top - low) or 0.1
    return [max(0.0, low - room), top + room]


def _speedup(figure: go.Figure, trial: Trial, ratio: Interval, middle: float) -> None:
    colour = ACCENT if trial.verdict == result.FASTER else NEUTRAL
    said = f"<b>{'<br>'.join(wrapped(trial.spec))}</b><br>{_verdict(trial)}"
    symbol = SHAPES.get(trial.verdict, "circle-open")
    marker = {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 0}}
    error = _arms(ratio, colour)
    _mark(figure, (ratio.value, middle), said, marker, error, plain(trial.verdict))


def _interval(said: Predicted) -> Interval:
    return Interval(said.speedup, said.low, said.high)


def _prediction(figure: go.Figure, said: Predicted, middle: float) -> None:
    """A hollow diamond with a thin bar, below what was measured."""
    thin = {**_arms(_interval(said), GUESSED), "thickness": 1, "width": 3}
    text = f"predicted: {comparison_words.predicted(said)}, 90 % interval"
    marker = {"symbol": PREDICTED, "size": 11, "color": GUESSED, "line": {"width": 2}}
    _mark(figure, (said.speedup, middle), text, marker, thin, "predicted")
