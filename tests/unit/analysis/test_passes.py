"""Every pass of the analysis on a recording of nothing, and all of them together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_runs import (
    EMPTY,
    FACTS,
    MS,
    PID,
    loop_words,
    marks,
    running,
    sites,
    threads,
    wait,
    waits,
)

from debottleneck.analysis import code, frames, gil
from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.functions import function_table
from debottleneck.analysis.instruments import instrument_table
from debottleneck.analysis.roles import roles_of
from debottleneck.analysis.steps import find_loop, label, with_stages
from debottleneck.analysis.threads import (
    QuietTime,
    cause_totals,
    causes_of_roles,
    thread_table,
)
from debottleneck.analysis.timeline import marks_by_thread, segments_of
from debottleneck.recording.loop import NONE
from debottleneck.recording.recording import Facts, NotMeasured, Recording

SEGMENTS = frames.empty("segments")
STEPS = frames.empty("steps")
CAUSES = frames.empty("causes")
NO_TIME = QuietTime(np.empty(0, np.int64), np.empty(0, np.int64), 0.0)
ALL_TIME = QuietTime(np.array([0]), np.array([FACTS.end_ns]), 10.0)
CODE = code.StackCode({}, {}, {})


def samples() -> pd.DataFrame:
    """Samples of no stacks."""
    return code.sampled(EMPTY, CODE, SEGMENTS, {})


PASSES: dict[str, tuple[Callable[[], Any], str]] = {
    "segments": (lambda: segments_of(marks_by_thread(EMPTY)), "segments"),
    "steps": (lambda: label(NONE, EMPTY.blocks, 0, None)[0], "steps"),
    "stages": (lambda: with_stages(STEPS, SEGMENTS)[0], "step_stages"),
    "threads": (
        lambda: thread_table(EMPTY, cause_totals(EMPTY, SEGMENTS, ALL_TIME), {}),
        "threads",
    ),
    "roles": (lambda: causes_of_roles({}, {}, NO_TIME, without=""), "causes"),
    "lines": (lambda: code.line_table(samples(), CODE), "lines"),
    "flame": (lambda: code.flame_table(samples(), CODE), "flame"),
    "gil": (
        lambda: gil.wait_table(EMPTY, CAUSES, SEGMENTS, {}, ALL_TIME, {}),
        "gil_waits",
    ),
    "waited": (
        lambda: gil.waited_on(EMPTY, CAUSES, SEGMENTS, {}, ALL_TIME),
        "waited_on",
    ),
    "functions": (lambda: function_table(EMPTY, {}), "functions"),
}


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_of_nothing_is_an_empty_table(name: str) -> None:
    """No rows, and the columns with their types."""
    run, table = PASSES[name]
    pd.testing.assert_frame_equal(run(), frames.empty(table))


def test_passes_without_a_table() -> None:
    """No thread has a role, none trains, nothing was handed over or held."""
    assert marks_by_thread(EMPTY) == {}
    assert find_loop(EMPTY, {}) == (PID, NONE)
    assert roles_of(EMPTY, PID, SEGMENTS) == {}
    assert cause_totals(EMPTY, SEGMENTS, ALL_TIME) == {}
    assert gil.handovers_per_s(EMPTY, ALL_TIME) is None
    assert code.holders(samples(), CODE) == {}
    assert code.code_of(EMPTY) == CODE


def test_marks_always_have_a_line_among_the_instruments() -> None:
    """Their cost is stated even when it was not measured."""
    table = instrument_table(EMPTY, STEPS, 0.0)
    assert table["note"].tolist() == ["cost not measured"]
    assert table["slowdown"].isna().all()


def test_a_recording_of_nothing_is_analysed() -> None:
    """No loop, no finding; what is missing is said, with the way to mark it."""
    found = analyse(EMPTY)
    assert not found.loop.found
    assert found.loop.unit == "second"
    assert found.findings == ()
    assert found.handovers_per_s is None
    assert [entry.what for entry in found.not_measured] == ["steps and stages"]
    assert "--stage" in found.not_measured[0].remedy
    assert found.verdict.what
    assert found.verdict.action
    for name in frames.COLUMNS:
        table = getattr(found, name)
        assert list(table.columns) == list(frames.COLUMNS[name])
        assert table.empty or name == "instruments"


def test_what_the_recording_lacks_is_handed_on() -> None:
    """Reasons of the collectors come before the analysis' own."""
    missing = NotMeasured("stacks", "py-spy is missing", "pip install py-spy")
    facts = dataclasses.replace(FACTS, not_measured=(missing,))
    found = analyse(Recording.of(facts, {}))
    assert found.not_measured[0] == missing
    assert len(found.not_measured) == 2


def test_a_run_without_a_loop_is_measured_by_the_second() -> None:
    """Threads and causes of the whole run, with a sentence on marking stages."""
    facts: Facts = dataclasses.replace(FACTS, end_ns=1000 * MS)
    rows = [running(0, 500), wait(500, 1000, "network", detail=0)]
    tables = {"threads": threads((PID, "MainThread")), "waits": waits(rows)}
    found = analyse(Recording.of(facts, tables))
    assert not found.loop.found
    assert found.stages.empty
    causes = found.causes.set_index("cause")["ms_per_step"].to_dict()
    assert causes == {"python": pytest.approx(500), "network": pytest.approx(500)}
    assert found.threads["role"].tolist() == ["trainer"]


def test_too_few_steps_are_no_loop() -> None:
    """A loop of two iterations is seen, and said to be too short."""
    words = loop_words(2, {"load": (5, 5), "forward": (4, 4)})
    found = analyse(
        Recording.of(FACTS, {"sites": sites(), "marks": marks({PID: words})})
    )
    assert not found.loop.found
    assert "only 1 steps were seen" in found.loop.rule


def test_steps_after_the_end_of_measuring_are_not_counted() -> None:
    """`ended_by` steps: the script trained on, the report does not."""
    words = loop_words(40, {"load": (10, 10)})
    facts = dataclasses.replace(FACTS, end_ns=200 * MS)
    tables = {"sites": sites(), "marks": marks({PID: words})}
    assert len(analyse(Recording.of(facts, tables)).steps) == 20
