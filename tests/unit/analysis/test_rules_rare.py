"""Stalls now and then, and steps that get slower."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_loops import kinds, loop_of, only, rows
from made_runs import MS

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.rare import period

Causes = dict[tuple[str, str], float]
STAGES: Causes = {("forward", "native"): 0.7, ("checkpoint", "disk"): 0.3}


def loop(
    stages: Sequence[dict[str, float]],
    first: int = 0,
    causes: Causes = STAGES,
    load: float = 0.0,
    cpu: Collection[str] = (),
    **told: object,
) -> Analysis:
    """A loop whose steps have these stages, in milliseconds; those of `cpu` compute."""
    steps, parts, at = [], [], 0
    for number, step in enumerate(stages, first):
        wall = round(sum(step.values()) * MS)
        times = {"start_ns": at, "end_ns": at + wall, "wall_ns": wall}
        steps.append({"step": number, "block": "quiet", **times})
        at += wall
        parts += [
            {"step": number, "stage": stage, "wall_ns": round(ms * MS)}
            | {"cpu_ns": round(ms * MS) if stage in cpu else 0}
            for stage, ms in step.items()
        ]
    tables = {"steps": rows("steps", steps), "step_stages": rows("step_stages", parts)}
    made = loop_of(causes, environment={"foreign_load": load}, told=told)
    return replace(made, **tables)


def test_every_tenth_step_stalls() -> None:
    """The finding has the period, how long, which row and why."""
    usual, slow = {"forward": 10.0}, {"forward": 10.0, "checkpoint": 90.0}
    found = loop([slow if n % 10 == 4 else usual for n in range(60)])
    one = only(diagnose(found), "periodic-stall")
    assert (one.stage, one.cause) == ("checkpoint", "disk")
    assert (
        "Every 10 steps one takes 10 times as long as the others (10 ms)" in one.summary
    )
    assert one.share == pytest.approx(0.9 / 1.9, abs=0.01)


def test_stalls_without_order_are_so_many() -> None:
    """Where they keep no order only their number is said."""
    usual, slow = {"forward": 10.0}, {"forward": 10.0, "checkpoint": 90.0}
    found = loop([slow if n in (3, 4, 11, 29, 30) else usual for n in range(50)])
    one = only(diagnose(found), "periodic-stall")
    assert one.summary.startswith("One step in 10 takes")
    assert one.evidence["every_steps"] == 0


def test_an_evaluation_is_no_stall() -> None:
    """That it takes long and comes seldom is what it is for."""
    usual, slow = {"forward": 10.0}, {"forward": 10.0, "evaluate": 90.0}
    steps = [slow if n % 10 == 4 else usual for n in range(60)]
    assert "periodic-stall" not in kinds(diagnose(loop(steps)))


@pytest.mark.parametrize("load", [0.1, 1.5])
def test_other_work_s_stalls_are_not_the_script_s(load: float) -> None:
    """Where other work takes the cores, waits for one are said to be its doing."""
    usual, slow = {"forward": 10.0}, {"forward": 10.0, "backward": 90.0}
    causes = {("forward", "native"): 0.7, ("backward", "runqueue"): 0.3}
    steps = [slow if n % 10 == 4 else usual for n in range(60)]
    found = diagnose(loop(steps, causes=causes, load=load))
    assert ("periodic-stall" in kinds(found)) is (load < 1)


@pytest.mark.parametrize(("load", "every"), [(0.1, 0), (1.5, 0), (1.5, 10)])
def test_computing_that_stalls_on_a_busy_machine_needs_an_order(
    load: float, every: int
) -> None:
    """BLAS spins where it lacks a core; the script's own come every so many steps."""
    usual, slow = {"forward": 10.0}, {"forward": 90.0}
    at = range(4, 60, 10) if every else (3, 4, 11, 29, 30)
    steps = [slow if n in at else usual for n in range(60)]
    found = diagnose(loop(steps, load=load, cpu=["forward"]))
    assert ("periodic-stall" in kinds(found)) is (load < 1 or every > 0)


