"""Forecasts of the next call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debottleneck.agent.calls import (
    Call,
    Progression,
    differing,
    is_number,
    same,
)


def learned(*numbers: object, data: object = None) -> Progression:
    """A progression that saw these calls."""
    found = Progression()
    for number in numbers:
        found.learn(Call((data, number), {"delay": 0.1}))
    return found


def foreseen(found: Progression, count: int = 3) -> list[object]:
    """The numbers of the next calls."""
    return [call.args[1] for call in found.ahead(count)]


def test_two_equal_steps_are_a_progression() -> None:
    """After 0, 1, 2 come 3, 4, 5; after two calls nothing is sure."""
    assert not learned(0, 1).foresees
    assert foreseen(learned(0, 1, 2)) == [3, 4, 5]
    assert foreseen(learned(9, 6, 3)) == [0, -3, -6]


def test_everything_else_stays_as_it_is() -> None:
    """The very objects of the last call are passed on."""
    data = object()
    (call,) = learned(0, 1, 2, data=data).ahead(1)
    assert call.args[0] is data
    assert call.kwargs == {"delay": 0.1}


def test_another_argument_that_changes_ends_the_forecast() -> None:
    """A loss that is passed along cannot be foreseen."""
    found = learned(0, 1, 2)
    found.learn(Call((None, 3), {"delay": 0.2}))
    assert not found.foresees
    assert found.ahead(3) == []


def test_numbers_at_random_are_not_foreseen() -> None:
    """A shuffled epoch has no constant step."""
    assert not learned(5, 2, 9, 1, 7).foresees


def test_an_epoch_s_turn_is_foreseen_the_second_time() -> None:
    """After 0 1 2 3 0 1 the loop is known to turn at 3."""
    assert foreseen(learned(0, 1, 2, 3, 0, 1), 5) == [2, 3, 0, 1, 2]


def test_a_shuffled_order_that_repeats_is_foreseen() -> None:
    """What followed a number once is expected again."""
    assert foreseen(learned(4, 1, 3, 4), 3) == [1, 3, 4]


def test_numpy_s_numbers_keep_their_type() -> None:
    """An index from an array stays an index of that type."""
    found = learned(*np.arange(3, dtype=np.int32))
    assert [type(n) for n in foreseen(found)] == [np.int32] * 3


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True),
        (1, True, False),
        ("a", "a", True),
        (Path("a"), Path("a"), True),
        ((1, "a"), (1, "a"), True),
        ((1,), (1, 2), False),
        ([1], [1], False),
        (float("nan"), float("nan"), False),
    ],
)
def test_plain_values_are_compared_and_others_by_identity(
    one: object, other: object, expected: bool
) -> None:
    """Two lists may hold other things tomorrow, two paths may not."""
    assert same(one, other) is expected


def test_arrays_are_no_numbers() -> None:
    """True and arrays are not what a loop counts with."""
    assert is_number(3)
    assert is_number(np.int64(3))
    assert not is_number(True)
    assert not is_number(np.array([3]))


def test_calls_of_another_shape_differ_altogether() -> None:
    """One argument more is another kind of call."""
    assert differing(Call((1,), {}), Call((1, 2), {})) is None
    assert differing(Call((1,), {"a": 2}), Call((1,), {"a": 3})) == ("a",)


@given(
    start=st.integers(-(10**6), 10**6),
    step=st.integers(-50, 50),
    seen=st.integers(3, 20),
    ahead=st.integers(1, 20),
)
def test_a_constant_step_is_always_foreseen(
    start: int, step: int, seen: int, ahead: int
) -> None:
    """Whatever it begins with and however far it goes; standing still is none."""
    found = learned(*(start + n * step for n in range(seen)))
    expected = [start + n * step for n in range(seen, seen + ahead)]
    assert foreseen(found, ahead) == (expected if step else [])
