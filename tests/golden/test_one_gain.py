"""Reports read as a person would: no action has two gains, in whatever medium."""

from __future__ import annotations

import re

import comparisons
import examples
import pytest
from said import gains, gains_in_json

from debottleneck.report import render, render_comparison
from debottleneck.report.text import comparison, run

FORMATS = ("text", "json", "html")
WIDE = 250
"""Columns in which no cell of a table is broken."""


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [n for n in examples.EXAMPLES if n != "hostile"])
def test_a_report_has_one_gain_for_one_action(name: str, format: str) -> None:
    """Findings, verdict and predictions quote the same number."""
    analysis = examples.EXAMPLES[name]()
    wide = run.render(analysis, width=WIDE)
    check(wide if format == "text" else str(render(analysis, format)), format)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [n for n in comparisons.COMPARISONS if n != "hostile"])
def test_a_comparison_has_one_gain_for_one_action(name: str, format: str) -> None:
    """What was measured, wherever it is said; predictions stand beside it."""
    found = comparisons.COMPARISONS[name]()
    wide = comparison.render(found, width=WIDE)
    check(wide if format == "text" else str(render_comparison(found, format)), format)


def check(report: str, format: str) -> None:
    """Refuse two gains of one action."""
    report = re.sub(r"\d+\.\d+x \([^()]*\) predicted, (?=\d)", "", report)
    found = gains_in_json(report) if format == "json" else gains(report)
    assert all(len(numbers) == 1 for numbers in found.values()), found
