"""A comparison as one HTML file: the verdict, the evidence for it, then details."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.recording.environment import Difference
from debottleneck.report.colours import CAUSE_COLOURS, STAGE_COLOURS
from debottleneck.report.figures import change, flame_change, losses, trials
from debottleneck.report.figures.sides import causes_of
from debottleneck.report.html import (
    answers,
    comparison_tables,
    sheet,
    side_by_side,
    source,
)
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import clean, number
from debottleneck.report.words.run import (
    STAGE_READINGS,
    ending,
    loop_lines,
    not_measured,
    sentence,
)
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Side, Sides, read
from debottleneck.version import __version__

STYLES = ("page.css", "source.css", "comparison.css")
PROGRAMS = ("page.js", "comparison.js")


def render(
    comparison: Comparison,
    evidence: Sides | None = None,
    plotly_src: str | None = None,
) -> str:
    """The page.

    Args:
        comparison: What was compared.
        evidence: What stands behind it; by default read from where it says.
        plotly_src: Where it finds plotly's script; by default it holds it itself.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    comparison_words.check(comparison)
    shown = evidence or read(comparison, comparison_words.labels(comparison))
    drawing = sheet.Drawing()
    context = {
        **_head(comparison, shown),
        **_evidence(comparison, shown, drawing),
        **_details(shown, drawing),
        "cost": _drawn(drawing, "cost", trials.cost(comparison)),
    }
    return sheet.finish(
        "comparison.html.j2",
        context,
        drawing,
        plotly_src,
        styles=STYLES,
        programs=PROGRAMS,
    )


def _head(comparison: Comparison, shown: Sides) -> dict[str, Any]:
    script = next(iter(comparison.command), "")
    return {
        "title": clean(PurePosixPath(script).name) or "a script",
        "command": " ".join(map(clean, comparison.command)),
        "created": clean(comparison.created),
        "version": __version__,
        "headline": comparison_words.headline(comparison),
        "recorded": comparison.recorded,
        "baseline": comparison_words.baseline(comparison),
        "answers": answers.answers(comparison, shown),
        "warnings": [
            *_doubts(comparison, shown),
            *comparison_words.notes(comparison),
            *map(sentence, shown.gaps),
        ],
        "trials": comparison_tables.trials(comparison),
        "predictions": comparison_tables.predictions(comparison),
        "keep": "\n".join(map(clean, comparison.keep)),
        "run": clean(comparison.run),
        "environment": sheet.flat(comparison.environment),
        "differences": comparison_tables.differences(shown.differences),
        "stage_readings": STAGE_READINGS,
        "cause_readings": words.CAUSE_READINGS,
    }


def _doubts(comparison: Comparison, shown: Sides) -> list[str]:
    """What differs and matters; notes of saved recordings say it themselves."""
    if comparison.recorded:
        return []
    return [_doubt(one) for one in shown.differences if one.matters]


def _doubt(found: Difference) -> str:
    return sentence(
        f"The recordings differ in {found.what}: {found.before or 'nothing'} before, "
        f"{found.after or 'nothing'} after"
    )


def _evidence(
    comparison: Comparison, shown: Sides, drawing: sheet.Drawing
) -> dict[str, Any]:
    """What shows the gain: both steps, their change, the trials, the losses."""
    found = shown.found
    stages = [name for side in found for name in side.analysis.stages.stage]
    causes = [name for side in found for name in causes_of(side.analysis).columns]
    curves = losses.curves(shown.measured, comparison.best)
    spread = trials.distribution(shown.measured, comparison)
    timelines, seen = side_by_side.timelines(shown.sides, drawing)
    return {
        "sides": [_summary(side, found) for side in shown.sides],
        "found": len(found),
        "stages": comparison_tables.stages(found) if found else None,
        "stage_key": sheet.coloured(stages, words.STAGES, STAGE_COLOURS),
        "cause_key": sheet.coloured(causes, words.CAUSES, CAUSE_COLOURS),
        "change": _drawn(drawing, "change", change.bars(found)),
        "waterfall": _drawn(drawing, "waterfall", change.waterfall(found)),
        "speedups": _drawn(drawing, "speedups", trials.speedups(comparison)),
        "distribution": _drawn(drawing, "distribution", spread),
        "losses": _drawn(drawing, "losses", curves[0] if curves else None),
        "largest": curves[1] if curves else "",
        "timelines": timelines,
        "strip_stages": _named(seen, words.STAGES, STAGE_COLOURS),
        "strip_causes": _named(seen, tuple(CAUSE_COLOURS), CAUSE_COLOURS),
    }


def _named(
    names: Iterable[str], known: Sequence[str], colours: Mapping[str, str]
) -> list[tuple[str, str]]:
    """A key of those names that are of one kind."""
    return sheet.coloured(set(names).intersection(known), known, colours)


def _drawn(drawing: sheet.Drawing, name: str, figure: go.Figure | None) -> str:
    """The figure's name on the page, "" where there is none."""
    return "" if figure is None else drawing.add(name, figure)


def _summary(side: Side, found: Sequence[Side]) -> dict[str, Any]:
    """A side's mean step as a bar on the scale of both."""
    longest = max((each.step_ms for each in found), default=0.0)
    analysis = side.analysis
    return {
        "id": side.id,
        "label": side.label,
        "what": sentence(analysis.verdict.what),
        "lines": list(filter(None, [*loop_lines(analysis.loop)[:1], ending(analysis)])),
        "ribbon": sheet.ribbon(analysis),
        "ms": number(side.step_ms) if side.step_ms else "",
        "part": f"{side.step_ms / longest:.4f}" if longest else "1",
    }


def _details(shown: Sides, drawing: sheet.Drawing) -> dict[str, Any]:
    before = next((s.analysis for s in shown.sides if s.id == "before"), None)
    return {
        "heats": side_by_side.heats(shown.sides, drawing),
        "bars": side_by_side.bars(shown.sides, drawing),
        "flame_change": _difference(shown.sides, drawing),
        "flames": side_by_side.flames(shown.sides, drawing),
        "no_stacks": _why(shown.sides, ("stack", "py-spy")),
        "findings": [_finding(one, before) for one in before.findings]
        if before
        else None,
        "no_sources": _no_sources(before),
    }


def _difference(sides: Sequence[Side], drawing: sheet.Drawing) -> str:
    if len(sides) < 2:
        return ""
    first, second = (side.analysis for side in sides[:2])
    return _drawn(drawing, "flame-change", flame_change.figure(first, second))


def _why(sides: Sequence[Side], hints: tuple[str, ...]) -> str:
    """Why a kind of measurement is missing, of the first recording that says so."""
    for side in sides:
        for gap in side.analysis.not_measured:
            if any(hint in gap.what.lower() for hint in hints):
                return f"{side.label}: {not_measured(gap)}"
    return ""


def _finding(finding: Finding, analysis: Analysis) -> Mapping[str, Any]:
    return {"it": finding, "code": source.code_of(analysis, finding)}


def _no_sources(before: Analysis | None) -> str:
    """Why findings stand without code, "" where some is there."""
    if before is None or not before.findings or len(before.recording.sources):
        return ""
    return "The recording holds no lines of source, so places are only named."
