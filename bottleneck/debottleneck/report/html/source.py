"""Findings with the user's own source, as the page's template takes them."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.report.excerpts import Excerpt, excerpt
from debottleneck.report.html import sheet
from debottleneck.report.rows import ShownRows
from debottleneck.report.words.quantities import home, place

MOST_EXCERPTS = 3
"""Of one finding; further places are named only."""


def code_of(analysis: Analysis, finding: Finding) -> dict[str, list[Any]]:
    """A finding's places: `excerpts` of the code, each line once, others `named`."""
    directory = home(analysis.recording.facts)
    excerpts: list[Excerpt] = []
    named: list[str] = []
    seen: set[tuple[str, int]] = set()
    for where in finding.where:
        if (where.file, where.line) in seen:
            continue
        room = len(excerpts) < MOST_EXCERPTS
        shown = excerpt(analysis, where, finding.stage) if room else None
        if shown is None:
            named.append(place(where.function, where.file, where.line, directory))
        else:
            excerpts.append(shown)
            seen |= {(where.file, line.number) for line in shown.lines}
    return {"excerpts": excerpts, "named": named}


def findings(analysis: Analysis) -> list[dict[str, Any]]:
    """Every finding with its code and what it rests on, as the template takes it."""
    rows = ShownRows.of(analysis)
    return [
        {
            "it": finding,
            "colour": rows.colour(finding.stage),
            "source": rows.source(finding.stage),
            "code": code_of(analysis, finding),
            "evidence": {
                sheet.name_of(name): f"{value:,}"
                if type(value) is int
                else sheet.leaf(value)
                for name, value in finding.evidence.items()
            },
        }
        for finding in analysis.findings
    ]
