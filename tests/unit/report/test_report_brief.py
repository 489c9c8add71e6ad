"""A run in one look: what stands in it, that it fits, how it looks where it goes."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import comparisons
import examples
import pytest

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis, Where
from debottleneck.analysis.rules.wording import spoken
from debottleneck.prediction.verdict import judged
from debottleneck.recording.assemble import load
from debottleneck.report.text import brief
from debottleneck.report.text.tables import Shape, look, print_apart
from debottleneck.report.words import predictions
from debottleneck.report.words import run as words

SHELF = Path(__file__).parents[3] / "reports"
FOOTER = ("Page       bottleneck-runs/1/report.html", "More       bottleneck report")


@pytest.mark.parametrize("name", list(examples.EXAMPLES))
@pytest.mark.parametrize("width", [80, 140])
def test_examples_fit_one_look(name: str, width: int) -> None:
    """At most 25 lines, none wider than the terminal but commands."""
    analysis = examples.EXAMPLES[name]()
    text = brief.render(analysis, footer=FOOTER, width=width)
    assert text.count("\n") <= brief.MOST_LINES
    lines = [line for line in text.splitlines() if not line.startswith("Next ")]
    assert max(map(len, lines)) <= width
    assert text.endswith(FOOTER[-1] + "\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [path.parent.name for path in SHELF.glob("*/baseline")]
)
def test_real_runs_fit_one_look(name: str) -> None:
    """Those on the shelf, at 80 columns; with the line and the gain where there is."""
    analysis = judged(analyse(load(SHELF / name / "baseline")))
    text = brief.render(analysis, footer=FOOTER)
    assert text.count("\n") <= brief.MOST_LINES
    headline = analysis.findings[0] if analysis.findings else None
    if headline and headline.gain and headline.gain.worth:
        assert headline.gain.text in " ".join(text.split())
        assert "By hand" not in text
        assert f"Next       bottleneck compare --strategy {headline.gain.spec}" in text
    if headline and headline.where and headline.where[0].line:
        place = headline.where[0]
        assert re.search(rf"{Path(place.file).name}:{place.line}  +\S", text)


def test_lines_of_the_code_have_their_shares() -> None:
    """Where is the code itself; a function that was named is not named again."""
    analysis = comparisons.with_sources(examples.input_bound())
    text = brief.render(analysis)
    assert "Where `load_batch` and `read_rows`; % of the samples in `load`\n" in text
    assert re.search(r"^ +\d+ %  data\.py:41  rows = read_rows", text, re.MULTILINE)
    named = replace(
        analysis,
        verdict=replace(analysis.verdict, what=f"{analysis.verdict.what} `load_batch`"),
    )
    assert brief.render(named).count("`load_batch`") == 1


def test_small_rows_are_one_row() -> None:
    """Of a long step as many as fit; shares still add up."""
    names = ("load", "augment", "transfer", "forward", "loss", "backward", "update")
    stages = {name: {"python": 0.1 * (n + 1)} for n, name in enumerate(names)}
    stages["other"] = {"python": 60.0}
    analysis = examples.build(examples.Plan(stages=stages))
    text = brief.render(analysis, footer=FOOTER)
    assert re.search(r"^\(\d more under 1 % each\) .* ", text, re.MULTILINE)
    shares = re.findall(r" (\d+\.\d) %  ", text)
    assert sum(map(float, shares[:-1])) == pytest.approx(100, abs=0.3)
    assert shares[-1] == "100.0"


def test_the_gil_is_a_line_where_the_verdict_is_another() -> None:
    """Who holds it and where; nothing where the verdict says so or nobody waits."""
    analysis = examples.gil_bound()
    other = replace(analysis, verdict=replace(analysis.verdict, what="It sleeps."))
    line = words.gil_line(other)
    assert re.search(r"^\d+ % of the step is a wait for the GIL: ", line)
    assert '"augment-0" holds it most in `jitter_colours`' in line
    assert line in brief.render(other, width=140)
    said = replace(other, verdict=replace(other.verdict, what="waiting for the GIL"))
    assert words.gil_line(said) == ""
    assert words.gil_line(examples.healthy()) == ""


def test_prices_that_were_assumed_are_said() -> None:
    """Where a gain rests on them."""
    analysis = examples.EXAMPLES["predicted"]()
    found = analysis.predictions
    assert found is not None
    assert found.gaining
    for measured, said in (("", True), ("2026-11-30", False)):
        machine = {**found.machine, "measured": measured}
        known = replace(analysis, predictions=replace(found, machine=machine))
        assert (predictions.ASSUMED in brief.render(known)) is said


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        ("load", "`load`"),
        ("Layer.forward", "`Layer.forward`"),
        ("augment.<locals>.<listcomp>", "the list comprehension in `augment`"),
        ("A.f.<locals>.<lambda>", "the lambda in `A.f`"),
        ("A.<lambda>", "the lambda in `A`"),
        ("f.<locals>.g", "`g` in `f`"),
        ("f.<locals>.g.<locals>.<genexpr>", "the generator expression in `f.g`"),
        ("<module>", "the module's own code"),
    ],
)
def test_functions_are_called_as_people_do(function: str, sentence: str) -> None:
    """No `<locals>` in a sentence."""
    assert spoken(function) == sentence


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "COLORTERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("stream", "wishes", "shape"),
    [
        (io.StringIO, {}, Shape(80, False)),
        (io.StringIO, {"COLUMNS": "120"}, Shape(80, False)),
        (io.StringIO, {"FORCE_COLOR": "1"}, Shape(80, True)),
        (Terminal, {"COLUMNS": "100"}, Shape(100, True)),
        (Terminal, {"COLUMNS": "400"}, Shape(140, True)),
        (Terminal, {"COLUMNS": "20"}, Shape(60, True)),
        (Terminal, {"COLUMNS": "100", "NO_COLOR": "1"}, Shape(100, False)),
        (Terminal, {"TERM": "dumb"}, Shape(80, False)),
    ],
)
def test_how_a_text_looks_where_it_goes(
    monkeypatch: pytest.MonkeyPatch,
    stream: type[io.StringIO],
    wishes: dict[str, str],
    shape: Shape,
) -> None:
    """Width and colours of the terminal; 80 columns and none of all else."""
    for name, value in wishes.items():
        monkeypatch.setenv(name, value)
    assert look(stream()) == shape


def screen(written: str, columns: int) -> list[str]:
    """What a terminal shows: it wraps when a letter comes after a full line."""
    rows, at = [""], 0
    for letter in written:
        if letter == "\n":
            rows, at = [*rows, ""], 0
        elif letter == "\r":
            at = 0
        else:
            if at == columns:
                rows, at = [*rows, ""], 0
            rows[-1] = f"{rows[-1][:at]:<{at}}{letter}{rows[-1][at + 1 :]}"
            at += 1
    return [row.rstrip() for row in rows]


@pytest.mark.parametrize("before", ["", "step 7", "done\n"])
def test_a_report_begins_a_line(monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """Wherever the script's last line ended; a file gets an empty line."""
    monkeypatch.setenv("COLUMNS", "40")
    terminal, file = Terminal(), io.StringIO()
    terminal.write(before)
    print_apart("What  it waits\n", terminal)
    shown = screen(terminal.getvalue(), 40)
    assert shown == [*filter(None, before.split("\n")), "What  it waits", ""]
    print_apart("What\n", file)
    assert file.getvalue() == "\nWhat\n"


def test_names_of_the_script_cannot_write_to_the_terminal() -> None:
    """Control characters of its source and its functions stay letters."""
    analysis: Analysis = examples.EXAMPLES["hostile"]()
    evil = Where("f\x1b[2J", "/x/\x1b]0;evil\x07.py", 3)
    found = [replace(one, where=(evil,)) for one in analysis.findings]
    text = brief.render(replace(analysis, findings=tuple(found)), footer=FOOTER)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert os.linesep in text
