"""The gate's judgements on outputs written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_trials import output

from debottleneck.trials.gate import FEWEST, distance, judge
from debottleneck.trials.gate_outputs import Output, Outputs, number_steps
from debottleneck.trials.result import Judgement

LOOP = ("load", "forward", "loss", "backward", "update")


def loop(steps: int, stages: Sequence[str] = LOOP) -> list[Output]:
    """A loop each of whose outputs has values of its own; losses are numbers."""
    rng = np.random.default_rng(7)
    made = []
    for step in range(steps):
        for place, stage in enumerate(stages):
            values = rng.normal() if stage == "loss" else rng.normal(size=5)
            made.append(output(stage, values, t_ns=100 * step + place))
    return made


def run(events: Iterable[Output], ended: bool = False) -> Outputs:
    """A run of these outputs."""
    return Outputs(tuple(events), ended)


def changed(events: list[Output], place: int, *arrays: object, **more: str) -> Outputs:
    """The run with another output in that place."""
    new = list(events)
    new[place] = output(new[place].stage, *arrays, **more)
    return run(new)


PLAIN = loop(6)


def against(plain: list[Output], candidate: Outputs) -> Judgement:
    """The candidate held against two plain runs alike."""
    return judge(run(plain), run(plain), candidate)


def test_the_same_bits_are_the_same() -> None:
    """Without a word, and as far as all go: runs are stopped by the clock."""
    assert against(PLAIN, run(PLAIN)) == Judgement("same", steps=6)
    shorter = judge(run(PLAIN), run(PLAIN[:17]), run(PLAIN[:22]))
    assert shorter == Judgement("same", steps=5)


def test_a_script_that_differs_from_itself_is_unverified() -> None:
    """The first difference of the plain runs is named, whatever the candidate does."""
    other = changed(PLAIN, 5 * 3 + 2, 0.25)
    judgement = judge(run(PLAIN), other, run(PLAIN))
    assert judgement.numbers == "unverified"
    assert judgement.why.startswith("your script differs from itself; set its seeds")
    assert "the loss of step 4" in judgement.why


BY_LOOP = [replace(event, step=place // 5 + 1) for place, event in enumerate(PLAIN)]


def test_what_was_made_elsewhere_is_left_out() -> None:
    """Where the loop is known a step is compared by the calls that both have of it."""
    fewer = [e for e in BY_LOOP if e.step < 3 or e.stage not in ("load", "update")]
    assert against(BY_LOOP, run(fewer)) == Judgement("same", steps=6)
    wrong = [replace(e, bits="x") if e.t_ns == 302 else e for e in fewer]
    wrong = [replace(e, sketches=(e.sketches[0] + 1,)) if e.bits == "x" else e
             for e in wrong]  # fmt: skip
    judgement = against(BY_LOOP, run(wrong))
    assert judgement.numbers == "different"
    assert judgement.why.startswith("the loss of step 4: ")
    shorter = against(BY_LOOP, run([e for e in fewer if e.step < 6], ended=True))
    assert shorter.why.startswith("step 6: the script had ended by then")


NAMED = [*PLAIN]
NAMED[10] = output("load", PLAIN[10].sketches[0], name="Source.load_batch")
NAMED[17] = output("loss", 0.81231)
SWAPPED = [*NAMED]
SWAPPED[8], SWAPPED[9] = SWAPPED[9], SWAPPED[8]


@pytest.mark.parametrize(
    ("candidate", "numbers", "why"),
    [
        # Both losses with as many digits as tell them apart.
        (
            changed(NAMED, 17, 0.81252),
            "different",
            "the loss of step 4: 0.8123 against 0.8125",
        ),
        # An array by its function, step and how far it is off.
        (
            changed(NAMED, 10, PLAIN[10].sketches[0] * 1.5, name="Source.load_batch"),
            "different",
            r"Source.load_batch \(load\) of step 3: its values differ by \d\d %",
        ),
        # What goes wrong early makes all that follows differ.
        (
            changed([*changed(NAMED, 21, np.ones(5)).events], 6, np.zeros(5)),
            "different",
            r"forward_fn \(forward\) of step 2: its values differ .*",
        ),
        # Labels, texts and shapes have no tolerance, however close the floats are.
        (
            changed(NAMED, 5, PLAIN[5].sketches[0], rest="labels 3 1 2"),
            "different",
            r"load_fn \(load\) of step 2: other integers, texts or shapes",
        ),
        # A stage in the place of another one.
        (run(SWAPPED), "different", r".*in its place update_fn \(update\) was called"),
        # A rounding is equal within the stated tolerance.
        (
            changed(NAMED, 8, PLAIN[8].sketches[0] * (1 + 1e-9)),
            "equal",
            r"equal within 1e-6 \(summation order\)",
        ),
    ],
)
def test_the_first_difference_is_named(
    candidate: Outputs, numbers: str, why: str
) -> None:
    """With its call, its step and its size."""
    judgement = against(NAMED, candidate)
    assert judgement.numbers == numbers
    assert re.fullmatch(why, judgement.why)


def test_plain_runs_that_differ_by_rounding_can_still_be_judged() -> None:
    """Sums of several threads vary in the last bits; the sentence says so."""
    second = changed(PLAIN, 8, PLAIN[8].sketches[0] * (1 + 1e-12))
    judgement = judge(run(PLAIN), second, run(PLAIN))
    assert judgement.numbers == "equal"
    assert "as two plain runs are" in judgement.why
    other = changed(PLAIN, 8, [1.0] * 5)
    assert judge(run(PLAIN), second, other).numbers == "different"


def test_stages_that_follow_the_clock_are_compared_each_on_its_own() -> None:
    """An evaluation each second lies between other steps in every run."""
    checks = [output("evaluate", 0.5), output("evaluate", 0.6)]

    def at(*places: int) -> Outputs:
        mixed = [*PLAIN]
        for place, check in zip(places, checks, strict=True):
            mixed.insert(place, check)
        return run(mixed)

    assert judge(at(4, 11), at(6, 16), at(5, 20)).numbers == "same"
    wrong = list(at(5, 20).events)
    wrong[9] = output(wrong[9].stage, np.ones(5))
    assert judge(at(4, 11), at(6, 16), run(wrong)).numbers == "different"


@pytest.mark.parametrize(
    ("outputs", "engaged_ns", "remedy"),
    [
        # A handful of equal outputs proves nothing, calls without values neither.
        (PLAIN[: FEWEST - 1], 0, "--steps"),
        ([output(stage) for _ in range(9) for stage in LOOP], 0, "--stage"),
        # Only outputs after a strategy has begun to act speak for it.
        (PLAIN, 450, "too late to be checked; use more --steps"),
    ],
)
def test_too_little_tells_nothing(
    outputs: list[Output], engaged_ns: int, remedy: str
) -> None:
    """It is unverified, and the remedy is named."""
    alike = run(outputs)
    judgement = judge(alike, alike, alike, engaged_ns=engaged_ns)
    assert judgement.numbers == "unverified"
    assert remedy in judgement.why
    early = judge(run(PLAIN), run(PLAIN), run(PLAIN), engaged_ns=150)
    assert early == Judgement("same", steps=6)


def test_batches_that_get_lost_are_found() -> None:
    """A script that ends of itself sooner than the plain one has lost steps."""
    short = run(PLAIN[:25], ended=True)
    judgement = judge(run(PLAIN, ended=True), run(PLAIN, ended=True), short)
    assert judgement.numbers == "different"
    assert judgement.why.startswith("step 6: ")


def test_only_the_thread_that_trains_counts() -> None:
    """Other threads take turns by chance; what they make reaches the trainer."""
    beside = [output("augment", value, thread=3) for value in (1.0, 2.0)]
    first = run([beside[0], *PLAIN, beside[1]])
    second = run([beside[1], beside[0], *PLAIN])
    assert judge(first, second, second).numbers == "same"


def test_equal_infinities_and_nans_do_not_differ() -> None:
    """A loss that has become NaN in the same step is the same loss."""
    odd = np.array([np.nan, np.inf, 1.0])
    plain = [*PLAIN]
    plain[8] = output("backward", odd)
    assert against(plain, run(plain)).numbers == "same"
    other = changed(plain, 8, np.array([np.nan, -np.inf, 1.0]))
    assert against(plain, other).numbers == "different"


def test_values_too_small_to_square_are_compared() -> None:
    """A norm that underflows to zero neither divides nor hides a difference."""
    plain = [*PLAIN]
    plain[8] = replace(output("backward", [1e-200, 2e-200]), norms=(0.0,))
    other = [*PLAIN]
    other[8] = replace(output("backward", [1e-200, 3e-200]), norms=(0.0,))
    assert against(plain, run(other)).numbers == "different"


@pytest.mark.parametrize(
    ("stages", "numbers"),
    [
        (["load", "forward", "update"] * 2, [1, 1, 1, 2, 2, 2]),
        (["load", "load", "forward", "load", "update"], [1, 1, 1, 2, 2]),
        (["load", *["forward", "update"] * 3], [0, 1, 1, 2, 2, 3, 3]),
        (["evaluate", "load", "loss", "load", "loss"], [0, 1, 1, 2, 2]),
        (["forward", "forward", "update", "forward"], [1, 1, 1, 2]),
        (["load", "load", "load"], [1, 2, 3]),
        (["update", "update"], [1, 2]),
        (["evaluate", "step"], [0, 0]),
        ([], []),
    ],
)
def test_steps_are_numbered_as_people_count_them(
    stages: list[str], numbers: list[int]
) -> None:
    """From 1, at each load phase, or at the first kind of computation."""
    assert number_steps(stages) == numbers


FLOATS = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=20)


@given(FLOATS, st.floats(1e-3, 1e3))
def test_distance_is_relative_and_symmetric(values: list[float], scale: float) -> None:
    """Of an array to itself 0, the same both ways, and free of the unit."""
    one, other = output("load", values), output("load", np.array(values)[::-1])
    assert distance(one, one) == 0
    assert distance(one, other) == distance(other, one)
    scaled = [output("load", np.array(v) * scale) for v in (values, values[::-1])]
    assert distance(*scaled) == pytest.approx(distance(one, other), rel=1e-6)


@given(
    st.integers(0, len(PLAIN) - 1),
    st.floats(1e-12, 10).filter(lambda by: not 0.3e-6 < by < 3e-6),
)
def test_every_change_beyond_the_tolerance_is_found(place: int, by: float) -> None:
    """Wherever one output is moved, its size decides between equal and different."""
    values = PLAIN[place].sketches[0] * (1 + by)
    judgement = against(PLAIN, changed(PLAIN, place, values))
    assert judgement.numbers == ("different" if by > 1e-6 else "equal")
