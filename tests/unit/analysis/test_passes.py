"""All passes of the analysis together, on recordings of nothing or of little."""

from __future__ import annotations

import dataclasses
import math

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

from debottleneck.analysis import frames
from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.instruments import _marks as marks_row
from debottleneck.analysis.rules.measures import of_trainer
from debottleneck.prediction.verdict import judged
from debottleneck.recording.recording import Facts, NotMeasured, Recording


@pytest.mark.parametrize("name", sorted({*frames.COLUMNS} - {"instruments"}))
def test_a_pass_of_nothing_is_an_empty_table(name: str) -> None:
    """No rows, and the columns with their types."""
    pd.testing.assert_frame_equal(getattr(analyse(EMPTY), name), frames.empty(name))


def test_a_recording_of_nothing_is_analysed() -> None:
    """No loop, no finding; what is missing is said, with what to do."""
    found = analyse(EMPTY)
    assert not found.loop.found
    assert found.loop.unit == "second"
    assert found.findings == ()
    assert found.handovers_per_s is None
    assert [entry.what for entry in found.not_measured] == ["steps and stages"]
    assert found.not_measured[0].remedy == "profile for longer"
    assert judged(found).verdict.what
    assert judged(found).verdict.action
    assert found.instruments["note"].tolist() == ["cost not measured"]
    assert found.instruments["slowdown"].isna().all()


@pytest.mark.parametrize(("pair_us", "slower"), [(1.0, 1 / 999), (800.0, 4.0)])
def test_marks_slow_a_step_down_by_a_share_of_the_rest(
    pair_us: float, slower: float
) -> None:
    """Of a step of 1 ms with one pair."""
    rates = {"mark_pair_us": pair_us}
    assert marks_row(rates, 1.0, 1.0, 9, 1.0)["slowdown"] == pytest.approx(slower)


def test_short_steps_that_are_not_all_marked_are_said_to_be() -> None:
    """As many steps as stand for one that is marked."""
    rates = {"mark_pair_us": 200.0}
    note = marks_row(rates, 1.0, 1.0, 9, 6.25)["note"]
    assert note.endswith("in one of 6.25 steps, as steps are short: +3.2% over all")
    assert marks_row(rates, 1.0, 1.0, 9, 1.0)["note"].endswith("in every step")


@pytest.mark.parametrize("pair_us", [950.0, 1000.0, 7000.0])
def test_marks_as_long_as_a_step_are_divided_by_nothing(pair_us: float) -> None:
    """There is no telling what is left of the step without them."""
    row = marks_row({"mark_pair_us": pair_us}, 1.0, 1.0, 9, 1.0)
    assert math.isnan(row["slowdown"])


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


def test_marks_without_any_time_between_them() -> None:
    """Steps of no length have nothing that samples could fall in."""
    words = loop_words(12, {"load": (5, 5), "forward": (4, 4)})
    made = marks({PID: words})
    made["t_ns"] = made["t_ns"].iloc[0]
    tables = {"sites": sites(), "marks": made, "waits": waits([running(0, 500)])}
    assert analyse(Recording.of(FACTS, tables)).causes["ms_per_step"].sum() == 0


def test_rows_of_functions_that_are_there_twice_are_added_up() -> None:
    """A merge of the clocks makes one row of them, not one for each pair."""
    row = ("MainThread", "f", "train.py", 1, 2, 10, 20)
    columns = ("thread", "function", "file", "line", "calls", "self_ns", "total_ns")
    table = pd.DataFrame([row] * 600, columns=columns)
    both = [table.assign(clock=clock, tid=PID) for clock in ("wall", "cpu")]
    tables = {"functions": pd.concat(both, ignore_index=True)}
    found = analyse(Recording.of(FACTS, tables)).functions
    assert found["calls"].tolist() == [1200]


def test_too_few_steps_are_no_loop() -> None:
    """A loop of two iterations is seen, and said to be too short."""
    words = loop_words(2, {"load": (5, 5), "forward": (4, 4)})
    found = analyse(
        Recording.of(FACTS, {"sites": sites(), "marks": marks({PID: words})})
    )
    assert not found.loop.found
    assert "of 1 seen, too few steps" in found.loop.rule


@pytest.mark.parametrize(("looks", "cause"), [(1, "unattributed"), (12, "python")])
def test_causes_are_not_told_from_a_few_looks(looks: int, cause: str) -> None:
    """One look at a loop does not say that all of it is Python code."""
    words = loop_words(40, {"forward": (10, 10)})
    seen = [running(5 * n, 5 * n + 5) for n in range(60, 60 + looks)]
    tables = {"sites": sites(), "marks": marks({PID: words}), "waits": waits(seen)}
    found = analyse(Recording.of(FACTS, tables))
    assert set(of_trainer(found.causes)["cause"]) == {cause}
    assert ("causes" in [gap.what for gap in found.not_measured]) == (looks < 10)


def test_steps_after_the_end_of_measuring_are_not_counted() -> None:
    """`ended_by` steps: the script trained on, the report does not."""
    words = loop_words(40, {"load": (10, 10)})
    facts = dataclasses.replace(FACTS, end_ns=200 * MS)
    tables = {"sites": sites(), "marks": marks({PID: words})}
    assert len(analyse(Recording.of(facts, tables)).steps) == 20
