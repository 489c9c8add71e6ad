"""The report as one HTML file that needs no network: the page and its figures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from debottleneck import words
from debottleneck.analysis.result import Analysis, Finding
from debottleneck.report import figures, flame, matrix, tables, timeline
from debottleneck.report.colours import (
    BLOCK_COLOURS,
    BLOCK_NAMES,
    CAUSE_COLOURS,
    STAGE_COLOURS,
    STRANGER,
    THEMES,
    ink_on,
)
from debottleneck.report.quantities import (
    clean,
    count,
    home,
    in_order,
    number,
    percent,
    place,
    short,
    table_digits,
    times,
)
from debottleneck.report.sentences import (
    HOW_TO_MARK,
    STAGE_READINGS,
    ending,
    handovers,
    loop_lines,
)
from debottleneck.version import __version__


@dataclass
class Drawing:
    """Figures by name, gathered while the page is put together."""

    figures: dict[str, go.Figure] = field(default_factory=dict)

    def add(self, name: str, figure: go.Figure) -> str:
        """Keep the figure; the template places it by the name returned."""
        self.figures[name] = figure
        return name


def render(analysis: Analysis) -> str:
    """The page."""
    drawing = Drawing()
    context = {
        **_head(analysis),
        **_step_sections(analysis, drawing),
        **_code_sections(analysis, drawing),
        **_tail(analysis),
    }
    template = environment().get_template("page.html.j2")
    page = template.render(
        **context,
        css=asset("page.css"),
        script=asset("page.js"),
        plotly=Markup(get_plotlyjs()),
        data=data(drawing.figures),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


@cache
def environment() -> Environment:
    """Templates with escaping on, our filters and colours."""
    made = Environment(
        loader=PackageLoader("debottleneck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        percent=percent, number=number, times=times, clean=clean, code=code
    )
    made.globals.update(STAGE_COLOURS=STAGE_COLOURS, CAUSE_COLOURS=CAUSE_COLOURS)
    return made


def code(text: str) -> Markup:
    """A sentence whose `names in backticks` are set as code, everything escaped."""
    unbroken = clean(text).replace(" %", "\N{NO-BREAK SPACE}%")
    parts = unbroken.split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


def asset(name: str) -> Markup:
    """One of the package's own files, as it is."""
    folder = resources.files("debottleneck.report") / "templates"
    return Markup((folder / name).read_text(encoding="utf-8"))


def inline_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
    for letter in "<>&\N{LINE SEPARATOR}\N{PARAGRAPH SEPARATOR}":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def data(drawn: Mapping[str, go.Figure]) -> Markup:
    """Every figure and the two themes, as inline JSON."""
    plain = {name: figure.to_plotly_json() for name, figure in drawn.items()}
    for figure in plain.values():
        figure["layout"].pop("template", None)
    return inline_json(
        to_json_plotly({"figures": plain, "themes": dict(THEMES)}, engine="json")
    )


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
        "ribbon": ribbon(analysis),
        "findings": [_finding(f, directory) for f in analysis.findings],
    }


def _finding(finding: Finding, directory: str) -> dict[str, Any]:
    return {
        "it": finding,
        "where": [place(w.function, w.file, w.line, directory) for w in finding.where],
        "evidence": {_name(k): _evidence(v) for k, v in finding.evidence.items()},
    }


