"""The report as one HTML file that needs no network: the page and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from debottleneck.analysis.result import Analysis, VirtualSpeedups
from debottleneck.analysis.rules.wording import DOING
from debottleneck.report import matrix, tables
from debottleneck.report.colours import (
    BLOCK_COLOURS,
    BLOCK_NAMES,
)
from debottleneck.report.figures import flame, steps, timeline
from debottleneck.report.figures.catalogue import RUN
from debottleneck.report.html import predictions, sheet, source
from debottleneck.report.prediction_tables import faster
from debottleneck.report.rows import ShownRows
from debottleneck.report.words import faster as words
from debottleneck.report.words.quantities import (
    clean,
    count,
    home,
    number,
    percent,
    short,
)
from debottleneck.report.words.run import basis_lines, ending, handovers

FLAME_NODES = 2_400
"""Of all flame graphs: beyond, the page grows and scripts slow down."""

WINDOWS = {
    "typical": ("timeline", "A typical step"),
    "slowest": ("slowest", "The slowest step"),
}


def render(analysis: Analysis) -> str:
    """The page."""
    drawing, predicted = sheet.Drawing(), analysis.predictions
    context = {
        **_head(analysis),
        "predicted": predicted and predictions.section(predicted, analysis.recording),
        "faster": analysis.faster and _faster(analysis, analysis.faster, drawing),
        **_step_sections(analysis, drawing),
        **_code_sections(analysis, drawing),
        **_tail(analysis),
    }
    return sheet.finish("run.html.j2", context, drawing)


def _faster(
    analysis: Analysis, found: VirtualSpeedups, drawing: sheet.Drawing
) -> dict[str, Any]:
    return {
        "title": words.TITLE,
        "figure": drawing.place("faster", RUN["faster"], analysis),
        "table": faster(found),
        "sentences": [words.sentence(row) for row in found.rows],
        "notes": words.notes(found),
    }


def _head(analysis: Analysis) -> dict[str, Any]:
    facts = analysis.recording.facts
    ribbon = sheet.ribbon(analysis, ShownRows.of(analysis))
    return {
        "title": short(facts.script, home(facts)) or "a run",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "seconds": number((facts.end_ns - facts.start_ns) / 1e9),
        "verdict": analysis.verdict,
        "training": analysis.loop,
        "loop_lines": basis_lines(analysis),
        "cut_off": ending(analysis),
        "ribbon": ribbon,
        "picture": sheet.picture([(ribbon, 1.0)]),
        "stake": _stake(analysis),
        "findings": source.findings(analysis),
    }


def _stake(analysis: Analysis) -> tuple[str, str] | None:
    """The headline's share of the step and what it goes to, if that is what it says."""
    first = next(iter(analysis.findings), None)
    if first is None or not first.cause:
        return None
    share = percent(first.share, 0)
    return (share, DOING[first.cause]) if share in analysis.verdict.what else None


def _step_sections(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    loop, rows = analysis.loop, ShownRows.of(analysis)
    values = (
        matrix.trainer_causes(analysis) if loop.found else matrix.pivot(analysis.causes)
    )
    large = (analysis.stages.share >= matrix.SMALL) | (not rows.sources)
    stage_causes = tables.row_causes(analysis) if loop.found else None
    role_causes = tables.role_causes(analysis)
    return {
        "unit": loop.unit,
        "stage_causes": stage_causes,
        "role_causes": role_causes,
        "measured": role_causes.rows or (stage_causes and stage_causes.rows),
        **_steps(analysis, drawing),
        "timelines": _timelines(analysis, drawing),
        "part": rows.noun,
        "stage_key": rows.key(analysis.stages.stage[large]),
        "cause_key": sheet.causes(values.columns),
    }


def _steps(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    blocks = set(analysis.steps.block)
    return {
        "bars": drawing.place("steps", RUN["steps"], analysis),
        "per_bar": steps.per_bar(analysis),
        "all_steps": count(len(analysis.steps), "step"),
        "block_key": [
            (name, BLOCK_COLOURS[b], "")
            for b, name in BLOCK_NAMES.items()
            if b in blocks
        ],
    }


def _timelines(analysis: Analysis, drawing: sheet.Drawing) -> list[dict[str, Any]]:
    strips = []
    for name, window in timeline.windows(analysis).items():
        figure, title = WINDOWS[name]
        placed = drawing.place(figure, RUN[figure], analysis)
        strips.append(
            {
                "title": title,
                "note": timeline.in_words(analysis, window),
                "figure": placed,
                "keys": drawing.keys(figure, ShownRows.of(analysis)),
                "left_out": drawing.figures[figure].layout.meta["left_out"],
            }
        )
    return strips


def _code_sections(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    graphs = len(flame.stages(analysis.flame))
    rate = analysis.handovers_per_s
    return {
        "flames": drawing.flames(
            analysis, min(flame.MOST_NODES, FLAME_NODES // max(1, graphs))
        ),
        "sections": (
            ("lines", "Lines of your code", tables.lines(analysis)),
            ("gil", "Waiting for the GIL", tables.gil_waits(analysis)),
            ("threads", "Threads", tables.threads(analysis)),
            ("functions", "Functions", tables.functions(analysis)),
            ("cost", "What measuring cost", tables.instruments(analysis)),
        ),
        "handovers": "" if rate is None else handovers(rate),
        "waited_on": tables.waited_on(analysis, analysis.loop.unit),
    }


def _tail(analysis: Analysis) -> dict[str, Any]:
    facts = analysis.recording.facts
    return {
        "rates": sheet.flat(facts.rates),
        "gaps": analysis.not_measured,
        "environment": {
            clean(group): sheet.flat(value)
            if isinstance(value, Mapping)
            else [("", sheet.leaf(value))]
            for group, value in facts.environment.items()
        },
        "options": sheet.flat(facts.options),
    }
