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


TRAIN = "load forward loss backward update "


BY_LOADS = "a step begins at each load"
BY_UPDATES = "a step ends with each update"
BY_CALLS = "a step begins at each call of the step function"
BY_HAND = "a step begins where the script marks it with step()"

INPUT = "load load augment load transfer forward update " * 3
MINOR = "zero_grad forward backward update " * 4
HAND = "| load forward load forward " * 3 + "|| load forward load forward"
EPOCH = "| load forward | load forward || "
EPOCHS = EPOCH + "evaluate checkpoint " + EPOCH
UNNAMED = TRAIN * 6 + "load forward loss " * 4 + TRAIN * 6


@pytest.mark.parametrize(
    ("row", "rule", "count"),
    [
        (TRAIN * 4, BY_LOADS, 3),
        ("load " * 5, BY_LOADS, 4),
        ("load augment " * 5, BY_LOADS, 4),
        # All input before a computation belongs together.
        (INPUT, BY_LOADS, 2),
        # A collate that fetches rows is one load.
        ("[load load load augment ] forward backward update " * 3, BY_LOADS, 2),
        # Four loads an update: each load is a step; with far fewer, each update is.
        (("load forward backward " * 4 + "update ") * 3, BY_LOADS, 11),
        (("load " + "forward backward update " * 40) * 2, BY_UPDATES, 79),
        # An update a parameter, and layers' backward before: one step.
        ("forward forward backward backward update update " * 4, BY_UPDATES, 3),
        (MINOR, BY_UPDATES, 3),
        # Nothing within `evaluate` bounds a step.
        ((TRAIN * 3 + "[evaluate " + "load forward " * 5 + "] ") * 2, BY_LOADS, 5),
        ("[step forward update ] " * 4 + "[evaluate forward ] ", BY_CALLS, 3),
        # Loads that no training follows are no steps, but in a loop without any.
        (UNNAMED, BY_LOADS, 11),
        ("load forward " * 6, BY_LOADS, 5),
        # A load outside of a step function feeds it.
        ("load [step forward backward update ] " * 4, BY_LOADS, 3),
        (HAND, BY_HAND, 3),
        (EPOCHS, BY_HAND, 4),
        # One mark by hand is no loop, nor is what lies between steps.
        ("| " + TRAIN * 3, BY_LOADS, 2),
        ("load", "", 0),
        ("evaluate log checkpoint " * 5, "", 0),
        # A loop that shows less is bounded by what it shows.
        ("forward loss backward " * 5, "a step ends with each backward pass", 4),
        ("forward loss " * 5, "a step begins at each forward", 4),
        ("update " * 5, "a step begins at each update", 4),
        ("backward " * 5, "a step begins at each backward", 4),
        ("augment " * 5, "a step begins at each augment", 4),
        ("loss " * 5, "a step begins at each loss", 4),
    ],
)
def test_what_bounds_the_steps(row: str, rule: str, count: int) -> None:
    """The rule that the marks show consistently, and how many steps it gives."""
    steps = find_steps(marks(row))
    assert (steps.rule, len(steps)) == (rule, count)


@pytest.mark.parametrize(
    ("row", "starts", "last"),
    [
        (TRAIN * 4, [0, 10, 20], 30),
        (INPUT, [0, 14], 28),
        (MINOR, [7, 15, 23], 31),
        (HAND, [0, 9, 18], 27),
        (EPOCHS, [0, 5, 15, 20], 25),
        (UNNAMED, [0, 10, 20, 30, 40, 50, 84, 94, 104, 114, 124], 134),
    ],
)
def test_where_steps_begin_and_end(row: str, starts: list[int], last: int) -> None:
    """Positions of the marks, 0 for the first."""
    steps = find_steps(marks(row))
    assert [int(t) // TICK - 1 for t in steps.start] == starts
    assert int(steps.end[-1]) // TICK - 1 == last


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
