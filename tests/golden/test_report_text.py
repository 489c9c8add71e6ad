"""The terminal report of the examples, letter by letter, at 80 columns.

Set BOTTLENECK_ACCEPT_GOLDEN=1 to accept what is printed now.
"""

from __future__ import annotations

import os
from pathlib import Path

import examples
import pytest

from debottleneck.report.text import run as terminal

ACCEPT = os.environ.get("BOTTLENECK_ACCEPT_GOLDEN") == "1"
FOOTER = (
    "Recording  bottleneck-runs/1",
    "Page       bottleneck-runs/1/report.html",
    "Next       bottleneck report bottleneck-runs/1 --format json",
)


@pytest.mark.parametrize("name", list(examples.EXAMPLES))
def test_text_is_the_accepted_one(name: str) -> None:
    """The report of each example reads exactly as it did when it was accepted."""
    text = terminal.render(examples.EXAMPLES[name](), footer=FOOTER)
    file = Path(__file__).with_name(f"{name}.txt")
    if ACCEPT:
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
