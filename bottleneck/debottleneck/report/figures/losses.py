"""Loss curves of the plain script and of each strategy, on top of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.report.figures.base import (
    ACCENT,
    LEGEND_ABOVE,
    NEUTRAL,
    blank,
    title,
    wrapped,
)
from debottleneck.report.words import strategies
from debottleneck.report.words.comparison import PLAIN
from debottleneck.report.words.quantities import count

MOST_POINTS = 400
DASHES = ("dash", "dot", "dashdot", "longdash")
OTHERS = "other strategies"


def curves(losses: pd.DataFrame, best: str) -> go.Figure | None:
    """Loss by step.

    The plain script's curve is wide and pale, the others lie on it, thin: where they
    are the same both are seen.

    Args:
        losses: The comparison's `Measurements.losses`.
        best: The spec of the strategy to emphasise, "" without a winner.

    Returns:
        None where no losses are known.
    """
    series = _series(losses)
    if not any(np.isfinite(values).any() for values in series.values()):
        return None
    margin = {"l": 8, "r": 12, "t": 8, "b": 48}
    several = len(series) > 1
    figure = blank(300, margin=margin, showlegend=several, legend=LEGEND_ABOVE)
    others = [spec for spec in series if spec not in ("", best)]
    for spec in dict.fromkeys(("", *others, best)):
        if spec in series:
            _curve(figure, spec, series[spec], best, others)
    figure.update_xaxes(title=title("step"), zeroline=False, nticks=8, tickformat=",d")
    figure.update_yaxes(title=title("loss"), automargin=True, zeroline=False)
    return figure


def _series(losses: pd.DataFrame) -> dict[str, pd.Series]:
    """Of each spec the values by step; of a step that came twice, the last."""
    last = losses.drop_duplicates(["spec", "step"], keep="last").sort_values("step")
    by_step = last.set_index("step").astype({"value": "float64"})
    order = losses.spec.drop_duplicates()
    return {str(spec): by_step.value[by_step.spec == spec] for spec in order}


def _curve(
    figure: go.Figure, spec: str, values: pd.Series, best: str, others: list[str]
) -> None:
    thinned = values.iloc[:: -(-len(values) // MOST_POINTS)]
    line = _line(spec, best, others)
    joined = spec in others and len(others) > 1
    name = "<br>".join(wrapped(spec)) if spec else PLAIN
    dotted = spec == best or len(values) == 1
    figure.add_scatter(
        name=OTHERS if joined else name,
        text=name,
        legendgroup=OTHERS if joined else name,
        showlegend=not joined or spec == others[0],
        x=thinned.index.to_numpy(),
        y=[float(v) if np.isfinite(v) else None for v in thinned],
        mode="lines+markers" if dotted else "lines",
        opacity=1.0 if spec else 0.38,
        line=line,
        marker={"size": 4, "maxdisplayed": 30, "color": line["color"]},
        connectgaps=False,
        hovertemplate="%{text}<br>step %{x}: %{y:.8~g}<extra></extra>",
    )


def _line(spec: str, best: str, others: list[str]) -> dict[str, object]:
    if not spec:
        return {"color": NEUTRAL, "width": 8}
    if spec == best:
        return {"color": ACCENT, "width": 2}
    dash = DASHES[others.index(spec) % len(DASHES)]
    return {"color": NEUTRAL, "width": 1.2, "dash": dash}


def largest(losses: pd.DataFrame, best: str) -> str:
    """How far the best strategy's losses, else the farthest, are from the plain."""
    series = _series(losses)
    base = series.pop("", None)
    if base is None or not series:
        return "Only one run returned losses, so there is nothing to compare."
    gaps = {spec: _gaps(base, own) for spec, own in series.items()}
    farthest = max(gaps, key=lambda spec: gaps[spec].max() if len(gaps[spec]) else -1.0)
    spec = best if best in gaps else farthest
    lead = f"Losses of the plain script and of {strategies.named(spec)}"
    if gaps[spec].empty:
        return f"{lead} have no step in common."
    steps, at = count(len(gaps[spec]), "step"), int(gaps[spec].idxmax())
    gap, size = float(gaps[spec][at]), abs(float(base[at]))
    if not gap:
        return f"{lead} are the same to the last bit in all {steps}."
    if np.isinf(gap):
        return f"{lead} differ at step {at:,}: {base[at]:g} and {series[spec][at]:g}."
    part = f" ({gap / size:.1g} of the loss)" if size > 1e-300 else ""
    return f"{lead} differ by at most {gap:.2g}{part} at step {at:,} of {steps}."


def _gaps(base: pd.Series, own: pd.Series) -> pd.Series:
    """By step of both: how far apart; infinite where only one is a number."""
    both = base.index.intersection(own.index)
    a, b = base[both], own[both]
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = (b - a).abs().fillna(np.inf)
    return gaps.mask((a == b) | (a.isna() & b.isna()), 0.0)
