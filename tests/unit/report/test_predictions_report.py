"""What strategies should gain, as text, JSON, figure and page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import examples
import made_predictions as made
import pytest

from debottleneck.recording.recording import Recording
from debottleneck.report import render
from debottleneck.report.figures import predictions as figures
from debottleneck.report.html import predictions as page
from debottleneck.report.text import predictions as text

ALL = {
    "waiting": made.WAITING,
    "nothing": made.NOTHING,
    "cores": made.WITH_CORES,
    "none": replace(made.NOTHING, rows=(), settings=()),
    "evil": made.hostile(examples.EVIL),
}


def recording(path: Path | None = None) -> Recording:
    """That of the example, as it would be in a folder."""
    return replace(examples.predicted().recording, path=path)


@pytest.mark.parametrize("evil", examples.HOSTILE)
def test_names_never_become_markup(evil: str) -> None:
    """In tables, commands, figures and titles, of the page and of a run's."""
    found = made.hostile(evil)
    whole = render(examples.hostile(evil), "html")
    for html in (page.render(found, recording()), str(whole)):
        assert "<img" not in html
        assert "<svg onload" not in html
        assert "<script>window.pwned" not in html
        assert 'href="javascript' not in html
        assert "\x1b" not in html
    figure = figures.curve(found)
    shown = [t for trace in figure.data for t in trace.customdata or ()]
    assert not [t for t in shown if "<img" in t or "<script" in t]


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Neither of a strategy nor of a reason."""
    said = text.render(made.hostile("\x1b[2J\x07"), recording())
    assert said.replace("\n", "").isprintable()
