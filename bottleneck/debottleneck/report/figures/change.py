"""What a strategy changed in the mean step: stage by cause, and cause by cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from debottleneck import words
from debottleneck.report.colours import cause_colour, ink_on
from debottleneck.report.figures.base import NEUTRAL, THOUSANDS, blank, plain, title
from debottleneck.report.figures.sides import causes_of
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


def bars(found: Sequence[Side]) -> go.Figure | None:
    """Two bars for each stage, before above after, split by cause, on one scale.

    Args:
        found: The sides with a training loop; one or two.

    Returns:
        None where no causes were measured.
    """
    tables = {side.id: causes_of(side.analysis) for side in found}
    known = [side for side in found if tables[side.id].size]
    if not known:
        return None
    stages = in_order((r for s in known for r in tables[s.id].index), words.STAGES)
    names = in_order((c for s in known for c in tables[s.id].columns), words.CAUSES)
    whole = {s.id: _filled(tables[s.id], stages, names) for s in known}
    figure = blank(PITCH * len(stages) + 56, barmode="stack", hovermode="closest")
    figure.update_layout(margin={"l": 8, "r": 66, "t": 4, "b": 48})
    at = {side.id: _places(len(stages), i, len(known)) for i, side in enumerate(known)}
    for cause in names:
        _one_cause(figure, cause, known, whole, at)
    _totals(figure, whole, at)
    _ticks(figure, known, stages, at)
    return figure


def _filled(table: pd.DataFrame, stages: list[str], causes: list[str]) -> pd.DataFrame:
    return table.reindex(index=stages, columns=causes).fillna(0.0)


def _places(stages: int, index: int, sides: int) -> list[float]:
    """The middles of one side's bars; a stage is 1 high."""
    return [stage + (index - (sides - 1) / 2) * 0.4 for stage in range(stages)]


def _one_cause(
    figure: go.Figure,
    cause: str,
    known: Sequence[Side],
    whole: dict[str, pd.DataFrame],
    at: dict[str, list[float]],
) -> None:
    digits = _digits(known)
    ms = [float(v) for side in known for v in whole[side.id][cause]]
    texts = [
        f"<b>{plain(stage)}</b>, {plain(cause)}<br>{number(v, digits)} ms per step, "
        f"{percent(v / side.step_ms if side.step_ms else None)} of it"
        f"<br>{plain(side.label)}"
        for side in known
        for stage, v in whole[side.id][cause].items()
    ]
    figure.add_bar(
        name=plain(cause),
        orientation="h",
        x=ms,
        y=[y for side in known for y in at[side.id]],
        width=0.36,
        customdata=texts,
        marker={"color": cause_colour(cause), "line": {"width": 0}},
        hovertemplate="%{customdata}<extra></extra>",
    )


def _digits(found: Sequence[Side]) -> int:
    return table_digits(max((side.step_ms for side in found), default=0.0))


