"""What the pages share: figures gathered, templates, assets, bits of markup."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, TypeAlias
from urllib.parse import quote

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.io.json import to_json_plotly

from debottleneck import words
from debottleneck.analysis.result import Analysis
from debottleneck.report import matrix
from debottleneck.report.colours import (
    CAUSE_COLOURS,
    THEMES,
    cause_colour,
    ink_on,
    stage_colour,
)
from debottleneck.report.figures import flame
from debottleneck.report.figures.base import plain
from debottleneck.report.figures.catalogue import Entry
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import (
    clean,
    in_order,
    number,
    percent,
    table_digits,
    times,
)
from debottleneck.report.words.run import STAGE_READINGS, not_measured
from debottleneck.version import __version__

TEMPLATES = resources.files("debottleneck.report.html") / "templates"

Key: TypeAlias = list[tuple[str, str, str]]
"""Names, their colours, and what lines say."""


@dataclass(frozen=True)
class PlacedFigure:
    """A figure of the page: what it is called there, and what it shows in words."""

    name: str
    label: str


@dataclass
class Drawing:
    """Figures by name, gathered while the page is put together."""

    figures: dict[str, go.Figure] = field(default_factory=dict)

    def add(self, name: str, figure: go.Figure, label: str) -> PlacedFigure:
        """Keep a figure; the template places what is returned."""
        self.figures[name] = figure
        return PlacedFigure(name, label)

    def place(self, name: str, entry: Entry, *subject: Any) -> PlacedFigure | None:
        """Draw a figure of the catalogue; None where its data were not measured."""
        figure = entry.draw(*subject)
        return figure and self.add(name, figure, entry.words(*subject))

    def flames(
        self, analysis: Analysis, most: int, prefix: str = "flame", lead: str = ""
    ) -> dict[str, PlacedFigure]:
        """Each row's flame graph of at most so many nodes, the heaviest first."""
        graphs, rows = {}, ShownRows.of(analysis)
        for index, stage in enumerate(flame.stages(analysis.flame)):
            figure = flame.figure(analysis, stage, most)
            label = f"{lead}Flame graph: the code that ran in {clean(stage)}"
            called = f"{stage}  {rows.source(stage)}".strip()
            graphs[called] = self.add(f"{prefix}-{index}", figure, label)
        return graphs

    def keys(self, prefix: str, rows: ShownRows) -> tuple[Key, Key]:
        """Rows and causes in sight in the figures whose names begin so."""
        names = {
            str(trace.name)
            for name, figure in self.figures.items()
            if name.startswith(prefix)
            for trace in figure.data
        }
        return (
            rows.key(row for row in rows.order if plain(row) in names),
            causes(names & {*CAUSE_COLOURS}),
        )


@cache
def environment() -> Environment:
    """Templates with escaping on, our filters and colours."""
    templates = Environment(
        loader=PackageLoader("debottleneck.report.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        percent=percent, number=number, times=times, clean=clean, code=code
    )
    templates.globals.update(
        stage_colour=stage_colour,
        cause_colour=cause_colour,
        stage_readings=STAGE_READINGS,
        cause_readings=words.CAUSE_READINGS,
        version=__version__,
        asset=asset,
    )
    return templates


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
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def packed(data: bytes) -> Markup:
    """Text that cannot end the element it stands in; the page's script unpacks it."""
    return Markup(base64.b64encode(data).decode())


def finish(template: str, context: Mapping[str, Any], drawing: Drawing) -> str:
    """The page: the template with its figures; without one it needs no plotly.

    Args:
        template: Such as "run.html.j2"; it ends in `scripts`.
        context: Its texts and tables.
        drawing: Its figures.
    """
    page, drawn = environment().get_template(template), drawing.figures
    plotly = packed((TEMPLATES / "plotly.js.gz").read_bytes()) if drawn else ""
    text = page.render(**context, data=data(drawn), plotly=plotly)
    return text.encode("utf-8", "replace").decode("utf-8")


def data(drawn: Mapping[str, go.Figure]) -> Markup:
    """Every figure and the two themes, as JSON, packed: the same bytes each time."""
    plain = {name: figure.to_plotly_json() for name, figure in drawn.items()}
    for figure in plain.values():
        figure["layout"].pop("template", None)
    text = to_json_plotly({"figures": plain, "themes": THEMES}, engine="json")
    return packed(gzip.compress(text.encode(), mtime=0))


def ribbon(
    analysis: Analysis, rows: ShownRows, step_ms: float | None = None
) -> list[dict[str, Any]]:
    """The mean step as a bar: its rows with their share, each split into causes.

    Args:
        analysis: Whose steps.
        rows: Their order and colours.
        step_ms: What a step takes, where that was measured without instruments.
    """
    if not analysis.loop.found or analysis.stages.empty:
        return []
    stages = analysis.stages.set_index("stage")
    scale = step_ms / analysis.loop.step_ms if step_ms else 1.0
    values = matrix.trainer_causes(analysis).reindex(stages.index).fillna(0.0) * scale
    digits = table_digits(analysis.loop.step_ms * scale)
    return [
        {
            "stage": clean(stage),
            "short": rows.short(stage),
            "source": rows.source(stage),
            "colour": rows.colour(stage),
            "ms": number(scale * float(stages.ms_per_step[stage]), digits),
            "share": float(stages.share[stage]),
            "causes": [
                {
                    "cause": str(cause),
                    "share": float(ms / values.loc[stage].sum()),
                    "ms": number(ms, digits),
                }
                for cause, ms in values.loc[stage].items()
                if ms > 0
            ],
            "ink": ink_on(rows.colour(stage)),
        }
        for stage in in_order(stages.index, rows.order)
        if stages.share[stage] > 0
    ]


def picture(bars: Iterable[tuple[Sequence[Mapping[str, Any]], float]]) -> str:
    """Bars below each other as a picture's address: of the tab, and where it is shared.

    Args:
        bars: What `ribbon` gives, and its length as a share of the longest.
    """
    drawn, top = "", 0.0
    for parts, length in bars:
        left, top = 0.0, top + 40
        for part in parts:
            wide = 160 * length * part["share"]
            place = f'x="{left:.1f}" y="{top - 36:.0f}" width="{wide:.1f}" height="32"'
            drawn += f'<rect {place} fill="{part["colour"]}"/>'
            left += wide
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 {top:.0f}">'
    return f"data:image/svg+xml,{quote(f'{whole}{drawn}</svg>')}" if drawn else "data:,"


def causes(names: Iterable[str]) -> Key:
    """Causes with their colours, for a key."""
    return [(name, cause_colour(name), "") for name in in_order(names, words.CAUSES)]


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """A nested dict as (path, text) pairs."""
    pairs: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{name_of(key)}"
        if isinstance(item, Mapping):
            pairs += flat(item, f"{name} / ")
        else:
            pairs.append((name, leaf(item)))
    return pairs


def name_of(key: object) -> str:
    """A key as people read it."""
    return clean(key).replace("_", " ")


def leaf(value: Any) -> str:
    """One fact as text."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(leaf, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text}" for name, text in flat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else clean(value)


def why_missing(analysis: Analysis, *hints: str) -> str:
    """Why what has one of those words in its name was not measured, and the remedy."""
    for gap in analysis.not_measured:
        if any(hint in gap.what.lower() for hint in hints):
            return not_measured(gap)
    return ""
