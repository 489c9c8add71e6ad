"""What strategies cost: memory and CPU time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from debottleneck.report.figures.base import (
    ACCENT,
    LEVEL,
    NEUTRAL,
    add_rows,
    blank,
    named,
    signed,
    title,
)
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import number, table_digits
from debottleneck.trials.result import Comparison


def cost(comparison: Comparison) -> go.Figure | None:
    """Memory and CPU time per step of each strategy beside the plain script's.

    Returns:
        None where neither was measured.
    """
    ran = [t for t in comparison.trials if t.step_ms is not None]
    memory = [comparison.baseline_memory_mb, *(t.memory_mb for t in ran)]
    beyond = pd.Series(memory, name="memory", dtype="float64")
    beyond.iloc[1:] += beyond.iloc[0]
    cpu = [comparison.baseline_cpu_ms, *(t.cpu_ms for t in ran)]
    costs = (beyond, pd.Series(cpu, name="cpu", dtype="float64"))
    shown = [kind for kind in costs if kind.notna().any()]
    if not ran or not shown:
        return None
    figure = blank(100, barmode="overlay", margin={"l": 8, "r": 12, "t": 4, "b": 48})
    specs = [comparison_words.baseline(comparison), *(t.spec for t in ran)]
    middles = add_rows(figure, [named(spec, "") for spec in specs], band=26)
    width = 0.46 if len(shown) == 2 else 1.0
    for index, kind in enumerate(shown):
        start = index * (1.0 - width)
        _panel(figure, index, [start, start + width], middles, kind)
    return figure


def _panel(
    figure: go.Figure,
    index: int,
    domain: list[float],
    middles: list[float],
    costs: pd.Series,
) -> None:
    """The bars of one kind of cost on an axis of their own."""
    is_memory = costs.name == "memory"
    unit = "MB" if is_memory else "ms"
    axis = str(index + 1) if index else ""
    highest = float(costs.max())
    figure.update_layout(
        {
            f"xaxis{axis}": {
                "domain": domain,
                "title": title("peak memory, MB" if is_memory else "CPU ms per step"),
                "range": [0, 1.6 * highest or 1.0],
                "nticks": 4,
                **LEVEL,
            }
        }
    )
    values = costs.head(len(middles)).tolist()
    digits = 0 if is_memory else table_digits(highest)
    figure.add_bar(
        orientation="h",
        x=[0.0 if np.isnan(v) else v for v in values],
        y=middles,
        width=15,
        text=_differences(values, digits, unit),
        textposition="outside",
        cliponaxis=False,
        xaxis=f"x{axis}",
        customdata=[f"{number(v, digits)} {unit}" for v in values],
        marker={
            "color": [NEUTRAL] + [ACCENT] * (len(values) - 1),
            "line": {"width": 0},
        },
        hovertemplate="%{customdata}<extra></extra>",
    )


def _differences(values: Sequence[float], digits: int, unit: str) -> list[str]:
    """The plain script's value, and how much more or less the others need."""
    first, *others = values
    said = [f"{number(first, digits)} {unit}"]
    for value in others:
        unknown = np.isnan(value - first)
        more = f"{signed(value - first, digits, '+')} {unit}"
        said.append(number(value, digits) if unknown else more)
    return said
