"""What holds for every terminal report, whatever it reports."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import examples
import pytest

from debottleneck import words
from debottleneck.analysis import frames
from debottleneck.analysis.result import Analysis
from debottleneck.report import tables
from debottleneck.report.text import run as terminal
from debottleneck.report.text.tables import MOST_ROWS

NAMES = list(examples.EXAMPLES)


def wide() -> Analysis:
    """An analysis with all causes in sight that one machine alone has."""
    alone = [cause for cause in words.CAUSES if cause != "collective"]
    every = {cause: 1.0 + index for index, cause in enumerate(alone)}
    return examples.build(examples.Plan(stages={"load": every, "other": every}))


def bare() -> Analysis:
    """An analysis in which steps were found and nothing else was."""
    built = examples.healthy()
    names = set(frames.COLUMNS) - {"steps", "step_stages"}
    loop = replace(built.loop, measured=0)
    empties = {name: frames.empty(name) for name in names}
    warm = built.steps.assign(block="warmup")
    return replace(built, loop=loop, steps=warm, **empties)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    """Every line fits the columns asked for, from 60 on; commands stay whole."""
    lines = terminal.render(examples.EXAMPLES[name](), width=width).splitlines()
    assert max(len(line) for line in lines if not line.startswith("Try first")) <= width


def test_colour_only_adds_escape_sequences() -> None:
    """Without its colours the coloured report is the plain one."""
    analysis = examples.input_bound()
    coloured = terminal.render(analysis, colour=True)
    assert "\x1b[" in coloured
    bare_text = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [x.rstrip() for x in bare_text.splitlines()] == terminal.render(
        analysis
    ).splitlines()


def test_causes_that_do_not_fit_are_summed_into_a_named_rest() -> None:
    """Too many at 80 columns: some become `rest`, sums stay the same; at 140 none."""
    narrow = terminal.render(wide()).splitlines()
    assert any(line.startswith("rest is ") for line in narrow)
    (head,) = (line for line in narrow if line.startswith("stage ") and "ms" in line)
    assert head.split()[-2:] == ["rest", "unattr."]
    _, ms, _, _, _, _, *causes = tables.row_causes(wide(), most=4).total
    assert len(causes) == 4
    assert sum(float(c.sort) for c in causes) == pytest.approx(float(ms.sort))
    assert "rest is" not in terminal.render(wide(), width=140)


def test_a_run_without_any_table_still_has_a_report() -> None:
    """Empty tables leave their sections out instead of failing."""
    assert "No quiet step was measured" in terminal.render(bare())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [70, 80, 120])
def test_numbers_stay_whole_beside_long_names(name: str, width: int) -> None:
    """Shares of waits have their sign however long the names beside them are."""
    lines = iter(terminal.render(examples.EXAMPLES[name](), width=width).splitlines())
    table = itertools.takewhile(str.strip, itertools.dropwhile(not_of_waits, lines))
    shares = [found for line in table for found in re.findall(r"(\d+\.\d)(.*)$", line)]
    assert [sign for _, sign in shares] == [" %"] * len(shares)
    waits = len(tables.gil_waits(examples.EXAMPLES[name]()).rows)
    assert len(shares) == min(waits, MOST_ROWS)


def not_of_waits(line: str) -> bool:
    """Whether a line is not yet the title of the table of waits for the GIL."""
    return line != "Waiting for the GIL"


def test_intervals_stay_where_no_cause_was_measured() -> None:
    """There is room for them beside no cause."""
    assert "95 % of ms" in terminal.render(examples.EXAMPLES["killed"]())


def test_roles_have_totals_where_no_step_is() -> None:
    """How long a role's threads were seen stands before their causes."""
    text = terminal.render(examples.EXAMPLES["no_steps"]())
    assert re.search(r"^trainer +1,000\.0 ", text, re.MULTILINE)
