"""A comparison as one HTML file: the verdict, the evidence for it, then details."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from debottleneck.analysis.result import Analysis
from debottleneck.recording.environment import Difference
from debottleneck.report import comparison_tables, matrix
from debottleneck.report.figures import flame, losses, timeline
from debottleneck.report.figures.catalogue import COMPARISON
from debottleneck.report.html import answers, sheet, source
from debottleneck.report.rows import ShownRows
from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import clean, number, table_digits
from debottleneck.report.words.run import ending, loop_lines, sentence
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Side, Sides, read

NO_LOOP = "No training loop was recognised in this recording."
FLAME_NODES = 2_400
"""Of all flame graphs of both recordings together."""


def render(comparison: Comparison, evidence: Sides | None = None) -> str:
    """The page.

    Raises:
        RecordingError: A row claims more than its interval shows.
    """
    comparison_words.check(comparison)
    shown = evidence or read(comparison, comparison_words.labels(comparison))
    drawing = sheet.Drawing()
    figures = {
        name.replace("-", "_"): drawing.place(name, entry, comparison, shown)
        for name, entry in COMPARISON.items()
    }
    context = {
        **_head(comparison, shown),
        **_steps(comparison, shown),
        **_findings(shown),
        "figures": figures,
        "largest": losses.largest(shown.measured.losses, comparison.best),
        "timeline": _timelines(shown, drawing),
        "strip_keys": drawing.keys("timeline", ShownRows.of(*_analyses(shown))),
        "flames": _flames(shown.sides, drawing),
    }
    return sheet.finish("comparison.html.j2", context, drawing)


def _head(comparison: Comparison, shown: Sides) -> dict[str, Any]:
    script = next(iter(comparison.command), "")
    doubts = [] if comparison.recorded else map(_doubt, shown.differences)
    return {
        "title": clean(PurePosixPath(script).name) or "a script",
        "command": " ".join(map(clean, comparison.command)),
        "created": clean(comparison.created),
        "headline": comparison_words.headline(comparison),
        "recorded": comparison.recorded,
        "timed": comparison.rounds and not comparison.recorded,
        "baseline": comparison_words.baseline(comparison),
        "answers": answers.answers(comparison, shown),
        "warnings": [
            *filter(None, doubts),
            *comparison_words.notes(comparison),
            *map(sentence, shown.gaps),
        ],
        "trials": comparison_tables.trials(comparison),
        "keep": "\n".join(map(clean, comparison.keep)),
        "run": clean(comparison.run),
        "environment": sheet.flat(comparison.environment),
        "differences": comparison_tables.differences(shown.differences),
    }


def _analyses(shown: Sides) -> list[Analysis]:
    """Of both sides; a row has one colour on the page."""
    return [side.analysis for side in shown.found]


def _doubt(difference: Difference) -> str:
    """What differs if it matters; notes of saved recordings say it themselves."""
    before, after = (x or "nothing" for x in (difference.before, difference.after))
    said = f"The recordings differ in {difference.what}: {before} before, {after} after"
    return sentence(said) if difference.matters else ""


def _steps(comparison: Comparison, shown: Sides) -> dict[str, Any]:
    """Both mean steps, on one scale."""
    with_loop = shown.found
    rows = ShownRows.of(*_analyses(shown))
    stages = [name for side in with_loop for name in side.analysis.stages.stage]
    causes = [c for side in with_loop for c in matrix.trainer_causes(side.analysis)]
    timed = {side.id: side.step_ms for side in with_loop}
    best, base = comparison_words.winner(comparison), comparison.baseline_ms
    if base is not None and best is not None and best.step_ms is not None:
        timed |= {"before": base.value, "after": best.step_ms}
    elif base is not None:
        timed["before"] = base.value
    longest = max(timed.values(), default=0.0)
    digits = table_digits(min(timed.values(), default=0.0))
    sides = [_summary(s, timed.get(s.id), longest, digits, rows) for s in shown.sides]
    return {
        "sides": sides,
        "picture": sheet.picture((s["ribbon"], float(s["part"])) for s in sides),
        "part": rows.noun,
        "found": len(with_loop),
        "stages": comparison_tables.stages(with_loop) if with_loop else None,
        "stage_key": rows.key(stages),
        "cause_key": sheet.causes(causes),
    }


def _summary(
    side: Side, step_ms: float | None, longest: float, digits: int, rows: ShownRows
) -> dict[str, Any]:
    """A side's mean step as a bar on the scale of the longest."""
    analysis = side.analysis
    return {
        "id": side.id,
        "label": side.label,
        "what": sentence(analysis.verdict.what),
        "lines": list(filter(None, [*loop_lines(analysis.loop)[:2], ending(analysis)])),
        "ribbon": sheet.ribbon(analysis, rows, step_ms),
        "ms": number(step_ms, digits),
        "part": f"{step_ms / longest:.4f}" if step_ms and longest else "1",
    }


def _timelines(shown: Sides, drawing: sheet.Drawing) -> list[dict[str, Any]]:
    """Each side's timeline with what it is of, or why there is none."""
    windows = timeline.windows_of(shown.found)
    cells: list[dict[str, Any]] = []
    for side in shown.sides:
        figure, note = drawing.figures.get(f"timeline-{side.id}"), ""
        if figure:
            note = timeline.in_words(side.analysis, windows[side.id])
            if left_out := figure.layout.meta["left_out"]:
                note += f"; {left_out} more threads are not drawn"
        none = "" if side.analysis.loop.found else NO_LOOP
        name = f"timeline_{side.id}"
        cells.append({"heading": side.label, "note": note, "name": name, "none": none})
    return cells


def _flames(shown: Sequence[Side], drawing: sheet.Drawing) -> list[dict[str, Any]]:
    """For each recording with stacks: stage -> its flame graph."""
    graphs = sum(len(flame.stages(side.analysis.flame)) for side in shown)
    most = min(flame.MOST_NODES, FLAME_NODES // max(1, graphs))
    flames = []
    for side in shown:
        prefix, lead = f"flame-{side.id}", f"{side.label}: "
        stages = drawing.flames(side.analysis, most, prefix, lead)
        flames.append({"id": side.id, "label": side.label, "stages": stages})
    return [one for one in flames if one["stages"]]


def _findings(shown: Sides) -> dict[str, Any]:
    """What held the plain script up, and why stacks or code are missing."""
    before = next((s.analysis for s in shown.sides if s.id == "before"), None)
    missing = [
        f"{side.label}: {reason}"
        for side in shown.sides
        if (reason := sheet.why_missing(side.analysis, "stack", "py-spy"))
    ]
    return {
        "no_stacks": next(iter(missing), ""),
        "findings": None if before is None else source.findings(before),
        "no_sources": before is not None and before.recording.sources.empty,
    }
