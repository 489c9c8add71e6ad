"""What marks take is taken out: the loop's times are those that it has without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_rows import LOOP, Script
from made_runs import MS, table, wait, waits

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.perturbation import unperturbed
from debottleneck.analysis.result import Analysis
from debottleneck.recording.spool import STEP_END

PLAIN = {10: 0.001, 11: 0.004, 12: 0.009}
"""Line -> milliseconds of the statements."""

STEP = sum(PLAIN.values())
STRETCH, TURNS = 9, 60


def marked(
    each: float = 0.002, own: float = 0.008, noise: float = 0.0, slower: float = 1.0
) -> Script:
    """One iteration in ten is marked: a mark takes `each`, to begin one `own` more.

    What is marked takes `slower` times as long.
    """
    draws = noise * np.random.default_rng(0).random(TURNS * (STRETCH + 1))
    made = Script()
    for turn in range(TURNS):
        made.turn(STRETCH if turn else 0)
        made.run(own)
        for line, ms in PLAIN.items():
            made.line(line, LOOP if line == 10 else "W -= f(x)", slower * ms + each)
        first, *others = draws[turn * (STRETCH + 1) :][: STRETCH + 1]
        made.run(first)
        made.turn()
        made.run(own / 2)
        made.unmarked(0, STRETCH * STEP + sum(others))
    made.left(STRETCH)
    return made


def shares(found: Analysis) -> dict[str, float]:
    """Row -> milliseconds a step."""
    return dict(zip(found.stages["stage"], found.stages["ms_per_step"], strict=True))


@pytest.mark.parametrize("each", [0.0005, 0.002, 0.02])
@pytest.mark.parametrize("own", [0.001, 0.03])
def test_rows_of_short_steps_are_those_of_the_plain_loop(
    each: float, own: float
) -> None:
    """However much longer an iteration is that is marked."""
    found = analyse(marked(each, own).recording())
    assert found.loop.step_ms == pytest.approx(STEP, rel=1e-3)
    rows = {f"train.py:{line}": ms for line, ms in PLAIN.items()}
    assert shares(found) == pytest.approx(rows, abs=1e-5)
    assert set(found.steps["block"]) == {"quiet", "bulk"}
    assert found.loop.count == (STRETCH + 1) * TURNS


def test_where_caches_were_displaced_statements_are_as_long_as_else() -> None:
    """Marked ones are slower by a fifth, marks take what they take in a row."""
    made = marked(0.001, slower=1.2).recording()
    rates = {"mark_pair_us": 2.0}
    found = analyse(replace(made, facts=replace(made.facts, rates=rates)))
    rows = {f"train.py:{line}": ms for line, ms in PLAIN.items()}
    assert shares(found) == pytest.approx(rows, abs=1e-5)


def test_no_iteration_is_lost() -> None:
    """Though marks seem to take longer than a statement that is almost nothing."""
    before = marked(0.02).recording().marks
    after = unperturbed(marked(0.02).recording()).marks
    assert (after[["t_ns", "cpu_ns"]].diff().dropna() >= 0).all(axis=None)
    assert after["t_ns"].iloc[-1] < before["t_ns"].iloc[-1]


def test_what_is_the_agents_alone_is_no_time_of_the_loop() -> None:
    """Where each iteration is marked: what begins it is known, the rest is little."""
    made = Script()
    for _ in range(40):
        made.turn()
        made.run(0.5)
        made.line(10, LOOP, 1)
        made.line(11, "W -= f(x)", 4)
    made.left(1)
    found = analyse(made.recording())
    assert shares(found) == pytest.approx({"train.py:10": 1, "train.py:11": 4})


def test_times_in_which_an_instrument_slows_the_loop_tell_nothing() -> None:
    """The first quarter of the run is ten times as slow."""
    plain = marked().recording()
    quarter = int(plain.marks["t_ns"].quantile(0.25))
    slowed = {
        column: plain.marks[column] + 9 * plain.marks[column].clip(upper=quarter)
        for column in ("t_ns", "cpu_ns")
    }
    marks = plain.marks.assign(**slowed)
    blocks = table("blocks", [("stacks", 0, 10 * quarter)])
    facts = replace(plain.facts, end_ns=int(marks["t_ns"].max()) + 1)
    found = analyse(replace(plain, facts=facts, marks=marks, blocks=blocks))
    assert found.loop.step_ms == pytest.approx(STEP, rel=1e-3)


def test_what_cannot_be_told_is_taken_as_it_was_measured_before() -> None:
    """Iterations differ by more than marks could take."""
    made = marked(0.002, 0.0, noise=0.5).recording()
    rates = {"mark_pair_us": 4.0}
    known = replace(made, facts=replace(made.facts, rates=rates))
    without, found = analyse(made), analyse(known)
    less = without.loop.step_ms - found.loop.step_ms
    assert less == pytest.approx(3 * 0.002, rel=0.01)


def test_samples_stay_where_they_were_taken() -> None:
    """A wait in the last row of each marked iteration is that row's."""
    made = Script()
    ticks = []
    for turn in range(TURNS):
        made.turn(STRETCH if turn else 0)
        made.run(0.5)
        made.line(10, LOOP, 1.1)
        made.line(11, "W -= f(x)", 2.1, sleep=3)
        ticks.append(wait(made.at - 3, made.at, "sleep"))
        made.turn()
        made.run(0.2)
        made.unmarked(0, STRETCH * 3)
        made.run(0, sleep=STRETCH * 3)
    made.left(STRETCH)
    found = analyse(made.recording(waits=waits(ticks)))
    causes = found.causes[found.causes["role"] == "trainer"]
    sleeps = causes[causes["cause"] == "sleep"].set_index("stage")["ms_per_step"]
    assert sleeps.to_dict() == pytest.approx({"train.py:11": 3}, abs=0.01)
    assert found.loop.step_ms == pytest.approx(6, rel=0.01)


