"""The gate's judgements on outputs written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_trials import output

from debottleneck.trials.gate import FEWEST, distance, judge
from debottleneck.trials.gate_outputs import Output, Outputs, number_steps

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


def test_the_same_bits_are_the_same() -> None:
    """Three runs alike pass without a word."""
    found = judge(run(PLAIN), run(PLAIN), run(PLAIN))
    assert (found.numbers, found.why) == ("same", "")


def test_runs_of_different_length_are_compared_as_far_as_all_go() -> None:
    """Runs are stopped by the clock, a little sooner or later."""
    found = judge(run(PLAIN), run(PLAIN[:17]), run(PLAIN[:22]))
    assert found.numbers == "same"


def test_a_script_that_differs_from_itself_is_unverified() -> None:
    """The first difference of the plain runs is named, whatever the candidate does."""
    other = changed(PLAIN, 5 * 3 + 2, 0.25)
    found = judge(run(PLAIN), other, run(PLAIN))
    assert found.numbers == "unverified"
    assert found.why.startswith("your script differs from itself; set its seeds")
    assert "the loss of step 4" in found.why


def test_a_loss_that_differs_is_named_with_both_numbers() -> None:
    """Step and both values, with as many digits as tell them apart."""
    plain = [*PLAIN]
    plain[17] = output("loss", 0.81231)
    found = judge(run(plain), run(plain), changed(plain, 17, 0.81252))
    assert found.numbers == "different"
    assert found.why == "the loss of step 4: 0.8123 against 0.8125"


def test_an_array_that_differs_is_named_with_step_stage_and_size() -> None:
    """A load of other rows says which load it was, and by how much it is off."""
    values = PLAIN[10].sketches[0] * [1, 1, 1, 1, 1.5]
    plain = [*PLAIN]
    plain[10] = output("load", PLAIN[10].sketches[0], name="Source.load_batch")
    other = changed(plain, 10, values, name="Source.load_batch")
    found = judge(run(plain), run(plain), other)
    assert found.numbers == "different"
    assert found.why.startswith("Source.load_batch (load) of step 3: its values differ")
    assert found.why.endswith("%")


def test_the_first_of_several_differences_is_named() -> None:
    """What goes wrong early makes all that follows differ."""
    later = list(changed(PLAIN, 21, np.ones(5)).events)
    found = judge(run(PLAIN), run(PLAIN), changed(later, 6, np.zeros(5)))
    assert found.why.startswith("forward_fn (forward) of step 2")


def test_another_order_of_summation_is_equal() -> None:
    """A difference of a rounding is equal within the stated tolerance."""
    other = changed(PLAIN, 8, PLAIN[8].sketches[0] * (1 + 1e-9))
    found = judge(run(PLAIN), run(PLAIN), other)
    assert found.numbers == "equal"
    assert found.why == "equal within 1e-6 (summation order)"


def test_plain_runs_that_differ_by_rounding_can_still_be_judged() -> None:
    """Sums of several threads vary in the last bits; the sentence says so."""
    second = changed(PLAIN, 8, PLAIN[8].sketches[0] * (1 + 1e-12))
    found = judge(run(PLAIN), second, run(PLAIN))
    assert found.numbers == "equal"
    assert "as two plain runs are" in found.why
    assert judge(run(PLAIN), second, changed(PLAIN, 8, [1.0] * 5)).numbers == (
        "different"
    )


def test_integers_have_no_tolerance() -> None:
    """Other labels, texts or shapes are different, however close the floats are."""
    other = changed(PLAIN, 5, PLAIN[5].sketches[0], rest="labels 3 1 2")
    found = judge(run(PLAIN), run(PLAIN), other)
    assert found.numbers == "different"
    assert found.why == "load_fn (load) of step 2: other integers, texts or shapes"


def test_another_order_of_stages_is_different() -> None:
    """A stage in the place of another one is named."""
    swapped = [*PLAIN]
    swapped[8], swapped[9] = swapped[9], swapped[8]
    found = judge(run(PLAIN), run(PLAIN), run(swapped))
    assert found.numbers == "different"
    assert "update_fn (update) was called" in found.why


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


def test_too_few_outputs_tell_nothing() -> None:
    """A handful of equal outputs proves nothing, and the remedy is named."""
    few = run(PLAIN[: FEWEST - 1])
    found = judge(few, few, few)
    assert found.numbers == "unverified"
    assert "--steps" in found.why


def test_stages_that_return_nothing_tell_nothing() -> None:
    """Calls without any value in them are no evidence."""
    empty = run([output(stage) for _ in range(9) for stage in LOOP])
    found = judge(empty, empty, empty)
    assert found.numbers == "unverified"
    assert "--stage" in found.why


def test_a_strategy_that_began_late_was_not_seen() -> None:
    """Only outputs after it has begun to act speak for it."""
    early = judge(run(PLAIN), run(PLAIN), run(PLAIN), engaged_ns=150)
    late = judge(run(PLAIN), run(PLAIN), run(PLAIN), engaged_ns=450)
    assert (early.numbers, late.numbers) == ("same", "unverified")


def test_batches_that_get_lost_are_found() -> None:
    """A script that ends of itself sooner than the plain one has lost steps."""
    short = run(PLAIN[:25], ended=True)
    found = judge(run(PLAIN, ended=True), run(PLAIN, ended=True), short)
    assert found.numbers == "different"
    assert found.why.startswith("step 6: ")


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
    assert judge(run(plain), run(plain), run(plain)).numbers == "same"
    other = changed(plain, 8, np.array([np.nan, -np.inf, 1.0]))
    assert judge(run(plain), run(plain), other).numbers == "different"


def test_values_too_small_to_square_are_compared() -> None:
    """A norm that underflows to zero neither divides nor hides a difference."""
    plain = [*PLAIN]
    plain[8] = replace(output("backward", [1e-200, 2e-200]), norms=(0.0,))
    other = [*PLAIN]
    other[8] = replace(output("backward", [1e-200, 3e-200]), norms=(0.0,))
    assert judge(run(plain), run(plain), run(other)).numbers == "different"


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
    found = judge(run(PLAIN), run(PLAIN), changed(PLAIN, place, values))
    assert found.numbers == ("different" if by > 1e-6 else "equal")
