"""How trials went: times of their steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from debottleneck.report.figures.base import (
    ACCENT,
    LEVEL,
    NEUTRAL,
    add_rows,
    arms,
    blank,
    named,
    title,
)
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import interval, number, table_digits
from debottleneck.trials.result import Comparison, Interval
from debottleneck.trials.save import Measurements, counted_steps
from debottleneck.trials.sides import trial_steps

MOST_DOTS = 200
"""Rounds of a row that are drawn."""

SPREAD = (0.05, 0.25, 0.75, 0.95)
"""Parts of all steps between which the thin and the thick box lie."""


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
