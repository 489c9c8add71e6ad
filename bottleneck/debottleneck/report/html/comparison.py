"""A comparison as one HTML file: its table, and both recordings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from debottleneck import words
from debottleneck.report import comparison_words
from debottleneck.report.colours import CAUSE_COLOURS, STAGE_COLOURS
from debottleneck.report.evidence import Evidence, Side, read
from debottleneck.report.figures import sides as pair_figures
from debottleneck.report.figures.sides import causes_of
from debottleneck.report.html import comparison_tables, sheet
from debottleneck.report.quantities import clean, number
from debottleneck.report.sentences import ending, loop_lines
from debottleneck.trials.result import Comparison
from debottleneck.version import __version__

NO_LOOP = "No training loop was recognised in this recording."


def render(comparison: Comparison, evidence: Evidence | None = None) -> str:
    """The sheet.

    Args:
        comparison: What was compared.
        evidence: What stands behind it; by default read from where it says.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    comparison_words.check(comparison)
    shown = read(comparison) if evidence is None else evidence
    drawing = sheet.Drawing()
    context = {
        **_head(comparison),
        **_sides(shown.sides, drawing),
        "gaps": shown.gaps,
    }
    made = sheet.environment().get_template("comparison.html.j2")
    text = made.render(
        **context,
        css=sheet.asset("page.css") + sheet.asset("comparison.css"),
        script=sheet.asset("page.js"),
        plotly=Markup(get_plotlyjs()),
        data=sheet.data(drawing.figures),
    )
    return text.encode("utf-8", "replace").decode("utf-8")


def _head(comparison: Comparison) -> dict[str, Any]:
    script = next(iter(comparison.command), "")
    return {
        "title": clean(PurePosixPath(script).name) or "a script",
        "command": " ".join(map(clean, comparison.command)),
        "created": clean(comparison.created),
        "version": __version__,
        "headline": comparison_words.headline(comparison),
        "basis": comparison_words.basis(comparison),
        "notes": comparison_words.notes(comparison),
        "trials": comparison_tables.trials(comparison),
        "keep": "\n".join(map(clean, comparison.keep)),
        "run": clean(comparison.run),
        "environment": sheet.flat(comparison.environment),
    }


def _sides(sides: Sequence[Side], drawing: sheet.Drawing) -> dict[str, Any]:
    found = [side for side in sides if side.analysis.loop.found]
    stages = [name for side in found for name in side.analysis.stages.stage]
    causes = [name for side in found for name in causes_of(side.analysis).columns]
    return {
        "sides": [_summary(side, found) for side in sides],
        "stages": comparison_tables.stages(found) if found else None,
        "stage_key": sheet.coloured(stages, words.STAGES, STAGE_COLOURS),
        "cause_key": sheet.coloured(causes, words.CAUSES, CAUSE_COLOURS),
        "heats": _figures("heat", sides, pair_figures.heats(found), drawing),
        "bars": _figures("bars", sides, pair_figures.bars(found), drawing),
        "timelines": _figures(
            "timeline", sides, pair_figures.timelines(found), drawing
        ),
    }


def _summary(side: Side, found: Sequence[Side]) -> dict[str, Any]:
    """A side's verdict, and its mean step as a bar on the scale of both."""
    longest = max((each.step_ms for each in found), default=0.0)
    analysis = side.analysis
    lines = [*loop_lines(analysis.loop)[:1], ending(analysis)]
    return {
        "id": side.id,
        "label": side.label,
        "what": analysis.verdict.what,
        "lines": list(filter(None, lines)),
        "ribbon": sheet.ribbon(analysis),
        "ms": number(side.step_ms) if side.step_ms else "",
        "part": f"{side.step_ms / longest:.4f}" if longest else "1",
    }


def _figures(
    kind: str, sides: Sequence[Side], drawn: pair_figures.Drawn, drawing: sheet.Drawing
) -> list[dict[str, str]]:
    """A cell for each side: its figure's name, or why there is none."""
    cells = []
    for side in sides:
        figure, note = drawn.get(side.id, (None, ""))
        name = "" if figure is None else drawing.add(f"{kind}-{side.id}", figure)
        none = "" if side.analysis.loop.found else NO_LOOP
        cells.append({"label": side.label, "name": name, "note": note, "none": none})
    return cells
