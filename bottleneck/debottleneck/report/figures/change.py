"""What a strategy changed in the mean step: row by cause, and cause by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    digits = table_digits(max(side.step_ms for side, _ in pairs))
    figure = blank(PITCH * len(stages) + 56, barmode="stack")
    ticks: dict[float, str] = {}
    sums: dict[float, float] = {}
    for index, (side, table) in enumerate(pairs):
        ms = table.reindex(index=stages, columns=causes).fillna(0.0)
        places = [at + (index - (len(pairs) - 1) / 2) * 0.4 for at in range(len(ms))]
        names = [f"<b>{plain(shown.short(row))}</b>" for row in stages]
        befores = [f"{name} {TIMES[0]}" for name in names] if pairs[1:] else names
        ticks |= zip(places, [TIMES[1]] * len(ms) if index else befores, strict=True)
        sums |= zip(places, ms.sum(axis=1), strict=True)
        for cause in causes:
            texts = [
                f"{name}, {plain(cause)}<br>{number(value, digits)} ms per step, "
                f"{percent(value / (side.step_ms or float('nan')))} of it<br>"
                f"{plain(side.label)}{said(shown, row)}"
                for name, row, value in zip(names, stages, ms[cause], strict=True)
            ]
            _bar(figure, cause, ms[cause].tolist(), places, texts, 0.36)
    length = table_digits(max(sums.values()))
    ends = [f"{number(value, length)} ms" for value in sums.values()]
    return _finished(figure, sums, ticks, ends, len(stages))


def _bar(
    figure: go.Figure,
    cause: str,
    x: Sequence[float],
    y: Sequence[float],
    texts: Sequence[str],
    width: float,
    **more: Any,
) -> None:
    """Bars of one colour, and what is said of each under the pointer."""
    figure.add_bar(
        name=plain(cause),
        orientation="h",
        x=x,
        y=y,
        width=width,
        customdata=texts,
        hovertemplate="%{customdata}<extra></extra>",
        **{"marker": {"color": cause_colour(cause), "line": {"width": 0}}, **more},
    )


def _finished(
    figure: go.Figure,
    ends: dict[float, float],
    names: dict[float, str],
    texts: Sequence[str],
    rows: int,
) -> go.Figure:
    """With milliseconds from 0 on, names of bars from the top down, texts at ends."""
    figure.add_scatter(
        x=list(ends.values()),
        y=list(ends),
        text=[f" {text}" for text in texts],
        mode="text",
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    figure.update_layout(margin={"l": 8, "r": 76, "t": 4, "b": 48})
    span = {"range": [0, max(ends.values()) or 1.0], "nticks": 6, **LEVEL}
    figure.update_xaxes(title=title("ms per step"), **span)
    bare = {"showgrid": False, "zeroline": False, "fixedrange": True}
    return figure.update_yaxes(
        tickvals=list(names),
        ticktext=list(names.values()),
        range=[rows - 0.5, -0.5],
        automargin=True,
        ticklabelstandoff=4,
        **bare,
    )


@dataclass(frozen=True)
class WaterfallRow:
    """One row of the waterfall: from `start` to `end` milliseconds."""

    name: str
    start: float
    end: float
    detail: str = ""

    @property
    def change(self) -> float:
        """Negative where time was gained."""
        return self.end - self.start

    def said(self, digits: int) -> str:
        """Its length; of a change with its sign."""
        length = number if self.name in TIMES else signed
        return f"{length(self.change, digits)} ms"


def waterfall(sides: Sequence[Side]) -> go.Figure | None:
    """From the old mean step to the new one, cause by cause; it adds up exactly.

    Returns:
        None unless there are two sides, both with causes.
    """
    if len(sides) != 2:
        return None
    before, after = (matrix.trainer_causes(side.analysis).sum() for side in sides)
    if before.empty or after.empty:
        return None
    first, last = (
        WaterfallRow(name, 0.0, float(causes.sum()), plain(side.label))
        for name, causes, side in zip(TIMES, (before, after), sides, strict=True)
    )
    changes = _changes(after.sub(before, fill_value=0.0), first.end, last.end)
    rows = [first, *changes, last]
    digits = table_digits(max(first.end, last.end))
    figure = blank(BAR * len(rows) + 52, barmode="overlay")
    for index, row in enumerate(rows):
        text = f"<b>{plain(row.name)}</b>: {row.said(digits)} per step"
        text += f"<br>{row.detail}" * bool(row.detail)
        x, base = [abs(row.change)], [min(row.start, row.end)]
        _bar(figure, row.name, x, [index], [text], 0.62, base=base, marker=_look(row))
    joints = [v for row in rows[:-1] for v in (row.end, row.end, None)]
    places = [v for index in range(len(rows) - 1) for v in (index, index + 1, None)]
    add_line(figure, joints, places, width=1, showlegend=False)
    ends = {float(i): max(row.start, row.end) for i, row in enumerate(rows)}
    bold = ("<b>{}</b>" if row.name in TIMES else "{}" for row in rows)
    names = [b.format(plain(row.name)) for b, row in zip(bold, rows, strict=True)]
    ticks = dict(zip(ends, names, strict=True))
    return _finished(figure, ends, ticks, [r.said(digits) for r in rows], len(rows))


def _look(row: WaterfallRow) -> dict[str, Any]:
    """A bar that grows is hatched."""
    colour = NEUTRAL if row.name in TIMES else cause_colour(row.name)
    ink = {"fgcolor": ink_on(colour), "fgopacity": 0.55, "fillmode": "overlay"}
    hatched = {"shape": "/", "size": 7, "solidity": 0.25, **ink}
    grows = row.change > 0 and row.name not in TIMES
    pattern = hatched if grows else None
    return {"color": colour, "line": {"width": 0}, "pattern": pattern}


def _changes(changes: pd.Series, first: float, last: float) -> list[WaterfallRow]:
    """Changes one after the other, the largest gain first, tiny ones joined last."""
    moved = changes[changes != 0].sort_values(kind="stable")
    tiny = (moved.abs() < TINY * max(first, last)) & (moved.index != "unattributed")
    tiny &= tiny.sum() > 1
    named = [(str(name), float(ms), "") for name, ms in moved[~tiny].items()]
    if tiny.any():
        names = ", ".join(in_order(map(str, moved.index[tiny]), words.CAUSES))
        named.append((OTHERS, float(moved[tiny].sum()), names))
    rows: list[WaterfallRow] = []
    level = first
    for name, ms, detail in named:
        rows.append(WaterfallRow(name, level, level + ms, detail))
        level += ms
    return rows
