"""Statements that may change a parameter: what is looked at, and what it tells."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from debottleneck.agent import changes
from debottleneck.agent.changes import LOOKS, ChangePoint, array_in
from debottleneck.agent.plans import LoopPlan
from debottleneck.agent.turns import LoopPoint

Told = list[int]


@pytest.fixture
def told() -> Iterator[Told]:
    """The loops that each change has in common with the one before it."""
    seen: Told = []
    changes.tell_of_changes(lambda point, shared: seen.append(shared))
    yield seen
    changes.tell_of_changes(None)


def test_an_array_that_lives_on_is_told_of(told: Told) -> None:
    """Changed in place or replaced, from the second time on."""
    point, w = ChangePoint(), np.ones(3)
    for _ in range(4):
        point.before(w)
        w = w - 1.0
        point.after(w)
    assert len(told) == 3


@pytest.mark.parametrize("outlives", [True, False])
def test_what_outlives_the_entries_of_a_loop_is_lasting(outlives: bool) -> None:
    """A sum that begins anew each time is not, and is no less told of."""
    point, kept = ChangePoint(), np.ones(3)
    loop = LoopPoint(LoopPlan("for", 1, 2, ""), "")
    for _ in range(3):
        value = kept if outlives else np.ones(3)
        with loop:
            for _ in range(4):
                point.before(value)
                value -= 1.0
                point.after(value)
    assert point.is_lasting is outlives
    assert point.changes == (11 if outlives else 9)


def test_a_loop_over_parameters_changes_another_one_each_time(told: Told) -> None:
    """What comes back to an array is the loop around it, however many there are."""
    point, parameters = ChangePoint(), [np.ones(3) for _ in range(3 * LOOKS)]
    steps, loop = (LoopPoint(LoopPlan("for", n, n, ""), "") for n in (1, 2))
    with steps:
        for _ in range(2):
            with loop:
                for each in parameters:
                    point.before(each)
                    each -= 1.0
                    point.after(each)
    assert told == [1] * len(parameters)


def test_several_arrays_at_one_place_are_told_apart(told: Told) -> None:
    """A function that updates one parameter after the other."""
    point, parameters = ChangePoint(), [np.ones(3), np.ones((2, 2))]
    for _ in range(3):
        for each in parameters:
            point.before(each)
            each -= 1.0
            point.after(each)
    assert len(told) == 4


@pytest.mark.parametrize("make", [lambda: 1.0, lambda: np.ones(3), lambda: [1, 2]])
def test_what_is_made_anew_is_not(told: Told, make: Any) -> None:
    """After so many looks the statement is looked at no more."""
    point = ChangePoint()
    for _ in range(LOOKS + 9):
        value = make()
        point.before(value)
        value = value * 2
        point.after(value)
    assert not told
    assert not point.on


class Holder:
    """Has an array in a slot, one in its dictionary, and one behind a property."""

    __slots__ = ("__dict__", "slot")

    def __init__(self) -> None:
        self.slot = np.ones(3)
        self.kept = np.ones(3)

    @property
    def read(self) -> Any:
        """Is not to run."""
        raise AssertionError("it was read")

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.mark.parametrize(
    ("path", "seen"),
    [("slot", True), ("kept", True), ("read", False), ("missing", False)],
)
def test_no_code_of_the_users_runs(told: Told, path: str, seen: bool) -> None:
    """Attributes are looked at as they are stored; properties are let be."""
    point, holder = ChangePoint((path,)), Holder()
    for _ in range(2):
        point.before(holder)
        point.after(holder)
    assert bool(told) is seen


def test_arrays_are_not_held(told: Told) -> None:
    """Nor are they kept when the statement raises."""
    import weakref

    point, w = ChangePoint(), np.ones(3)
    gone = weakref.ref(w)
    point.before(w)
    point.after(w)
    point.before(w)
    del w
    assert gone() is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.ones(3), True),
        ({"w": np.ones(3)}, True),
        (OrderedDict(a=1, w=np.ones(3)), True),
        ([[np.ones(3)]], True),
        ([[[np.ones(3)]]], False),
        ([0.5, 0.5], True),
        ([[0.5, 0.5], [0.5, 0.5]], True),
        ([1, 2], False),
        ((0.5, 0.5), False),
        (np.ones(1), False),
        (np.arange(3), False),
        (np.float64(2.0), False),
        ("text", False),
    ],
)
def test_which_values_hold_an_array(value: object, found: bool) -> None:
    """A float array of several numbers, or a container that holds one soon."""
    assert (array_in(value, lists=True) is not None) is found
    if not isinstance(array_in(value, lists=True), list):
        assert (array_in(value) is not None) is found


def test_after_the_choice_only_what_never_ran_is_looked_at(told: Told) -> None:
    """The training loop may be another one later."""
    ran, fresh = ChangePoint(), ChangePoint()
    ran.before(1)
    ran.after(1)
    changes.settle(surely=True)
    assert (ran.on, fresh.on) == (False, True)


def test_what_ran_once_is_looked_at_where_nothing_was_seen_to_last(told: Told) -> None:
    """Parameters may change after many turns of what begins anew each time."""
    once, often = ChangePoint(), ChangePoint()
    for point in (once, often, often, often):
        point.before(1)
        point.after(1)
    changes.settle(surely=False)
    assert (once.on, often.on) == (True, False)


def test_a_few_lists_are_kept(told: Told) -> None:
    """The last ones: a list has no weak reference, and may be long."""
    point, first = ChangePoint(), [0.5, 0.5]
    for value in (first, first, *([0.5, 0.5] for _ in range(changes.MOST_LISTS))):
        point.before(value)
        point.after(value)
    assert len(told) == 1
    assert not point.of_arrays
    point.before(first)
    point.after(first)
    assert len(told) == 1


@pytest.mark.parametrize("value", [[0.5, 0.5], np.ones(2)])
def test_a_list_is_looked_at_so_often(told: Told, value: Any) -> None:
    """Else the looks would be most of a loop over its numbers."""
    point = ChangePoint()
    for _ in range(2 * changes.ENOUGH):
        if point.on:
            point.before(value)
            point.after(value)
    assert point.on is not isinstance(value, list)
    assert point.changes >= changes.ENOUGH


def test_what_changed_is_looked_at_once_more(told: Told) -> None:
    """When the training loop is entered again, and the array is still known."""
    point, w = ChangePoint(), np.ones(3)
    for _ in range(2):
        point.before(w)
        point.after(w)
    changes.settle(surely=True)
    changes.look_again()
    assert point.on
    point.before(w)
    point.after(w)
    assert not point.on
    assert len(told) == 2


def test_a_witness_sees_changes_of_its_own_thread_only() -> None:
    """What another thread changes meanwhile is no line's of this one."""

    def change() -> None:
        for _ in range(2):
            point.before(array)
            point.after(array)

    point, array, witness = ChangePoint(), np.zeros(3), changes.ChangeWitness()
    witness.begin()
    other = threading.Thread(target=change)
    other.start()
    other.join()
    assert point.changes == 1
    assert not witness.met()
    change()
    assert witness.met()
    witness.end()
