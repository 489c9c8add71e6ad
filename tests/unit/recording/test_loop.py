"""Finding steps: one test a rule, on loops written as a row of stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debottleneck.recording import loop
from debottleneck.recording.loop import CODE, Marks, choose_trainer, find_steps
from debottleneck.recording.spool import ENTER, LEAVE, STEP_END, STEP_START
from debottleneck.words import STAGES, STEP

TICK = 10
"""Nanoseconds between two marks of a written loop."""


def marks(row: str) -> Marks:
    """`load forward [evaluate load ] update` as the marks of one thread.

    A word is a stage entered and left; `[word` enters it and `]` leaves the last one
    entered; `|` and `||` begin and end explicit steps; `zero_grad` is a minor update.
    """
    made: list[tuple[int, int, bool]] = []
    open_stages: list[int] = []
    for word in row.split():
        if word in ("|", "||"):
            edge = STEP_START if word == "|" else STEP_END
            made.append((edge, CODE[STEP], False))
        elif word == "]":
            made.append((LEAVE, open_stages.pop(), False))
        elif word.startswith("["):
            open_stages.append(CODE[word[1:]])
            made.append((ENTER, open_stages[-1], False))
        else:
            minor = word == "zero_grad"
            code = CODE["update" if minor else word]
            made += [(ENTER, code, minor), (LEAVE, code, minor)]
    edges, stages, minors = (list(column) for column in zip(*made, strict=True))
    times = np.arange(1, len(made) + 1, dtype=np.int64) * TICK
    return Marks(times, np.array(edges), np.array(stages), np.array(minors, bool))


def begins(row: str) -> list[int]:
    """Positions of the marks at which steps begin, 0 for the first mark."""
    return [int(t) // TICK - 1 for t in find_steps(marks(row)).start]


TRAIN = "load forward loss backward update "


def test_each_load_begins_a_step() -> None:
    """The plain loop: a step from each load to the next."""
    found = find_steps(marks(TRAIN * 4))
    assert found.rule == "a step begins at each load"
    assert len(found) == 3
    assert list(found.start) == [10, 110, 210]
    assert list(found.end) == [110, 210, 310]


def test_a_phase_of_input_is_one_step() -> None:
    """Several loads, augment and transfer before computing belong together."""
    row = "load load augment load transfer forward update " * 3
    assert begins(row) == [0, 14]


def test_a_load_with_its_rows_nested_counts_once() -> None:
    """A collate that fetches rows is one load; inner loads bound nothing."""
    row = "[load load load augment ] forward backward update " * 3
    assert begins(row) == [0, 14]


def test_accumulated_gradients_keep_a_step_a_load() -> None:
    """Four loads an update: each load is a step."""
    row = ("load forward backward " * 4 + "update ") * 3
    assert len(begins(row)) == 11


def test_a_load_an_epoch_bounds_no_steps() -> None:
    """Far fewer loads than updates: each update ends a step."""
    row = ("load " + "forward backward update " * 40) * 2
    found = find_steps(marks(row))
    assert found.rule == "a step ends with each update"
    assert len(found) == 79


def test_a_row_of_updates_is_one_update() -> None:
    """An update a parameter, and layers' backward before: one step."""
    row = "forward forward backward backward update update update " * 4
    assert len(find_steps(marks(row))) == 3


def test_zero_grad_bounds_nothing() -> None:
    """`zero_grad` belongs to a step but does not end one."""
    row = "zero_grad forward backward update " * 4
    found = find_steps(marks(row))
    assert len(found) == 3
    assert list(np.diff(found.start)) == [80, 80]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("forward loss backward ", "a step ends with each backward pass"),
        ("forward loss ", "a step begins at each forward"),
        ("forward ", "a step begins at each forward"),
        ("update ", "a step begins at each update"),
        ("backward ", "a step begins at each backward"),
        ("augment ", "a step begins at each augment"),
        ("loss ", "a step begins at each loss"),
        ("load ", "a step begins at each load"),
        ("load augment ", "a step begins at each load"),
    ],
)
def test_what_is_left_bounds_the_steps(row: str, rule: str) -> None:
    """A loop that shows less is bounded by what it shows."""
    found = find_steps(marks(row * 5))
    assert (found.rule, len(found)) == (rule, 4)


@pytest.mark.parametrize("row", ["load", TRAIN, "evaluate log checkpoint " * 5])
def test_no_loop_no_steps(row: str) -> None:
    """Once is no loop, and what lies between steps makes none."""
    assert len(find_steps(marks(row))) == 0


def test_an_evaluation_within_evaluate_is_no_step() -> None:
    """Loads and forward passes inside `evaluate` bound nothing."""
    row = (TRAIN * 3 + "[evaluate " + "load forward " * 5 + "] ") * 2
    assert len(begins(row)) == 5


def test_a_function_with_a_training_name_within_evaluate_bounds_nothing() -> None:
    """A step function's calls count only where the loop shows them outside."""
    row = "[step forward backward update ] " * 4 + "[evaluate forward forward ] "
    found = find_steps(marks(row))
    assert found.rule == "a step begins at each call of the step function"
    assert len(found) == 3


