"""Loss curves of the plain script and of each strategy, on top of each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.report.figures.base import ACCENT, NEUTRAL, blank, title, wrapped
from debottleneck.report.words import strategies
from debottleneck.report.words.quantities import count
from debottleneck.trials.save import Measurements

MOST_POINTS = 400
PLAIN = "plain script"
DASHES = ("dash", "dot", "dashdot", "longdash")
OTHERS = "other strategies"


def curves(measured: Measurements, best: str) -> tuple[go.Figure, str] | None:
    """Loss by step, and a sentence on the largest difference to the plain script.

    The plain script's curve is wide and pale, the others lie on it, thin: where they
    are the same both are seen.

    Args:
        measured: The comparison's measurements; `losses` is drawn.
        best: The spec of the strategy to emphasise, "" without a winner; then the
            sentence is on the one that differs most.

    Returns:
        None where no losses are known.
    """
    by_spec = {str(s): part for s, part in measured.losses.groupby("spec", sort=False)}
    series = {spec: _series(part) for spec, part in by_spec.items()}
    if not any(np.isfinite(values).any() for values in series.values()):
        return None
    figure = blank(300, hovermode="closest")
    figure.update_layout(
        showlegend=len(series) > 1,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        margin={"l": 8, "r": 12, "t": 8, "b": 48},
    )
    others = [spec for spec in series if spec not in ("", best)]
    for order, spec in enumerate(s for s in ("", *others, best) if s in series):
        if spec or order == 0:
            _curve(figure, spec, series[spec], best, others)
    figure.update_xaxes(title=title("step"), zeroline=False, nticks=8, tickformat=",d")
    figure.update_yaxes(title=title("loss"), automargin=True, zeroline=False)
    return figure, _sentence(series, best)


def _series(part: pd.DataFrame) -> pd.Series:
    """Values by step; of a step that came twice, the last."""
    last = part.drop_duplicates("step", keep="last").set_index("step").sort_index()
    return last.value.astype("float64")


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


def _sentence(series: dict[str, pd.Series], best: str) -> str:
    """What the largest difference to the plain script is, and at which step."""
    base = series.get("")
    others = {spec: values for spec, values in series.items() if spec}
    if base is None or not others:
        return "Only one run returned losses, so there is nothing to compare."
    chosen = best if best in others else _farthest(base, others)
    return _difference(base, others[chosen], chosen)


def _farthest(base: pd.Series, others: dict[str, pd.Series]) -> str:
    def largest(spec: str) -> float:
        both = base.index.intersection(others[spec].index)
        gaps = _gaps(base[both], others[spec][both])
        return float(gaps.max()) if len(gaps) else -1.0

    return max(others, key=largest)


def _gaps(plain_values: pd.Series, own: pd.Series) -> pd.Series:
    """How far apart, 0 for the same value; infinite where only one is a number."""
    a, b = plain_values.to_numpy(), own.to_numpy()
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(b - a)
    return pd.Series(
        np.where(same, 0.0, np.where(np.isnan(gaps), np.inf, gaps)),
        index=plain_values.index,
    )


def _difference(base: pd.Series, own: pd.Series, spec: str) -> str:
    both = base.index.intersection(own.index)
    steps = count(len(both), "step")
    lead = f"Losses of the plain script and of {strategies.named(spec)}"
    if not len(both):
        return f"{lead} have no step in common."
    gaps = _gaps(base[both], own[both])
    if not gaps.any():
        return f"{lead} are the same to the last bit in all {steps}."
    at = int(gaps.idxmax())
    if np.isinf(gaps[at]):
        return f"{lead} differ at step {at:,}: {base[at]:g} and {own[at]:g}."
    size = abs(float(base[at]))
    part = f" ({gaps[at] / size:.1g} of the loss)" if size else ""
    return f"{lead} differ by at most {gaps[at]:.2g}{part} at step {at:,} of {steps}."
