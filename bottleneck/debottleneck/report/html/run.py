"""The report as one HTML file that needs no network: the page and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go

from debottleneck import words
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.report import matrix
from debottleneck.report.colours import (
    BLOCK_COLOURS,
    BLOCK_NAMES,
    CAUSE_COLOURS,
    STAGE_COLOURS,
)
from debottleneck.report.figures import causes, flame, steps, timeline
from debottleneck.report.html import described, predictions, sheet, source, tables
from debottleneck.report.words.quantities import clean, count, home, number, short
from debottleneck.report.words.run import (
    HOW_TO_MARK,
    STAGE_READINGS,
    ending,
    handovers,
    loop_lines,
    not_measured,
)
from debottleneck.version import __version__


def render(analysis: Analysis, plotly_src: str | None = None) -> str:
    """The page.

    Args:
        analysis: What to show.
        plotly_src: Where it finds plotly's file, by default in itself: `sheet.finish`.
    """
    drawing = sheet.Drawing()
    context = {
        **_head(analysis),
        "predicted": _predicted(analysis, drawing),
        **_step_sections(analysis, drawing),
        **_code_sections(analysis, drawing),
        **_tail(analysis),
    }
    styles = ("page.css", "source.css")
    return sheet.finish("run.html.j2", context, drawing, plotly_src, styles=styles)


def _head(analysis: Analysis) -> dict[str, Any]:
    facts = analysis.recording.facts
    directory = home(facts)
    return {
        "title": short(facts.script, directory) or "a run",
        "command": " ".join(map(clean, facts.command)),
        "created": clean(facts.created),
        "seconds": number((facts.end_ns - facts.start_ns) / 1e9),
        "version": __version__,
        "verdict": analysis.verdict,
        "training": analysis.loop,
        "loop_lines": loop_lines(analysis.loop),
        "how_to_mark": HOW_TO_MARK,
        "cut_off": ending(analysis),
        "ribbon": sheet.ribbon(analysis),
        "findings": [_finding(f, analysis) for f in analysis.findings],
    }


def _finding(finding: Finding, analysis: Analysis) -> dict[str, Any]:
    return {
        "it": finding,
        "code": source.code_of(analysis, finding),
        "evidence": {
            sheet.name_of(k): _evidence(v) for k, v in finding.evidence.items()
        },
    }


def _predicted(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any] | None:
    found = analysis.predictions
    if found is None:
        return None
    return predictions.section(found, analysis.recording, drawing, alone=False)


def _evidence(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return sheet.leaf(value)


def _step_sections(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    loop = analysis.loop
    trainer = analysis.causes[analysis.causes.role == "trainer"]
    values = matrix.pivot(trainer) if loop.found else _by_role(analysis)
    whole = loop.step_ms if loop.found else 1e3
    heat = None
    if values.size:
        drawn = causes.heat_map(values, whole, loop.unit)
        label = described.heat(values, whole, loop.unit)
        heat = _shown(drawing, "heat", drawn, label)
    return {
        "unit": loop.unit,
        "heat": heat,
        "stage_causes": tables.stage_causes(analysis) if loop.found else None,
        "role_causes": tables.role_causes(analysis, loop.unit),
        **_steps(analysis, drawing),
        "timelines": _timelines(analysis, drawing),
        "stage_key": sheet.coloured(analysis.stages.stage, words.STAGES, STAGE_COLOURS),
        "cause_key": sheet.coloured(values.columns, words.CAUSES, CAUSE_COLOURS),
    }


def _by_role(analysis: Analysis) -> Any:
    return matrix.pivot(analysis.causes, "role")


def _steps(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    if analysis.steps.empty or analysis.step_stages.empty:
        return {"bars": None, "distribution": None, "beyond": 0, "block_key": []}
    drawn = steps.step_bars(analysis.steps, analysis.step_stages)
    blocks = set(analysis.steps.block)
    return {
        "bars": _shown(drawing, "bars", drawn, described.bars(analysis)),
        "bars_table": described.bars_table(drawn),
        "per_bar": -(-len(analysis.steps) // steps.MOST_BARS),
        "all_steps": count(len(analysis.steps), "step"),
        "distribution": _distribution(analysis, drawing),
        "beyond": steps.beyond(analysis.steps, analysis.loop),
        "block_key": [
            (name, BLOCK_COLOURS[b]) for b, name in BLOCK_NAMES.items() if b in blocks
        ],
    }


def _shown(
    drawing: sheet.Drawing, name: str, figure: go.Figure, label: str
) -> dict[str, str]:
    """A figure's name on the page, and what it shows in words."""
    return {"name": drawing.add(name, figure), "label": label}