def _totals(
    figure: go.Figure, whole: dict[str, pd.DataFrame], at: dict[str, list[float]]
) -> None:
    """Each bar's length in figures, at its end."""
    sums = [float(v) for table in whole.values() for v in table.sum(axis=1)]
    digits = table_digits(max(sums))
    places = [y for id in whole for y in at[id]]
    _write(figure, sums, places, [f"{number(v, digits)} ms" for v in sums])
    figure.update_xaxes(
        title=title("ms per step"),
        range=[0, max(sums) or 1.0],
        **THOUSANDS,
        zeroline=False,
        fixedrange=True,
        nticks=6,
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


def _ticks(
    figure: go.Figure,
    known: Sequence[Side],
    stages: list[str],
    at: dict[str, list[float]],
) -> None:
    names = [f"<b>{plain(stage)}</b>" for stage in stages]
    texts = dict(zip(at, [names] * len(known), strict=True))
    if len(known) > 1:
        first, second = known[0].id, known[1].id
        texts[first] = [f"{name} {TIMES[0]}" for name in names]
        texts[second] = [TIMES[1]] * len(stages)
    figure.update_yaxes(
        tickvals=[y for places in at.values() for y in places],
        ticktext=[text for id in at for text in texts[id]],
        range=[len(stages) - 0.5, -0.5],
        automargin=True,
        ticklabelstandoff=4,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )


@dataclass(frozen=True)
class Part:
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


def waterfall(found: Sequence[Side]) -> go.Figure | None:
    """From the old mean step to the new one, cause by cause; it adds up exactly.

    Args:
        found: The sides with a training loop.

    Returns:
        None unless there are two sides, both with causes.
    """
    if len(found) != 2:
        return None
    before, after = (causes_of(side.analysis).sum() for side in found)
    if before.empty or after.empty:
        return None
    changes = after.sub(before, fill_value=0.0)
    parts = _parts(changes, float(before.sum()), float(after.sum()))
    ends = (float(before.sum()), float(after.sum()))
    rows = [
        Part(TIMES[0], 0.0, ends[0], NEUTRAL, plain(found[0].label)),
        *parts,
        Part(TIMES[1], 0.0, ends[1], NEUTRAL, plain(found[1].label)),
    ]
    return _drawn(rows, table_digits(max(ends)))


def _parts(changes: pd.Series, first: float, last: float) -> list[Part]:
    """Changes one after the other, the largest gain first, tiny ones joined last."""
    least = TINY * max(first, last)
    moved = changes[changes != 0].sort_values(kind="stable")
    tiny = (moved.abs() < least) & (moved.index != "unattributed")
    if tiny.sum() < 2:
        tiny &= False
    rows = [(str(name), float(ms), "") for name, ms in moved[~tiny].items()]
    if tiny.any():
        names = ", ".join(in_order(map(str, moved.index[tiny]), words.CAUSES))
        rows.append((OTHERS, float(moved[tiny].sum()), names))
    parts: list[Part] = []
    level = first
    for name, ms, detail in rows:
        parts.append(Part(name, level, level + ms, cause_colour(name), detail))
        level += ms
    return parts


def _drawn(rows: list[Part], digits: int) -> go.Figure:
    figure = blank(BAR * len(rows) + 52, hovermode="closest", barmode="overlay")
    figure.update_layout(margin={"l": 8, "r": 76, "t": 4, "b": 48})
    said = [_said(row, digits) for row in rows]
    for index, (row, text) in enumerate(zip(rows, said, strict=True)):
        _one_part(figure, row, index, _hover(row, text))
    _steps_between(figure, rows)
    ends = [max(row.start, row.end) for row in rows]
    _write(figure, ends, list(range(len(rows))), said)
    _waterfall_axes(figure, rows, max(ends))
    return figure


def _one_part(figure: go.Figure, row: Part, index: int, text: str) -> None:
    """A bar; one that grows is hatched."""
    pattern = {"shape": "/", "fillmode": "overlay", "size": 7, "solidity": 0.25}
    ink = {"fgcolor": ink_on(row.colour), "fgopacity": 0.55}
    grows = row.change > 0 and row.name not in TIMES
    figure.add_bar(
        name=plain(row.name),
        orientation="h",
        base=[min(row.start, row.end)],
        x=[abs(row.change)],
        y=[index],
        width=0.62,
        customdata=[text],
        marker={
            "color": row.colour,
            "line": {"width": 0},
            "pattern": {**pattern, **ink} if grows else None,
        },
        hovertemplate="%{customdata}<extra></extra>",
    )


def _said(row: Part, digits: int) -> str:
    if row.name in TIMES:
        return f"{number(row.change, digits)} ms"
    sign = "+" if row.change > 0 else "-"
    return f"{sign}{number(abs(row.change), digits)} ms"


def _hover(row: Part, said: str) -> str:
    detail = f"<br>{plain(row.detail)}" if row.detail else ""
    if row.name in TIMES:
        return f"<b>{row.name}</b>: {said} per step<br>{row.detail}"
    return f"<b>{plain(row.name)}</b>: {said} per step{detail}"


def _steps_between(figure: go.Figure, rows: list[Part]) -> None:
    """Thin lines from where one bar ends to where the next begins."""
    x: list[float | None] = []
    y: list[float | None] = []
    for index, row in enumerate(rows[:-1]):
        x += [row.end, row.end, None]
        y += [index, index + 1, None]
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line={"width": 1, "color": NEUTRAL, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _waterfall_axes(figure: go.Figure, rows: list[Part], longest: float) -> None:
    figure.update_xaxes(
        title=title("ms per step"),
        range=[0, longest or 1.0],
        **THOUSANDS,
        zeroline=False,
        fixedrange=True,
        nticks=6,
    )
    names = [
        f"<b>{row.name}</b>" if row.name in TIMES else plain(row.name) for row in rows
    ]
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=names,
        range=[len(rows) - 0.5, -0.5],
        automargin=True,
        ticklabelstandoff=4,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
