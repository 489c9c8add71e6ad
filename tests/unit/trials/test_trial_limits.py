"""Limits: how they are written, what a run has of each, and what CI reads of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import examples
import pytest
from made_runs import (
    FACTS,
    PID,
    loop_words,
    marks,
    running,
    sites,
    table,
    threads,
    waits,
)

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.recording.assemble import load
from debottleneck.recording.recording import NotMeasured, Recording
from debottleneck.report.checked import render, sentence
from debottleneck.trials.limits import Limit, check


def run(folder: Path, load_ms: float = 20.0) -> Analysis:
    """A saved recording of steps of so many ms of loading and 10 of forward."""
    words = loop_words(40, {"load": (load_ms, 5), "forward": (10, 10)})
    end = round(words[-1][0])
    ticks = [running(at, at + 5) for at in range(0, end, 5)]
    tables = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words}),
        "waits": waits(ticks),
        "details": table("details", [(0, "", "")]),
    }
    Recording.of(FACTS, tables).save(folder)
    return analyse(load(folder))


@pytest.mark.parametrize(
    ("text", "most", "is_share", "grows"),
    [
        ("load=25%", 0.25, True, False),
        ("step=12ms", 12.0, False, False),
        ("step=0.5s", 500.0, False, False),
        ("train.py:17=80us", 0.08, False, False),
        ("step=+10%", 0.1, True, True),
        ("gil=+2%", 0.02, True, True),
    ],
)
def test_a_limit_is_a_time_or_a_share(
    text: str, most: float, is_share: bool, grows: bool
) -> None:
    """By its unit; with a plus it is of what is more than in the baseline."""
    limit = Limit.parse(text)
    assert math.isclose(limit.most, most)
    assert (limit.is_share, limit.grows) == (is_share, grows)
    assert limit.name == text.partition("=")[0]


@pytest.mark.parametrize(
    "text", ["load", "load=", "load=25", "=3%", "step=5%", "a=-1s"]
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    """With a limit that is one."""
    with pytest.raises(UsageError, match=r"--max .*load=25%"):
        Limit.parse(text)


def kept(analysis: Analysis, text: str, baseline: Analysis | None = None) -> bool:
    """Whether the run keeps that limit."""
    (result,) = check(analysis, [Limit.parse(text)], baseline)
    return result.kept


def test_the_step_its_rows_and_causes_have_limits(tmp_path: Path) -> None:
    """Of 30 ms two thirds load, half of it on a core, and nothing is a wait."""
    made = run(tmp_path / "run")
    assert kept(made, "step=31ms")
    assert not kept(made, "step=29ms")
    assert kept(made, "load=70%")
    assert not kept(made, "load=60%")
    assert kept(made, "load=21ms")
    assert not kept(made, "load=19ms")
    assert kept(made, "gil=1%")
    assert not kept(made, "python=1%")


def test_beside_a_baseline_only_what_is_clearly_above_exceeds(tmp_path: Path) -> None:
    """Runs differ by themselves: 2 % more than allowed is inside the interval."""
    before = run(tmp_path / "before")
    little, much = run(tmp_path / "little", 22.1), run(tmp_path / "much", 40)
    assert kept(little, "step=+5%", before)
    assert not kept(much, "step=+5%", before)
    assert not kept(much, "load=+5%", before)
    assert kept(much, "load=+20%", before)
    assert not kept(much, "load=+15ms", before)
    (result,) = check(little, [Limit.parse("step=+5%")], before)
    assert result.found.value > 0.05 > result.found.low
    assert "not clearly" in sentence(result)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("backward=5%", "no row 'backward'; .*load, forward"),
        ("step=+5%", "baseline; .*--baseline"),
    ],
)
def test_what_cannot_be_told_is_no_pass(tmp_path: Path, text: str, words: str) -> None:
    """A limit of nothing would be kept for ever."""
    with pytest.raises(UsageError, match=words):
        check(run(tmp_path / "run"), [Limit.parse(text)])


def test_a_cause_that_was_not_measured_is_no_pass(tmp_path: Path) -> None:
    """Nor is a run without steps."""
    made = run(tmp_path / "run")
    gap = NotMeasured("waits", "switched off", "leave out --no-waits")
    no_gil = NotMeasured("gil", "a free-threaded build")
    assert kept(replace(made, not_measured=(no_gil,)), "network=1%")
    with pytest.raises(UsageError, match="python was not measured: a free-threaded"):
        kept(replace(made, not_measured=(no_gil,)), "python=1%")
    unseen = replace(made, not_measured=(gap,))
    with pytest.raises(UsageError, match="gil was not measured: switched off; leave"):
        check(unseen, [Limit.parse("gil=5%")])
    none = examples.EXAMPLES["no_steps"]()
    with pytest.raises(UsageError, match="no steps to check"):
        check(none, [Limit.parse("step=5ms")])
    with pytest.raises(UsageError, match="no steps to check"):
        check(made, [Limit.parse("step=+5%")], none)


def test_load_is_what_makes_batches_where_no_stage_is_called_so() -> None:
    """Lines that training only takes from; the place is the heaviest one's."""
    made = examples.EXAMPLES["lined"]()
    rows = made.rows.assign(side="")
    rows.loc[0, "side"] = "input"
    row = str(rows.loc[0, "row"])
    stages = made.stages[made.stages["stage"] != "load"]
    made = replace(made, rows=rows, stages=stages)
    share = float(stages.loc[stages["stage"] == row, "share"].iloc[0])
    (result,) = check(made, [Limit.parse("load=1%")])
    assert math.isclose(result.found.value, share)
    assert result.where is not None
    assert result.where.line == int(rows.loc[0, "line"])


def rendered(format: str, **more: Any) -> str:
    """Two limits of a loop that waits for its input, the second one kept."""
    made = replace(examples.EXAMPLES["input_bound"](), **more)
    limits = [Limit.parse(text) for text in ("load=25%", "step=9s")]
    return render(check(made, limits), made, format)


def test_a_terminal_reads_sentences_and_what_to_do() -> None:
    """Each limit in a line, then the verdict."""
    lines = rendered("text").splitlines()
    assert lines[0].startswith("FAILED  load takes 5")
    assert lines[0].endswith("more than the 25% allowed")
    assert lines[1].startswith("ok      the step takes 1")
    assert [line.split()[0] for line in lines[3:]] == ["What", "Where", "Do", "More"]


def test_junit_has_a_case_for_each_limit() -> None:
    """With the sentence as the failure's message."""
    suite = ElementTree.fromstring(rendered("junit").encode())
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    names = [case.get("name") for case in suite]
    assert names == ["load=25%", "step=9s"]
    failures = [case.find("failure") for case in suite]
    assert failures[1] is None
    assert failures[0] is not None
    assert "more than the 25% allowed" in (failures[0].get("message") or "")
    assert "data.py:41" in (failures[0].text or "")


def test_github_annotates_the_line() -> None:
    """As its workflow commands are escaped; kept limits are notices."""
    error, notice = rendered("github").splitlines()
    place = "file=data.py,line=41"
    assert error.startswith(f"::error title=bottleneck%3A load=25%25,{place}::load")
    assert "%25 of the step" in error
    assert notice.startswith("::notice ")


def test_markdown_is_a_table() -> None:
    """For a job's summary."""
    lines = rendered("markdown").splitlines()
    assert lines[0] == "### bottleneck: 1 limit of 2 exceeded"
    assert lines[4].startswith("| `load=25%` | **exceeded** | load takes")
    assert lines[5].startswith("| `step=9s` | kept | ")