def _distribution(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any] | None:
    if (analysis.steps.block == "quiet").sum() < 2:
        return None
    drawn = steps.distribution(analysis.steps, analysis.loop)
    label = described.distribution(analysis)
    shown = _shown(drawing, "distribution", drawn, label)
    return {**shown, "table": described.bins_table(drawn)}


def _timelines(analysis: Analysis, drawing: sheet.Drawing) -> list[dict[str, Any]]:
    titles = {"typical": "A typical step", "slowest": "The slowest step"}
    drawn = []
    for name, window in timeline.windows(analysis).items():
        strip = timeline.draw(analysis, window)
        drawn.append(
            {
                "title": titles[name],
                "step": f"{window.step:,}",
                "ms": number(window.milliseconds),
                **_shown(
                    drawing,
                    f"timeline-{name}",
                    strip.figure,
                    described.strip(analysis, window),
                ),
                "table": described.strip_table(
                    analysis, window, f"timeline-{name}-table"
                ),
                "left_out": strip.left_out,
                "stages": sheet.coloured(strip.stages, words.STAGES, STAGE_COLOURS),
                "causes": sheet.coloured(strip.causes, words.CAUSES, CAUSE_COLOURS),
            }
        )
    return drawn


def _code_sections(analysis: Analysis, drawing: sheet.Drawing) -> dict[str, Any]:
    flames = {
        stage: _shown(
            drawing, f"flame-{index}", figure, described.flame(analysis, stage)
        )
        for index, (stage, figure) in enumerate(flame.figures(analysis).items())
    }
    return {
        "flames": flames,
        "lines": tables.lines(analysis),
        "gil": tables.gil_waits(analysis),
        "handovers": _handovers(analysis),
        "waited_on": tables.waited_on(analysis, analysis.loop.unit),
        "threads": tables.threads(analysis),
        "functions": tables.functions(analysis),
    }


def _handovers(analysis: Analysis) -> str:
    rate = analysis.handovers_per_s
    return "" if rate is None else handovers(rate)


def _tail(analysis: Analysis) -> dict[str, Any]:
    facts = analysis.recording.facts
    return {
        "instruments": tables.instruments(analysis),
        "rates": sheet.flat(facts.rates),
        "gaps": analysis.not_measured,
        "environment": {
            clean(group): _group(value) for group, value in facts.environment.items()
        },
        "options": sheet.flat(facts.options),
        "stage_readings": STAGE_READINGS,
        "cause_readings": words.CAUSE_READINGS,
        "why_missing": _why_missing(analysis),
    }


def _group(value: Any) -> list[tuple[str, str]]:
    return (
        sheet.flat(value) if isinstance(value, Mapping) else [("", sheet.leaf(value))]
    )


MISSING_WORDS: Mapping[str, tuple[str, ...]] = {
    "waits": ("wait", "cause", "thread"),
    "gil": ("gil", "wait", "cause"),
    "stacks": ("stack", "py-spy", "flame", "line"),
    "functions": ("function", "yappi"),
    "stages": ("stage", "step", "loop"),
}


def _why_missing(analysis: Analysis) -> dict[str, str]:
    """For each kind of section, the sentence that says why it is empty."""
    return {kind: _why(analysis, hints) for kind, hints in MISSING_WORDS.items()}


def _why(analysis: Analysis, hints: tuple[str, ...]) -> str:
    for gap in analysis.not_measured:
        if any(hint in gap.what.lower() for hint in hints):
            return f"Not measured: {not_measured(gap)}"
    return ""
