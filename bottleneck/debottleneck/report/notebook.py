"""A recording that shows itself in a notebook: its verdict, its table, its figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING

from markupsafe import Markup

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.measures import of_trainer
from debottleneck.prediction.verdict import judged
from debottleneck.recording.recording import Recording
from debottleneck.report import tables
from debottleneck.report.rows import ShownRows
from debottleneck.report.tables import Cell
from debottleneck.report.words.quantities import clean, in_order, percent
from debottleneck.report.words.run import ending

if TYPE_CHECKING:
    import plotly.graph_objects as go


LEAST_PIECE = 0.002
"""Of the step: a row that takes less is no piece of the bar."""

_OF_ROW = ("stage", "ms_per_step", "share")
_NOT_IN_NAMES = re.compile(r"[^\w. /-]+")
"""Letters that trackers refuse in names of metrics (MLflow takes the fewest)."""


@dataclass(frozen=True, eq=False, repr=False)
class Shown(Recording):
    """A recording as `load_recording` hands it out; it differs in how it is shown."""

    @classmethod
    def like(cls, recording: Recording) -> Shown:
        """The same recording, shown."""
        values = {f.name: getattr(recording, f.name) for f in fields(Recording)}
        return cls(**values)

    @cached_property
    def analysis(self) -> Analysis:
        """What `bottleneck report` would say of it, made when first asked for."""
        return judged(analyse(self))

    def figure(self, name: str = "timeline") -> go.Figure:
        """A plotly figure of the recording.

        Args:
            name: "steps", "timeline" (a typical step), "slowest"
                (the slowest step), "flame" (the heaviest row) or "flame:ROW".

        Raises:
            debottleneck.errors.UsageError: No such figure, or nothing was measured
                for it; its message names those there are.
        """
        from debottleneck.report.figures import catalogue

        return catalogue.of_run(self.analysis, name)

    def summary(self) -> dict[str, float]:
        """Numbers for a tracker of experiments, flat, with their units in the names.

        What was not measured is not there. Of each row and cause of the thread that
        trains "row/NAME/ms_per_step" and "row/NAME/share", "cause/NAME/share".
        """
        analysis = self.analysis
        loop, predicted = analysis.loop, analysis.predictions
        stages, waits = analysis.stages, of_trainer(analysis.causes)
        numbers = {"gil/handovers_per_s": analysis.handovers_per_s}
        if loop.found:
            numbers |= {
                "step/mean_ms": loop.step_ms,
                "step/low_ms": loop.step_low,
                "step/high_ms": loop.step_high,
                "step/median_ms": loop.step_median_ms,
                "step/p95_ms": loop.step_p95_ms,
                "step/measured_count": float(loop.measured),
            }
        for row, ms, share in zip(*map(stages.get, _OF_ROW), strict=True):
            place = f"row/{_NOT_IN_NAMES.sub('_', clean(row))}"
            numbers |= {f"{place}/ms_per_step": ms, f"{place}/share": share}
        for cause, share in waits.groupby("cause")["share"].sum().items():
            numbers[f"cause/{cause}/share"] = share
        if predicted is not None and predicted.best is not None:
            numbers["predicted/best_speedup_x"] = predicted.best.speedup
        known = {n: v for n, v in numbers.items() if v is not None and isfinite(v)}
        return {name: float(value) for name, value in known.items()}

    def _repr_html_(self) -> str:
        """What a notebook shows: three lines, and where the time goes."""
        return str(card(self.analysis))


def card(analysis: Analysis) -> Markup:
    """A bar, the verdict's lines, the row x cause table, without script or sheet."""
    verdict = analysis.verdict
    lines = {"What": verdict.what, "Where": verdict.where, "Do": verdict.action}
    lines["Note"] = verdict.note
    said = [("", ending(analysis)), *lines.items()]
    by = tables.row_causes if analysis.loop.found else tables.role_causes
    table = by(analysis)
    heads = Markup("").join(map(Markup("<th>{}</th>").format, _texts(table.headers)))
    rows = Markup("").join(map(_row, filter(None, (*table.rows, table.total))))
    return Markup(
        "<div>{}{}<table><caption>{}</caption><thead><tr>{}</tr></thead>"
        "<tbody>{}</tbody></table></div>"
    ).format(
        bar(analysis),
        Markup("").join(
            Markup("<div><b>{}</b> {}</div>").format(name, clean(text).replace("`", ""))
            for name, text in said
            if text
        ),
        table.caption,
        heads,
        rows,
    )


def bar(analysis: Analysis) -> Markup:
    """The step as one bar, a piece for each row in its colour; "" without steps."""
    shown, stages = ShownRows.of(analysis), analysis.stages
    shares = dict(zip(stages["stage"], stages["share"], strict=True))
    piece = Markup(
        '<div title="{0} {1}" style="flex:{2:.4f};background:{3};color:#fff;'
        'overflow:hidden;white-space:nowrap;padding:2px 0;text-align:center">{0}</div>'
    )
    pieces = [
        piece.format(clean(row), percent(share), share, shown.colour(row))
        for row in in_order(shares, analysis.row_names)
        if (share := float(shares[row])) >= LEAST_PIECE
    ]
    if not pieces:
        return Markup("")
    whole = Markup('<div style="display:flex;max-width:60em;gap:1px">{}</div>')
    return whole.format(Markup("").join(pieces))


def _texts(cells: Iterable[Cell]) -> Iterator[str]:
    return (clean(cell.text) for cell in cells)


def _row(cells: tuple[Cell, ...]) -> Markup:
    """A row; its first cell names it, with what its line says below."""
    first, *others = cells
    lead = "\N{NO-BREAK SPACE}" * 2 * first.depth
    name = Markup("{}{}").format(lead, first.text)
    if first.source:
        name += Markup("<br>{}<code>{}</code>").format(lead, clean(first.source))
    head = Markup('<th scope="row" style="text-align:left">{}</th>').format(name)
    rest = map(Markup("<td>{}</td>").format, _texts(others))
    return Markup("<tr>{}</tr>").format(Markup("").join((head, *rest)))
