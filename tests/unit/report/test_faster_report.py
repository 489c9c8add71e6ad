"""What rows' being faster brings, as text, JSON, figure and page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import examples
import pytest
from made_predictions import FORWARD_FASTER as FORWARD
from made_predictions import LOAD_FASTER as LOAD
from made_predictions import curve

from debottleneck.analysis.result import Analysis, RowCurve, VirtualSpeedups
from debottleneck.recording.spool import PERCENTS
from debottleneck.report import render
from debottleneck.report.figures import catalogue
from debottleneck.report.text import brief, run
from debottleneck.report.words import faster as words


def analysed(*rows: RowCurve, unheld: tuple[str, ...] = ()) -> Analysis:
    """A run in which these were tried."""
    return replace(examples.healthy(), faster=VirtualSpeedups(rows, unheld))


def test_the_sentence_says_gain_and_limit() -> None:
    """What a quarter less brings, and from where on something else is the limit."""
    assert words.sentence(FORWARD) == (
        "If `forward` took 25 % less, the step would take 10 % (7 to 13) less; beyond "
        "50 % the loader is the limit."
    )
    assert words.sentence(LOAD) == (
        "To make `load` faster gains nothing: the trainer is the limit."
    )
    short = words.in_short(VirtualSpeedups((FORWARD, LOAD)))
    assert (
        short == "If `forward` took 25 % less, the step would take 10 % (7 to 13) less."
    )
    assert short in brief.render(analysed(FORWARD, LOAD)).splitlines()
    assert words.sentence(curve("loss", *(p / 200 for p in PERCENTS))).endswith("less.")


def test_text_has_rows_and_what_they_do_not_show() -> None:
    """A run in which nothing was asked for says nothing."""
    said = run.render(analysed(FORWARD, LOAD, unheld=("pool-1",)), width=80)
    part = said[said.index(words.TITLE) :]
    assert re.search(r"forward +4\.20 +10 % \(7-13\) +20 % \(17-23\)", part)
    assert "does not show" in " ".join(part.split())
    assert "Not held back, as they mark nothing: pool-1." in part
    assert max(map(len, part.splitlines())) <= 80
    assert words.TITLE not in run.render(examples.healthy())


def test_who_asked_in_vain_is_told_why() -> None:
    """No row was tried often enough."""
    said = " ".join(run.render(analysed(), width=80).split())
    assert words.NONE in said


def test_shares_of_one_thread_are_called_that() -> None:
    """Nobody was held back in such a run."""
    alone = replace(FORWARD, blocks=0, knee=100, limit="")
    said = " ".join(run.render(analysed(alone), width=80).split())
    assert words.ALONE in said
    assert words.HELD not in said


def test_json_has_every_point() -> None:
    """With the sentence, and keys that the documentation names."""
    document = json.loads(render(analysed(FORWARD, LOAD), "json"))["faster"]
    first, second = document["rows"]
    assert first["points"][1] == {
        "percent": 25, "gain": 0.1, "low": pytest.approx(0.07), "high": 0.13,
    }  # fmt: skip
    assert (first["knee"], first["limit"], second["knee"]) == (50, "the loader", 0)
    assert document["notes"] == [words.HELD]
    told = Path(__file__).parents[3].joinpath("docs", "json.md").read_text()
    assert all(f"`{key}`" in told for key in (*document, *first, *first["points"][0]))
    assert json.loads(render(examples.healthy(), "json"))["faster"] is None


def test_the_figure_has_a_line_and_a_band_a_row() -> None:
    """From nothing on, in percent; there is none where nothing was tried."""
    figure = catalogue.of_run(analysed(FORWARD, LOAD), "faster")
    lines = {trace.name: trace for trace in figure.data if trace.name}
    assert list(lines["forward"].x) == [0, *PERCENTS]
    assert list(lines["forward"].y) == pytest.approx([0, 4, 10, 20, 21, 21])
    assert set(lines) == {"forward", "load"}
    assert catalogue.RUN["faster"].draw(analysed()) is None


def test_the_page_has_a_section_of_its_own() -> None:
    """Where it was asked for; names cannot leave it."""
    evil = replace(FORWARD, row=examples.EVIL, limit=examples.EVIL)
    page = render(analysed(evil, LOAD), "html")
    section = page[page.index('<section id="faster">') :].partition("</section>")[0]
    assert "To make <code>load</code> faster gains nothing" in section
    assert 'data-figure="faster"' in section
    assert "<script" not in section
    assert 'id="faster"' not in render(examples.healthy(), "html")
