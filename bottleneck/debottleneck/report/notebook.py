"""A recording that shows itself in a notebook: its verdict, its table, its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from markupsafe import Markup

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.prediction.verdict import judged
from debottleneck.recording.recording import Recording
from debottleneck.report import matrix
from debottleneck.report.words.quantities import clean
from debottleneck.report.words.run import ending

if TYPE_CHECKING:
    import plotly.graph_objects as go

NO_BREAK = "\N{NO-BREAK SPACE}"
WIDTH = 100
"""Characters that the table may take; small causes are summed into one column."""


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
            name: "causes", "steps", "distribution", "timeline" (a typical step),
                "slowest" (the slowest step), "flame" (the heaviest row),
                "flame:ROW" or "predictions" (what strategies should gain).

        Raises:
            debottleneck.errors.UsageError: No such figure, or nothing was measured
                for it; its message names those there are.
        """
        from debottleneck.report.figures import catalogue

        return catalogue.of_run(self.analysis, name)

    def _repr_html_(self) -> str:
        """What a notebook shows: three lines, and where the time goes."""
        return str(card(self.analysis))


def card(analysis: Analysis) -> Markup:
    """The verdict's lines above the row x cause table, without script or sheet."""
    verdict = analysis.verdict
    lines = {"What": verdict.what, "Where": verdict.where, "Do": verdict.action}
    lines["Note"] = verdict.note
    cut_off = ending(analysis)
    parts = [Markup("<div>{}</div>").format(clean(cut_off))] if cut_off else []
    parts += [
        Markup("<div><b>{}</b> {}</div>").format(name, clean(text))
        for name, text in lines.items()
        if text
    ]
    return Markup("<div>{}</div>").format(Markup("").join([*parts, _table(analysis)]))


def _table(analysis: Analysis) -> Markup:
    grid = matrix.of(analysis)
    cells, folded = matrix.fit(grid, WIDTH)
    says = zip_longest(cells.rows, grid.sources, fillvalue="")
    rows = [_row(row, "td", source) for row, source in says if row]
    rows += [_row(row, "td") for row in filter(None, [cells.total])]
    note = " ".join(filter(None, (folded, grid.note)))
    return Markup(
        '<table><caption style="text-align:left">{}. {}</caption>'
        "<thead>{}</thead><tbody>{}</tbody></table>"
    ).format(grid.title, note, _row(cells.headers, "th"), Markup("").join(rows))


def _row(cells: Sequence[str], kind: str, source: str = "") -> Markup:
    """A row; its first cell names it, with what its line says below."""
    scope = Markup(' scope="col"') if kind == "th" else Markup("")
    indent = NO_BREAK * (len(cells[0]) - len(cells[0].lstrip()))
    name = Markup("{}{}").format(indent, clean(cells[0].lstrip()))
    if source:
        name += Markup("<br>{}<code>{}</code>").format(indent, clean(source))
    first = (Markup("th"), scope or Markup(' scope="row"'), "left", name)
    rest = [(Markup(kind), scope, "right", clean(cell)) for cell in cells[1:]]
    written = Markup('<{0}{1} style="text-align:{2}">{3}</{0}>')
    row = Markup("").join(written.format(*cell) for cell in (first, *rest))
    return Markup("<tr>{}</tr>").format(row)
