"""How trials went: times of their steps, speed-ups predicted and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
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
from debottleneck.trials.result import Comparison, Interval, Trial
from debottleneck.trials.save import Measurements, counted_steps
from debottleneck.trials.sides import trial_steps

MOST_DOTS = 200
"""Rounds of a row that are drawn."""

SPREAD = (0.05, 0.25, 0.75, 0.95)
"""Parts of all steps between which the thin and the thick box lie."""

SHAPES: Mapping[str, str] = {
    result.FASTER: "circle",
    result.SAME_SPEED: "square",
    result.SLOWER: "triangle-left",
    result.DIFFERENT: "x",
    result.UNVERIFIED: "cross",
}
"""Verdict -> the mark of its row, so that colour is not the only sign."""

GUESSED = "#c9772b"
BELOW = 9
"""Pixels from what was measured down to what was predicted, around a row's middle."""

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
    base = comparison.baseline_ms
    means: dict[str, Interval] = {} if base is None else {"": base}
    for trial in comparison.trials:
        if (ms := trial.step_ms) is not None:
            means.setdefault(trial.spec, Interval(ms, np.nan, np.nan))
    by_spec = dict(iter(steps.groupby("spec")))
    order = [spec for spec in dict.fromkeys(("", *means)) if spec in by_spec]
    if not order:
        return None
    digits = table_digits(float(steps.ms.median()))
    figure = _empty("ms per step").update_xaxes(rangemode="tozero")
    names = [
        named(
            spec or comparison_words.baseline(comparison),
            _mean_text(means[spec], digits) if spec in means else "",
        )
        for spec in order
    ]
    for spec, middle in zip(order, add_rows(figure, names, band=34), strict=False):
        _spread(figure, by_spec[spec].ms, middle)
        rounds = by_spec[spec].groupby("round").ms.mean()
        _rounds(figure, rounds, ACCENT if spec else NEUTRAL, middle)
        if spec in means:
            said = f"mean of the rounds: {_mean_text(means[spec], None)}"
            line = {"width": 2, "color": NEUTRAL}
            look = {"symbol": "line-ns-open", "size": 22, "color": NEUTRAL}
            _mark(figure, means[spec], middle, said, {**look, "line": line})
    return figure


def _empty(unit: str) -> go.Figure:
    figure = blank(100, barmode="overlay", margin={"l": 8, "r": 16, "t": 4, "b": 48})
    return figure.update_xaxes(title=title(unit), nticks=6, **LEVEL)


def _mean_text(mean: Interval, digits: int | None) -> str:
    bounds = interval(mean.low, mean.high, digits)
    known = f" ({bounds})" if np.isfinite(mean.low) else ""
    return f"{number(mean.value, digits)} ms{known}"


def _spread(figure: go.Figure, ms: Any, middle: float) -> None:
    """Where 90 % and half of all steps lie."""
    low, first, third, high = np.quantile(ms, SPREAD).tolist()
    said = f"all {len(ms):,} steps: half lie between {number(first)} and "
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


def _rounds(figure: go.Figure, means: Any, colour: str, middle: float) -> None:
    """A dot a round, moved a little up or down so that equal ones are seen."""
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


def _mark(
    figure: go.Figure,
    ratio: Interval,
    middle: float,
    said: str,
    marker: dict[str, Any],
    name: str | None = None,
    thickness: float = 2,
) -> None:
    """One mark with the arms of its interval, and what is said under the pointer."""
    style = {"thickness": thickness, "width": 2 + 1.5 * thickness}
    bounds = arms(ratio.value, ratio.low, ratio.high, color=marker["color"], **style)
    figure.add_scatter(
        name=name,
        x=[ratio.value],
        y=[middle],
        error_x=bounds if np.isfinite(ratio.low) else None,
        mode="markers",
        marker=marker,
        customdata=[said],
        hovertemplate="%{customdata}<extra></extra>",
    )


def speedups(comparison: Comparison) -> go.Figure | None:
    """Each strategy's speed-up with its interval, and what was predicted.

    Returns:
        None where no strategy has a speed-up.
    """
    timed = [(t, t.speedup) for t in comparison.trials if t.speedup is not None]
    if not timed:
        return None
    names = [named(trial.spec, _verdict(trial)) for trial, _ in timed]
    who = cut(comparison_words.baseline(comparison), 28)
    who = who if comparison.recorded else f"the {who}"
    figure = _empty(f"times as fast as {plain(who)}")
    middles = add_rows(figure, names, band=26)
    drawn: list[Interval] = []
    for (trial, ratio), middle in zip(timed, middles, strict=False):
        # a piece of the line of no difference, only where no text stands
        add_line(figure, [1, 1], [middle - 13, middle + 13])
        colour = ACCENT if trial.verdict == result.FASTER else NEUTRAL
        said = f"<b>{'<br>'.join(wrapped(trial.spec))}</b><br>{_verdict(trial)}"
        symbol = SHAPES.get(trial.verdict, "circle-open")
        marker = {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 0}}
        guess, up = trial.predicted, BELOW / 2 if trial.predicted else 0
        drawn.append(ratio)
        _mark(figure, ratio, middle - up, said, marker, plain(trial.verdict))
        if guess:
            drawn.append(Interval(guess.speedup, guess.low, guess.high))
            said = f"predicted: {comparison_words.predicted(guess)}, 90 % interval"
            hollow = {"symbol": "diamond-open", "size": 11, "line": {"width": 2}}
            marker = {**hollow, "color": GUESSED}
            _mark(figure, drawn[-1], middle + up, said, marker, "predicted", 1)
    return figure.update_xaxes(range=_reach(drawn), ticksuffix="x")


def _verdict(trial: Trial) -> str:
    said = f"{comparison_words.speedup(trial.speedup)} "
    return f"{said}({comparison_words.bounds(trial.speedup)}), {plain(trial.verdict)}"


def _reach(drawn: list[Interval]) -> list[float]:
    """From the lowest to the highest that is drawn, 1 included, with room."""
    values = [1.0, *(ratio.value for ratio in drawn)]
    top = max(*values, *(min(ratio.high, FAR * max(values)) for ratio in drawn))
    low = min(*values, *(ratio.low for ratio in drawn))
    room = 0.06 * (top - low) or 0.1
    return [max(0.0, low - room), top + room]
