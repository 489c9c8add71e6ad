"""The page of a distributed run: its ranks side by side, a link to each one's own."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.ranks import Ranks
from debottleneck.report import rank_tables
from debottleneck.report.figures import ranks as figures
from debottleneck.report.html import sheet
from debottleneck.report.rows import ShownRows
from debottleneck.report.words import ranks as words
from debottleneck.report.words.quantities import clean, home, short


def render(ranks: Ranks) -> str:
    """The page."""
    drawing, facts = sheet.Drawing(), ranks.runs[0].analysis.recording.facts
    figure = figures.draw(ranks)
    drawn = figure and drawing.add("ranks", figure, figures.told(ranks))
    rows = ShownRows.of(*(run.analysis for run in ranks.runs))
    context: dict[str, Any] = {
        "title": short(facts.script, home(facts)) or "a run",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "verdict": words.verdict(ranks),
        "gaps": words.gaps(ranks),
        "table_of_ranks": rank_tables.ranks_table(ranks),
        "figure": drawn,
        "keys": drawing.keys("ranks", rows),
        "links": [
            (run.number, f"{run.folder}/report.html", words.waits(run))
            for run in ranks.runs
        ],
    }
    return sheet.finish("ranks.html.j2", context, drawing)