def test_an_evaluation_without_a_name_is_left_out() -> None:
    """Loads that no training follows, in a loop that trains, are no steps."""
    found = find_steps(marks(TRAIN * 6 + "load forward loss " * 4 + TRAIN * 6))
    starts = [int(t) // TICK - 1 for t in found.start]
    assert len(found) == 11
    evaluated = range(60, 84)
    assert not [at for at in starts if at in evaluated]


def test_an_inference_loop_has_steps() -> None:
    """A loop that only computes forward, as a whole, is a loop."""
    assert len(find_steps(marks("load forward " * 6))) == 5


def test_a_step_function_bounds_what_has_no_loads() -> None:
    """Calls of a step function bound the steps; stages inside belong to them."""
    row = "[step forward loss backward update ] " * 4
    found = find_steps(marks(row))
    assert found.rule == "a step begins at each call of the step function"
    assert list(np.diff(found.start)) == [100, 100]


def test_loads_come_before_a_step_function() -> None:
    """With loads outside of it, a step begins at the load that feeds it."""
    row = "load [step forward backward update ] " * 4
    found = find_steps(marks(row))
    assert found.rule == "a step begins at each load"
    assert len(found) == 3


def test_explicit_steps_override_everything() -> None:
    """`step()` in the script decides, and its end ends the last one."""
    row = "| load forward load forward " * 3 + "|| load forward load forward"
    found = find_steps(marks(row))
    assert found.rule == "a step begins where the script marks it with step()"
    assert [int(t) // TICK - 1 for t in found.start] == [0, 9, 18]
    assert int(found.end[-1]) // TICK - 1 == 27


def test_time_between_two_explicit_loops_is_no_step() -> None:
    """From the end of one loop to the first step of the next nothing counts."""
    epoch = "| load forward | load forward || "
    found = find_steps(marks(epoch + "evaluate checkpoint " + epoch))
    assert len(found) == 4
    gaps = found.start[1:] - found.end[:-1]
    assert sorted(gaps) == [0, 0, 50]


def test_a_single_explicit_step_is_not_enough() -> None:
    """One mark is no loop: the other rules decide."""
    assert find_steps(marks("| " + TRAIN * 3)).rule == "a step begins at each load"


@pytest.mark.parametrize(
    ("threads", "main", "trainer", "steps"),
    [
        ({1: TRAIN * 5}, 1, 1, 4),
        ({1: TRAIN * 5, 2: "load augment " * 50}, 1, 1, 4),
        ({1: "load augment " * 50, 2: TRAIN * 5}, 1, 2, 4),
        ({1: "log", 2: "forward update " * 5}, 1, 2, 4),
        ({1: "load " * 8}, 1, 1, 7),
        ({2: "load " * 8}, 1, 1, 0),
        ({1: "forward update " * 5, 2: "forward update " * 5}, 2, 2, 4),
        ({1: "forward " * 50, 2: "| forward | forward | forward"}, 1, 2, 2),
        ({}, 1, 1, 0),
    ],
    ids=[
        "alone",
        "beside a loader",
        "in another thread",
        "main only logs",
        "main only loads",
        "a thread that only loads",
        "equals: the main one",
        "marked by hand",
        "nobody",
    ],
)
def test_the_trainer_is_the_thread_that_trains(
    threads: dict[int, str], main: int, trainer: int, steps: int
) -> None:
    """A loader is no trainer, unless it is the main thread and nobody else trains."""
    rows = {tid: marks(row) for tid, row in threads.items()}
    tid, found = choose_trainer(rows, main)
    assert (tid, len(found)) == (trainer, steps)


def test_outermost_keeps_entries_and_leavings_only_at_the_top() -> None:
    """Inner stages and step functions are taken out."""
    outer = loop.outermost(marks("[step [load augment load ] forward ] | update"))
    names = [list(CODE)[stage] for stage in outer.stage]
    assert names == ["load"] * 2 + ["forward"] * 2 + ["update"] * 2
    assert list(outer.edge) == [ENTER, LEAVE] * 3


WORDS = [name for name in STAGES if name != "other"]


@st.composite
def rows(draw: st.DrawFn) -> Marks:
    """Any marks of one thread, closed or not, in any order."""
    count = draw(st.integers(0, 60))
    fixed = {"min_size": count, "max_size": count}
    gaps = draw(st.lists(st.integers(1, 1000), **fixed))
    edges = draw(st.lists(st.integers(0, 3), **fixed))
    stages = draw(st.lists(st.integers(0, len(CODE) - 1), **fixed))
    minor = draw(st.lists(st.booleans(), **fixed))
    times = np.cumsum(np.array(gaps, np.int64))
    return Marks(times, *_arrays(edges, stages), np.array(minor, bool))


def _arrays(*columns: Sequence[int]) -> list[np.ndarray]:
    return [np.array(column, np.int64) for column in columns]


@given(rows())
def test_steps_are_in_order_and_never_overlap(made: Marks) -> None:
    """Whatever was marked: steps have a length, follow each other, say their rule."""
    found = find_steps(made)
    assert len(found.start) == len(found.end)
    assert (found.end > found.start).all()
    assert (found.start[1:] >= found.end[:-1]).all()
    assert set(found.start) | set(found.end) <= set(made.t)
    assert bool(found.rule) or not len(found)
