"""A loaded recording: still a recording, and it shows itself in a notebook."""

from __future__ import annotations

import dataclasses
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import examples
import made_plans
import plotly.graph_objects as go
import pytest
from made_runs import FACTS, PID, loop_words, marks, running, sites, threads, waits

from debottleneck import load_recording
from debottleneck.recording import recording
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Recording
from debottleneck.report.notebook import Shown, card


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a small recording with steps and waits."""
    ticks = [running(at, at + 5) for at in range(0, 600, 5)]
    words = loop_words(20, {"load": (20, 5), "forward": (10, 10)})
    tables = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words}),
        "waits": waits(ticks),
    }
    Recording.of(FACTS, tables).save(tmp_path / "run")
    return tmp_path / "run"


def test_it_is_a_recording(folder: Path) -> None:
    """Facts, tables and path are those that were saved; it saves and changes too."""
    loaded, plain = load_recording(folder), recording.read(folder)
    assert isinstance(loaded, Recording)
    assert (loaded.facts, loaded.path) == (plain.facts, plain.path)
    for name in COLUMNS:
        assert getattr(loaded, name).equals(getattr(plain, name))
    loaded.save(folder.with_name("again"))
    assert load_recording(folder.with_name("again")).facts == plain.facts
    facts = dataclasses.replace(loaded.facts, script="other.py")
    changed = dataclasses.replace(loaded, facts=facts)
    assert changed.facts.script == "other.py"
    assert changed.marks is loaded.marks
    assert "script" in repr(loaded)


def test_it_equals_itself_alone(folder: Path) -> None:
    """On every Python: comparing tables has no single answer."""
    loaded = load_recording(folder)
    assert loaded == loaded
    assert loaded != Shown.like(loaded)
    assert loaded != FACTS


def test_a_figure_by_its_name(folder: Path) -> None:
    """Plotly's, with a legend; the analysis is made once."""
    loaded = load_recording(folder)
    figure = loaded.figure("timeline")
    assert isinstance(figure, go.Figure)
    assert figure.layout.showlegend
    assert {"load", "forward"} <= {trace.name for trace in figure.data}
    assert loaded.analysis is loaded.analysis


def test_predictions_are_quoted(tmp_path: Path) -> None:
    """Those of the verdict."""
    made_plans.run().save(tmp_path / "run")
    loaded = load_recording(tmp_path / "run")
    assert "predicted, not tried yet" in loaded._repr_html_()


class Seen(HTMLParser):
    """Elements and texts of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element, and attributes that run something."""
        self.tags.append(tag)
        self.texts += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.texts.append(data)


def test_a_notebook_shows_a_short_table(folder: Path) -> None:
    """Three lines, then stages by cause, that add up to the step."""
    seen = Seen(load_recording(folder)._repr_html_())
    assert set(seen.tags) <= {
        *("div", "b", "table", "caption", "thead", "tbody", "tr", "th", "td")
    }
    assert {"What", "Where", "Do", "load", "forward", "python", "step"} <= set(
        seen.texts
    )
    assert seen.tags.count("tr") == 4


@pytest.mark.parametrize("example", list(examples.EXAMPLES))
def test_a_summary_is_flat_and_of_numbers(example: str) -> None:
    """Finite ones, under names that MLflow takes; shares of rows add up to the step."""
    analysis = examples.EXAMPLES[example]()
    shown = Shown.like(analysis.recording)
    vars(shown)["analysis"] = analysis
    summary = shown.summary()
    assert all(type(v) is float and math.isfinite(v) for v in summary.values())
    assert [name for name in summary if not re.fullmatch(r"[\w./ -]+", name)] == []
    assert ("step/mean_ms" in summary) == analysis.loop.found
    shares = [v for n, v in summary.items() if re.fullmatch("row/.*/share", n)]
    assert bool(shares) == analysis.loop.found
    assert not shares or sum(shares) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("example", list(examples.EXAMPLES))
def test_every_recording_can_be_shown(example: str) -> None:
    """Partial ones say so; markup in names stays text."""
    analysis = examples.EXAMPLES[example]()
    seen = Seen(str(card(analysis)))
    assert not {"script", "img", "style"} & set(seen.tags)
    assert not [text for text in seen.texts if text.startswith("on")]
    text = " ".join(seen.texts)
    assert " ".join(analysis.verdict.what.split()[:3]) in text
    assert ("partial" in text) == analysis.recording.facts.partial


def test_loading_needs_no_plotly(folder: Path, environment: dict[str, str]) -> None:
    """Only a figure does: `.figure` imports it when it is called."""
    code = (
        "import sys, debottleneck\n"
        f"shown = debottleneck.load_recording({str(folder)!r})\n"
        "assert shown._repr_html_()\n"
        "assert not {'plotly', 'jinja2', 'rich'} & set(sys.modules), 'too early'\n"
        "shown.figure('steps')\n"
        "assert 'plotly' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
