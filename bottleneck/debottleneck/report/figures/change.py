"""What a strategy changed in the mean step: row by cause, and cause by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.report import matrix
from debottleneck.report.colours import cause_colour, ink_on
from debottleneck.report.figures.base import (
    LEVEL,
    NEUTRAL,
    add_line,
    blank,
    plain,
    said,
    signed,
    title,
)
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import in_order, number, percent, table_digits
from debottleneck.trials.sides import Side

PITCH = 40
"""Pixels of a stage: two bars."""

BAR = 30
"""Pixels of a row of the waterfall."""

TINY = 0.01
"""A change of less than this share of the longer step joins OTHERS."""

OTHERS = "other causes"
TIMES = ("before", "after")


def bars(sides: Sequence[Side]) -> go.Figure | None:
    """Two bars for each row, before above after, split by cause, on one scale.

    Args:
        sides: Those with a training loop; one or two.

    Returns:
        None where no causes were measured.
    """
    pairs = [(side, matrix.trainer_causes(side.analysis)) for side in sides]
    pairs = [(side, table) for side, table in pairs if table.size]
    if not pairs:
        return None
    shown = ShownRows.of(*(side.analysis for side, _ in pairs))
    stages = in_order((r for _, t in pairs for r in t.index), shown.order)
    causes = in_order((c for _, t in pairs for c in t.columns), words.CAUSES)
    margin = {"l": 8, "r": 66, "t": 4, "b": 48}
    figure = blank(PITCH * len(stages) + 56, barmode="stack", margin=margin)
    rows = pd.concat(
        _rows_of(
            side,
            table.reindex(index=stages, columns=causes),
            (index, len(pairs)),
            shown,
        )
        for index, (side, table) in enumerate(pairs)
    )
    digits = table_digits(max(side.step_ms for side, _ in pairs))
    for cause in causes:
        _one_cause(figure, cause, rows, digits, shown)
    sums = rows[causes].sum(axis=1)
    texts = [f"{number(v, table_digits(sums.max()))} ms" for v in sums]
    _write(figure, sums.tolist(), rows.y.tolist(), texts)
    _axes(figure, float(sums.max()), rows.y.tolist(), rows.tick.tolist(), len(stages))
    return figure


def _rows_of(
    side: Side, table: pd.DataFrame, place: tuple[int, int], shown: ShownRows
) -> pd.DataFrame:
    """A side's bars: causes in ms, and where they lie (a row is 1 high).

    `place` is which side it is, and of how many.
    """
    index, sides = place
    names = [f"<b>{plain(shown.short(row))}</b>" for row in table.index]
    ticks = names
    if sides > 1:
        ticks = [TIMES[1] if index else f"{name} {TIMES[0]}" for name in names]
    return table.fillna(0.0).assign(
        y=[stage + (index - (sides - 1) / 2) * 0.4 for stage in range(len(table))],
        tick=ticks,
        name=names,
        label=plain(side.label),
        step_ms=side.step_ms or float("nan"),
    )


def _one_cause(
    figure: go.Figure, cause: str, rows: pd.DataFrame, digits: int, shown: ShownRows
) -> None:
    columns = (rows[cause], rows.index, rows.name, rows.label, rows.step_ms)
    texts = [
        f"{name}, {plain(cause)}<br>{number(ms, digits)} ms per step, "
        f"{percent(ms / step_ms)} of it<br>{label}{said(shown, row)}"
        for ms, row, name, label, step_ms in zip(*columns, strict=True)
    ]
    figure.add_bar(
        name=plain(cause),
        orientation="h",
        x=rows[cause].tolist(),
        y=rows.y.tolist(),
        width=0.36,
        customdata=texts,
        marker={"color": cause_colour(cause), "line": {"width": 0}},
        hovertemplate="%{customdata}<extra></extra>",
    )


def _write(
    figure: go.Figure, x: Sequence[float], y: Sequence[float], texts: Sequence[str]
) -> None:
    """Texts right of the ends of bars; the margin may hold them."""
    figure.add_scatter(
        x=x,
        y=y,
        text=[f" {text}" for text in texts],
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )


def _axes(
    figure: go.Figure,
    longest: float,
    places: Sequence[float],
    names: Sequence[str],
    rows: int,
) -> None:
    """Milliseconds from 0 on, and the names of bars from the top down."""
    span = [0, longest or 1.0]
    figure.update_xaxes(title=title("ms per step"), range=span, nticks=6, **LEVEL)
    figure.update_yaxes(
        tickvals=places,
        ticktext=names,
        range=[rows - 0.5, -0.5],
        automargin=True,
        ticklabelstandoff=4,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )


@dataclass(frozen=True)
class WaterfallRow:
    """One row of the waterfall: from `start` to `end` milliseconds."""

    name: str
    start: float
    end: float
    colour: str
    detail: str = ""

    @property
    def change(self) -> float:
        """Negative where time was gained."""
        return self.end - self.start

    @property
    def is_step(self) -> bool:
        """Whether it is a whole step, not what became of a cause."""
        return self.name in TIMES

    def said(self, digits: int) -> str:
        """Its length, of a change with its sign."""
        length = number if self.is_step else signed
        return f"{length(self.change, digits)} ms"


def waterfall(sides: Sequence[Side]) -> go.Figure | None:
    """From the old mean step to the new one, cause by cause; it adds up exactly.

    Args:
        sides: Those with a training loop.

    Returns:
        None unless there are two sides, both with causes.
    """
    if len(sides) != 2:
        return None
    before, after = (matrix.trainer_causes(side.analysis).sum() for side in sides)
    if before.empty or after.empty:
        return None
    ends = (float(before.sum()), float(after.sum()))
    first, last = (
        WaterfallRow(name, 0.0, end, NEUTRAL, plain(side.label))
        for name, end, side in zip(TIMES, ends, sides, strict=True)
    )
    rows = [first, *_changes(after.sub(before, fill_value=0.0), *ends), last]
    return _drawn(rows, table_digits(max(ends)))


def _changes(changes: pd.Series, first: float, last: float) -> list[WaterfallRow]:
    """Changes one after the other, the largest gain first, tiny ones joined last."""
    moved = changes[changes != 0].sort_values(kind="stable")
    tiny = (moved.abs() < TINY * max(first, last)) & (moved.index != "unattributed")
    if tiny.sum() < 2:
        tiny &= False
    named = [(str(name), float(ms), "") for name, ms in moved[~tiny].items()]
    if tiny.any():
        names = ", ".join(in_order(map(str, moved.index[tiny]), words.CAUSES))
        named.append((OTHERS, float(moved[tiny].sum()), names))
    rows: list[WaterfallRow] = []
    level = first
    for name, ms, detail in named:
        rows.append(WaterfallRow(name, level, level + ms, cause_colour(name), detail))
        level += ms
    return rows


def _drawn(rows: list[WaterfallRow], digits: int) -> go.Figure:
    margin = {"l": 8, "r": 76, "t": 4, "b": 48}
    figure = blank(BAR * len(rows) + 52, barmode="overlay", margin=margin)
    for index, row in enumerate(rows):
        _one_row(figure, row, index, digits)
    _steps_between(figure, rows)
    ends = [max(row.start, row.end) for row in rows]
    places = list(range(len(rows)))
    names = [f"<b>{row.name}</b>" if row.is_step else plain(row.name) for row in rows]
    _write(figure, ends, places, [row.said(digits) for row in rows])
    _axes(figure, max(ends), places, names, len(rows))
    return figure


def _one_row(figure: go.Figure, row: WaterfallRow, index: int, digits: int) -> None:
    """A bar; one that grows is hatched."""
    pattern = {"shape": "/", "fillmode": "overlay", "size": 7, "solidity": 0.25}
    ink = {"fgcolor": ink_on(row.colour), "fgopacity": 0.55}
    grows = row.change > 0 and not row.is_step
    detail = f"<br>{row.detail}" if row.detail else ""
    figure.add_bar(
        name=plain(row.name),
        orientation="h",
        base=[min(row.start, row.end)],
        x=[abs(row.change)],
        y=[index],
        width=0.62,
        customdata=[f"<b>{plain(row.name)}</b>: {row.said(digits)} per step{detail}"],
        marker={
            "color": row.colour,
            "line": {"width": 0},
            "pattern": {**pattern, **ink} if grows else None,
        },
        hovertemplate="%{customdata}<extra></extra>",
    )


def _steps_between(figure: go.Figure, rows: list[WaterfallRow]) -> None:
    """Thin lines from where one bar ends to where the next begins."""
    x: list[float | None] = []
    y: list[float | None] = []
    for index, row in enumerate(rows[:-1]):
        x += [row.end, row.end, None]
        y += [index, index + 1, None]
    add_line(figure, x, y, width=1, showlegend=False)
