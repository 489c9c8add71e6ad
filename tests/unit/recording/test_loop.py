"""Finding steps: one test a rule, on loops written as a row of stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debottleneck.recording import loop
from debottleneck.recording.loop import (
    BY_HAND,
    CODE,
    LOOP,
    ChosenLoop,
    Marks,
    choose_trainer,
    find_steps,
)
from debottleneck.recording.spool import (
    BY_OPTIMIZER,
    ENTER,
    LEAVE,
    STEP_END,
    STEP_START,
)
from debottleneck.words import STAGES, STEP

EXPLICIT = {
    "|": (BY_HAND, STEP_START),
    "||": (BY_HAND, STEP_END),
    "!": (STEP, STEP_START),
    "!!": (STEP, STEP_END),
}

TICK = 10
"""Nanoseconds between two marks of a written loop."""


def marks(row: str) -> Marks:
    """`load forward [evaluate load ] update` as the marks of one thread.

    A word is a stage entered and left, `word*3` three joined calls; `[word` enters it
    and `]` leaves the last one entered; `zero_grad` is a minor update. Steps by hand
    begin and end with `|` and `||`, a framework's with `!` and `!!`. A loop's mark is
    `<1:3` or, where it is left, `>1:3`: site 1, after three more iterations; `line`
    enters a statement.
    """
    made: list[tuple[int, int, bool, int, int]] = []
    open_stages: list[int] = []
    for word in row.split():
        word, _, calls = word.partition("*")
        if word in EXPLICIT:
            code, edge = EXPLICIT[word]
            made.append((edge, CODE[code], False, 0, 0))
        elif word[0] in "<>":
            site, _, done = word[1:].partition(":")
            edge = STEP_START if word[0] == "<" else STEP_END
            made.append((edge, CODE[LOOP], False, int(site), int(done or 0)))
        elif word == "]":
            made.append((LEAVE, open_stages.pop(), False, 0, 1))
        elif word.startswith("["):
            open_stages.append(CODE[word[1:]])
            made.append((ENTER, open_stages[-1], False, 0, 0))
        else:
            minor = word == "zero_grad"
            code = CODE["update" if minor else word]
            made.append((ENTER, code, minor, 0, 0))
            if word != "line":
                made.append((LEAVE, code, minor, 0, int(calls or 1)))
    edges, stages, minors, *rest = (np.array(c) for c in zip(*made, strict=True))
    times = np.arange(1, len(made) + 1, dtype=np.int64) * TICK
    return Marks(times, edges, stages, minors.astype(bool), *rest)


TRAIN = "load forward loss backward update "


BY_LOADS = "a step begins at each load"
BY_UPDATES = "a step ends with each update"
BY_CALLS = "a step begins at each call of the step function"
HANDS = "a step begins where the script marks it with step()"
BY_FRAMEWORK = "a step begins where the framework begins one"

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
        # A step function outranks the load that feeds it, and its own stages.
        ("load [step forward backward update ] " * 4, BY_CALLS, 3),
        ("load [step ] " * 4, BY_CALLS, 3),
        # ... unless it is called for each of many updates, or was joined.
        (("[step " + "forward update " * 40 + "] ") * 2, BY_UPDATES, 79),
        ("load step*9 " * 4, BY_LOADS, 3),
        # Of tiny calls that were joined none is a step.
        ("load*7 " * 5, "", 0),
        ("forward*7 " * 5, "", 0),
        # A framework runs the loop itself.
        ("! load forward " * 3 + "!! load forward", BY_FRAMEWORK, 3),
        # What a compiler traced once, or a few times, bounds no step.
        ("load loss loss " + "load " * 30, BY_LOADS, 30),
        ("load loss " + "load " * 30 + "loss " + "load " * 40, BY_LOADS, 70),
        # The samples of a batch are loaded one by one.
        (("load " * 30 + "forward ") * 3, BY_LOADS, 2),
        (HAND, HANDS, 3),
        (EPOCHS, HANDS, 4),
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


def the_loop(site: int, tid: int = 1) -> ChosenLoop:
    """A loop that was chosen."""
    return ChosenLoop(site, tid, "for x in loader", "/w/train.py", 24)


ONE_BY_ONE = "<1 line load <1:1 line load <1:1 line load <1:1 line >1:0"
TWICE = f"{ONE_BY_ONE} evaluate {ONE_BY_ONE} log"
EVERY_THIRD = "<1 load <1:1 <1:3 load <1:1 <1:3 >1:0"
INNER = "<1 <2 load <2:1 load >2:1 <1:1 <2 load <2:1 load >2:1 >1:1"


@pytest.mark.parametrize(
    ("row", "starts", "last", "marked"),
    [
        # What remains of an entry, and what lies between two, is of the last step.
        (ONE_BY_ONE, [0, 4, 8], 14, "111"),
        (TWICE, [0, 4, 8, 17, 21, 25], 31, "111111"),
        # Three that were marked as one are three, as long as each other.
        (EVERY_THIRD, [0, 3, 3.333, 3.667, 4, 7, 7.667, 8.333], 9, "10001000"),
        # The loop within is another one.
        (INNER, [0, 8], 16, "11"),
        # One that is still under way, and one that was broken off.
        ("load <1 <1:1 load <1:1 load load", [2, 3], 6, "11"),
        ("<1 load <1:1 load >1:0 load <1:0 load <1:1 >1", [0, 9], 13, "11"),
        # Marks of a loop that was called off, before its first iteration ended.
        ("<1 >1 <1 load <1:1 load <1:1", [2, 5], 8, "11"),
    ],
)
def test_the_chosen_loop_bounds_the_steps(
    row: str, starts: list[float], last: int, marked: str
) -> None:
    """From each iteration's start to the next one's, whatever stages it holds."""
    chosen = the_loop(1)
    steps = find_steps(marks(row), chosen)
    assert steps.rule == chosen.rule()
    assert [t / TICK - 1 for t in steps.start] == pytest.approx(starts, abs=0.1)
    assert steps.end[-1] / TICK - 1 == last
    assert list(steps.end[:-1]) == list(steps.start[1:])
    assert "".join("01"[flag] for flag in steps.marked.astype(int)) == marked


GATHER = "load backward <1:1 load backward <1:1 load backward update <1:1 "
NOW_AND_THEN = "load backward update <1:1 load backward update <1:1 load backward <1:1 "


@pytest.mark.parametrize(
    ("row", "why", "iterations", "count"),
    [
        (GATHER, BY_OPTIMIZER, 3, 4),
        (GATHER, "the stages that you named", 1, 12),
        (NOW_AND_THEN, BY_OPTIMIZER, 1, 12),
        ("load backward update zero_grad <1:1 ", BY_OPTIMIZER, 1, 4),
        ("load zero_grad backward <1:1 load backward <1:1 ", BY_OPTIMIZER, 1, 8),
    ],
    ids=["gathered", "as asked", "mostly", "each", "never"],
)
def test_gathered_gradients_make_one_step(
    row: str, why: str, iterations: int, count: int
) -> None:
    """Where an optimizer's step comes after every third iteration, those are a step."""
    chosen = replace(the_loop(1), why=why)
    steps = find_steps(marks("<1 " + row * 4), chosen)
    assert (steps.iterations, len(steps)) == (iterations, count)
    assert steps.rule == chosen.rule(iterations)
    assert (int(steps.start[0]), int(steps.end[-1])) == (
        TICK,
        len(marks("<1 " + row * 4).t) * TICK,
    )