def _evidence(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return _leaf(value)


def ribbon(analysis: Analysis) -> list[dict[str, Any]]:
    """The mean step as a bar: stages with their share, each split into causes."""
    if not analysis.loop.found or analysis.stages.empty:
        return []
    stages = analysis.stages.set_index("stage")
    trainer = analysis.causes[analysis.causes.role == "trainer"]
    values = matrix.pivot(trainer).reindex(stages.index).fillna(0.0)
    digits = table_digits(analysis.loop.step_ms)
    return [
        {
            "stage": stage,
            "ms": number(float(stages.ms_per_step[stage]), digits),
            "share": float(stages.share[stage]),
            "causes": _parts(values.loc[stage], digits),
            "ink": ink_on(STAGE_COLOURS.get(stage, STRANGER)),
        }
        for stage in in_order(stages.index, words.STAGES)
        if stages.share[stage] > 0
    ]


def _parts(causes: pd.Series, digits: int) -> list[dict[str, Any]]:
    whole = float(causes.sum())
    return [
        {"cause": str(cause), "share": ms / whole, "ms": number(ms, digits)}
        for cause, ms in zip(causes.index, map(float, causes), strict=True)
        if ms > 0
    ]


def _step_sections(analysis: Analysis, drawing: Drawing) -> dict[str, Any]:
    loop = analysis.loop
    trainer = analysis.causes[analysis.causes.role == "trainer"]
    values = matrix.pivot(trainer) if loop.found else _by_role(analysis)
    whole = loop.step_ms if loop.found else 1e3
    heat = None
    if values.size:
        heat = drawing.add("heat", figures.heat_map(values, whole, loop.unit))
    return {
        "unit": loop.unit,
        "heat": heat,
        "stage_causes": tables.stage_causes(analysis) if loop.found else None,
        "role_causes": tables.role_causes(analysis, loop.unit),
        **_steps(analysis, drawing),
        "timelines": _timelines(analysis, drawing),
        "stage_key": coloured(analysis.stages.stage, words.STAGES, STAGE_COLOURS),
        "cause_key": coloured(values.columns, words.CAUSES, CAUSE_COLOURS),
    }


def _by_role(analysis: Analysis) -> Any:
    return matrix.pivot(analysis.causes, "role")


def _steps(analysis: Analysis, drawing: Drawing) -> dict[str, Any]:
    if analysis.steps.empty or analysis.step_stages.empty:
        return {"bars": None, "distribution": None, "beyond": 0, "block_key": []}
    spread = None
    if (analysis.steps.block == "quiet").sum() >= 2:
        drawn = figures.distribution(analysis.steps, analysis.loop)
        spread = drawing.add("distribution", drawn)
    per_bar = -(-len(analysis.steps) // figures.MOST_BARS)
    blocks = set(analysis.steps.block)
    return {
        "bars": drawing.add(
            "bars", figures.step_bars(analysis.steps, analysis.step_stages)
        ),
        "per_bar": per_bar,
        "all_steps": count(len(analysis.steps), "step"),
        "distribution": spread,
        "beyond": figures.beyond(analysis.steps, analysis.loop),
        "block_key": [
            (name, BLOCK_COLOURS[b]) for b, name in BLOCK_NAMES.items() if b in blocks
        ],
    }


def _timelines(analysis: Analysis, drawing: Drawing) -> list[dict[str, Any]]:
    titles = {"typical": "A typical step", "slowest": "The slowest step"}
    drawn = []
    for name, window in timeline.windows(analysis).items():
        strip = timeline.draw(analysis, window)
        drawn.append(
            {
                "title": titles[name],
                "step": f"{window.step:,}",
                "ms": number(window.milliseconds),
                "figure": drawing.add(f"timeline-{name}", strip.figure),
                "left_out": strip.left_out,
                "stages": coloured(strip.stages, words.STAGES, STAGE_COLOURS),
                "causes": coloured(strip.causes, words.CAUSES, CAUSE_COLOURS),
            }
        )
    return drawn


def coloured(
    names: Iterable[str], order: Sequence[str], colours: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Names with their colours, for a key."""
    return [(name, colours.get(name, STRANGER)) for name in in_order(names, order)]


def _code_sections(analysis: Analysis, drawing: Drawing) -> dict[str, Any]:
    flames = {
        stage: drawing.add(f"flame-{index}", figure)
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
        "rates": flat(facts.rates),
        "gaps": analysis.not_measured,
        "environment": {
            clean(group): _group(value) for group, value in facts.environment.items()
        },
        "options": flat(facts.options),
        "stage_readings": STAGE_READINGS,
        "cause_readings": words.CAUSE_READINGS,
        "why_missing": _why_missing(analysis),
    }


def _group(value: Any) -> list[tuple[str, str]]:
    return flat(value) if isinstance(value, Mapping) else [("", _leaf(value))]


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested dict as (path, text) pairs."""
    pairs: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{_name(key)}"
        if isinstance(item, Mapping):
            pairs += flat(item, f"{name} / ")
        else:
            pairs.append((name, _leaf(item)))
    return pairs


def _name(key: object) -> str:
    return clean(key).replace("_", " ")


def _leaf(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(_leaf, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in flat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else clean(value)


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
            remedy = (
                f" To have it: {clean(gap.remedy).rstrip('.')}." if gap.remedy else ""
            )
            return f"Not measured: {clean(gap.why).rstrip('.')}.{remedy}"
    return ""