def test_a_stall_has_the_cause_of_what_it_adds() -> None:
    """A row that computes in every step may wait in some."""
    usual, slow = {"forward": 10.0, "log": 0.0}, {"forward": 10.0, "log": 90.0}
    causes = {("log", "python"): 0.5, ("log", "disk"): 0.1, ("forward", "native"): 0.4}
    steps = [slow if n % 10 == 4 else usual for n in range(60)]
    waits = only(diagnose(loop(steps, causes=causes)), "periodic-stall")
    works = only(diagnose(loop(steps, causes=causes, cpu=["log"])), "periodic-stall")
    assert (waits.cause, works.cause) == ("disk", "python")


@pytest.mark.parametrize("ms", [10.0, 14.0])
def test_steps_that_scatter_do_not_stall(ms: float) -> None:
    """Neither two stalls nor some steps of other lengths are a finding."""
    steps = [{"forward": ms if n % 3 else 10.0} for n in range(60)]
    steps[7] = {"forward": 300.0}
    assert "periodic-stall" not in kinds(diagnose(loop(steps)))


def test_steps_that_get_slower() -> None:
    """The row that grows is named, and by how much with its interval."""
    steps = [{"forward": 10.0, "log": 1 + 0.1 * n} for n in range(60)]
    one = only(diagnose(loop(steps)), "drift")
    assert one.stage == "log"
    assert one.evidence["times_low"] <= one.evidence["times"]
    assert "Steps get slower" in one.summary


def test_what_grew_meanwhile_is_said() -> None:
    """Memory and open files, where they did."""
    steps = [{"forward": 10.0, "log": 1 + 0.1 * n} for n in range(60)]
    found = diagnose(loop(steps, sizes=((200, 900), (20, 21))))
    one = only(found, "drift")
    assert one.summary.endswith("; meanwhile 200 MB of memory became 900.")
    assert one.evidence["MB_of_memory"] == (200, 900)


def test_rows_that_all_grow_are_a_slower_machine() -> None:
    """One row of the script's own has most of its drift."""
    steps = [dict.fromkeys(("load", "forward", "log"), 10 + 0.1 * n) for n in range(60)]
    assert "drift" not in kinds(diagnose(loop(steps)))


@pytest.mark.parametrize("seconds", [2, 14])
def test_a_start_that_takes_long_is_said_last(seconds: int) -> None:
    """With the lines that took most of it; it is no part of a step."""
    line = ("/w/train.py", 3, "import torch", 9000)
    steps = [{"forward": 10.0}] * 60
    made = loop(steps, beginning=(line,), end_ns=seconds * 1000 * MS)
    later = made.steps.assign(start_ns=made.steps["start_ns"] + seconds * 900 * MS)
    found = diagnose(replace(made, steps=later))
    assert ("slow-start" in kinds(found)) is (seconds > 2)
    if seconds > 2:
        one = found[-1]
        assert one.summary.startswith("13 s pass before the first step, 90 % of the")
        assert "9.0 s at train.py:3 (`import torch`)" in one.summary
        assert one.share == 0


def test_even_steps_do_not_drift() -> None:
    """Nor do those that only scatter."""
    rng = np.random.default_rng(3)
    steps = [{"forward": float(10 + rng.random())} for _ in range(60)]
    assert "drift" not in kinds(diagnose(loop(steps)))


@pytest.mark.parametrize(
    ("numbers", "every"),
    [
        ([5, 25, 45, 85], 20),
        ([0, 7, 14, 21, 28, 36], 0),
        (list(range(3, 300, 10)), 10),
        ([0, 40, 100, 140, 200], 20),
        ([1, 2, 3], 0),
    ],
)
def test_the_period_of_steps(numbers: list[int], every: int) -> None:
    """Some may be missing, as other instruments had those steps."""
    assert period(np.array(numbers, np.int64)) == every