def test_ends_of_entries_do_not_weigh_more_than_their_number() -> None:
    """Where one iteration in seven is marked, so are one in seven first and last."""
    entry = "<1 load <1:1 <1:3 load <1:1 <1:3 load >1:1 evaluate"
    steps = find_steps(marks(f"{entry} " * 8 + "log"), the_loop(1))
    flags = steps.marked.reshape(8, 9)
    assert flags[:, 4].all()
    assert (flags[1:, 0].sum(), flags[:, 8].sum()) == (1, 1)
    assert flags.sum() == 8 + 1 + 1 + 1  # the very first one is none between two


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("| load " * 4 + "<1 " + "<1:1 load " * 3, HANDS),
        ("! load " * 4 + "<1 " + "<1:1 load " * 3, the_loop(1).rule()),
        ("[step load ] " * 4 + "<1 <1:1 load >1", BY_CALLS),
        ("<2 load <2:1 load <2:1 load >2:1", BY_LOADS),
        ("<1 <1:2000000000 <1:2000000000", ""),
    ],
    ids=["by hand", "a framework", "once", "another loop", "damaged"],
)
def test_what_outranks_the_chosen_loop(row: str, rule: str) -> None:
    """`step()` alone does; a loop of one iteration is none."""
    assert find_steps(marks(row), the_loop(1)).rule == rule


def test_nothing_is_guessed_where_the_loop_is_known() -> None:
    """Loads before the loop, or in its first iteration, are no steps."""
    assert not len(find_steps(marks("load " * 8), known=True))
    row = marks("<1 load load <1:1 load load")
    assert not len(find_steps(row, the_loop(1), known=True))
    assert len(find_steps(row, the_loop(1)))


@pytest.mark.parametrize(
    ("threads", "tid"),
    [
        ({1: TRAIN * 50, 2: "<1 line <1:1 line <1:1"}, 2),
        ({1: "| " * 3, 2: "<1 line <1:1 line <1:1"}, 1),
        ({1: TRAIN * 5, 2: "<1 line"}, 1),
    ],
    ids=["who runs it", "by hand", "not yet"],
)
def test_who_runs_the_chosen_loop_is_the_trainer(
    threads: dict[int, str], tid: int
) -> None:
    """However much another thread computes, but for steps marked by hand."""
    rows = {tid: marks(row) for tid, row in threads.items()}
    assert choose_trainer(rows, 1, the_loop(1, tid=2))[0] == tid


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
    sites = draw(st.lists(st.integers(0, 2), **fixed))
    calls = draw(st.lists(st.integers(0, 5), **fixed))
    edge, stage, site, done = _arrays(edges, stages, sites, calls)
    return Marks(times, edge, stage, np.array(minor, bool), site, done)


def _arrays(*columns: Sequence[int]) -> list[np.ndarray]:
    return [np.array(column, np.int64) for column in columns]


@given(rows(), st.sampled_from([None, 1]))
def test_steps_are_in_order_and_never_overlap(made: Marks, site: int | None) -> None:
    """Whatever was marked: steps have a length, follow each other, say their rule."""
    found = find_steps(made, None if site is None else the_loop(site))
    assert len(found.start) == len(found.end) == len(found.marked)
    assert (found.end > found.start).all()
    assert (found.start[1:] >= found.end[:-1]).all()
    whole = set(found.start[found.marked]) | set(found.end[found.marked])
    assert whole <= set(made.t)
    assert bool(found.rule) or not len(found)
