"""The terminal text of hand-made comparisons, letter by letter, at 80 columns.

Set BOTTLENECK_ACCEPT_GOLDEN=1 to accept what is printed now.
"""

from __future__ import annotations

import os
from pathlib import Path

import comparisons
import pytest

from debottleneck.report.text import comparison

ACCEPT = os.environ.get("BOTTLENECK_ACCEPT_GOLDEN") == "1"
FOOTER = (
    "Comparison  bottleneck-runs/compare-train-1",
    "Page        bottleneck report bottleneck-runs/compare-train-1 --format html",
)


@pytest.mark.parametrize("name", list(comparisons.COMPARISONS))
def test_text_is_the_accepted_one(name: str) -> None:
    """The text of each comparison reads exactly as it did when it was accepted."""
    text = comparison.render(comparisons.COMPARISONS[name](), footer=FOOTER)
    file = Path(__file__).with_name(f"compare_{name}.txt")
    if ACCEPT:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
