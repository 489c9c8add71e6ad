"""A recording that shows itself in a notebook: its verdict, its table, its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from markupsafe import Markup

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.prediction.predict import with_predictions
from debottleneck.recording.recording import Recording
from debottleneck.report import tables
from debottleneck.report.tables import Cell
from debottleneck.report.words.quantities import clean
from debottleneck.report.words.run import ending

if TYPE_CHECKING:
    import plotly.graph_objects as go


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
        return analyse(self)

    @cached_property
    def _predicted(self) -> Analysis:
        """The same with predictions, which nothing else that is shown here needs."""
        return with_predictions(self.analysis)

    def figure(self, name: str = "timeline") -> go.Figure:
        """A plotly figure of the recording.

        Args:
            name: "causes", "steps", "distribution", "timeline" (a typical step),
                "slowest" (the slowest step), "flame" (the heaviest row),
                "flame:ROW" or "predictions" (what strategies should gain; it
                takes some seconds).

        Raises:
            debottleneck.errors.UsageError: No such figure, or nothing was measured
                for it; its message names those there are.
        """
        from debottleneck.report.figures import catalogue

        predicted = name == catalogue.PREDICTIONS
        return catalogue.of_run(self._predicted if predicted else self.analysis, name)

    def _repr_html_(self) -> str:
        """What a notebook shows: three lines, and where the time goes."""
        return str(card(self.analysis))


def card(analysis: Analysis) -> Markup:
    """The verdict's lines above the row x cause table, without script or sheet."""
    verdict = analysis.verdict
    lines = {"What": verdict.what, "Where": verdict.where, "Do": verdict.action}
    said = [("", ending(analysis)), *lines.items()]
    by = tables.row_causes if analysis.loop.found else tables.role_causes
    table = by(analysis)
    heads = Markup("").join(map(Markup("<th>{}</th>").format, _texts(table.headers)))
    rows = Markup("").join(map(_row, filter(None, (*table.rows, table.total))))
    return Markup(
        "<div>{}<table><caption>{}</caption><thead><tr>{}</tr></thead>"
        "<tbody>{}</tbody></table></div>"
    ).format(
        Markup("").join(
            Markup("<div><b>{}</b> {}</div>").format(name, clean(text).replace("`", ""))
            for name, text in said
            if text
        ),
        table.caption,
        heads,
        rows,
    )


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