def test_a_loop_within_has_its_own_iterations_to_compare() -> None:
    """Where each step is marked: of its short iterations only some are."""
    made, each = Script(), 0.002
    for _ in range(TURNS):
        made.turn()
        made.line(10, LOOP, 1)
        made.line(20, "while i", 0)
        loop = made.inner(20, 22)
        made.begin(loop)
        made.run(0.1)
        made.line(20, "while i", each, within=loop)
        made.line(21, "a = f(i)", 0.01 + each, within=loop)
        made.line(22, "b = f(a)", 0.03 + each, within=loop)
        made.begin(loop, 1)
        made.run(0.1)
        made.unmarked(loop, 9 * 0.04)
        made.begin(loop, 9, STEP_END)
        made.run(0.1)
        made.line(20, "while i", 0)
    made.left(1)
    rows = {"train.py:10": 1, "train.py:21": 0.1, "train.py:22": 0.3}
    found = shares(analyse(made.recording()))
    assert found.pop("other") < 1e-4
    assert found == pytest.approx(rows, abs=1e-3)


@pytest.mark.parametrize(
    ("state", "queued", "cause"),
    [("running", 0, "native"), ("running", 1, ""), ("sleep", 0, "")],
)
def test_causes_of_steps_too_short_to_see(state: str, queued: int, cause: str) -> None:
    """What nearly all samples of unmarked iterations say holds for every statement."""
    made = marked()
    ends = [t for _, _, t, _, site, edge, _ in made.marks if site == 0 and edge == 0]
    times = [(t / MS + 0.01, t / MS + 0.05) for t in ends]
    ticks = waits([wait(*t, state) for t in times])
    ticks["delay_ns"] = queued * (ticks["end_ns"] - ticks["start_ns"])
    causes = analyse(made.recording(waits=ticks)).causes
    causes = causes[causes["role"] == "trainer"]
    sums = causes.groupby("cause")["ms_per_step"].sum().to_dict()
    assert sums == pytest.approx({cause or "unattributed": STEP}, abs=1e-5)
