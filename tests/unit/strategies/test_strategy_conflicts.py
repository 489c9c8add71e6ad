from __future__ import annotations

import array
import random
from types import SimpleNamespace

import numpy as np
import pytest

from debottleneck.strategies.conflicts import grouped, reach, sharing, size, span


class Parameter:
    """Holds its value in an attribute, as a user's class does."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value


class Slotted:
    """Holds its value in a slot."""

    __slots__ = ("value",)

    def __init__(self, value: np.ndarray) -> None:
        self.value = value


def test_distinct_arrays_stay_apart() -> None:
    """Every array of its own memory is a group of its own."""
    assert grouped([np.zeros(3) for _ in range(4)]) == [[0], [1], [2], [3]]


def test_the_same_object_twice() -> None:
    """One object in two places is one group, in the original order."""
    first, second = np.zeros(3), np.zeros(3)
    assert grouped([first, second, first]) == [[0, 2], [1]]


def test_views_of_one_array() -> None:
    """Overlapping views belong together, disjoint halves do not."""
    whole = np.zeros(10)
    assert grouped([whole[:6], whole[4:]]) == [[0, 1]]
    assert grouped([whole[:5], whole[5:]]) == [[0], [1]]


def test_a_view_joins_what_it_bridges() -> None:
    """Three views of which the last overlaps both others are one group."""
    whole = np.zeros(10)
    assert grouped([whole[:4], whole[6:], whole[3:7]]) == [[0, 1, 2]]


def test_backward_views() -> None:
    """A view with a negative stride covers the bytes before its first element."""
    whole = np.zeros(10)
    assert grouped([whole[::-1], whole[:2]]) == [[0, 1]]


def test_columns_of_a_matrix_share_nothing() -> None:
    """Columns lie between each other, but no byte belongs to two of them."""
    matrix = np.zeros((8, 3))
    assert grouped([matrix[:, i] for i in range(3)]) == [[0], [1], [2]]
    assert grouped([matrix[:, 0], matrix[2]]) == [[0, 1]]


def test_attributes_are_looked_into() -> None:
    """Two parameters around one array belong together, slots included."""
    value = np.zeros(3)
    assert grouped([Parameter(value), Slotted(value[1:]), Parameter(value * 1)]) == [
        [0, 1],
        [2],
    ]


def test_containers_are_looked_into() -> None:
    """Lists and dicts of arrays count as what they hold."""
    value = np.zeros(3)
    assert grouped([{"w": [value]}, (np.zeros(3), value)]) == [[0, 1]]


def test_pairs_share_by_either_member() -> None:
    """A gradient that is a view of another pair's parameter joins the pairs."""
    one, two = np.zeros(4), np.zeros(4)
    assert grouped([(one, np.ones(4)), (two, one[:2])]) == [[0, 1]]


def test_what_an_object_shares_as_settings_does_not_join() -> None:
    """A common object in an attribute is not entered: only arrays count."""
    settings = SimpleNamespace(rate=0.1)
    parameters = [SimpleNamespace(v=np.zeros(2), settings=settings) for _ in range(2)]
    assert grouped(parameters) == [[0], [1]]


def test_plain_values_share_nothing() -> None:
    """Equal numbers and texts are no memory."""
    assert grouped([1, 1, "a", "a", None, None]) == [[i] for i in range(6)]


def test_empty_arrays_share_nothing() -> None:
    """An array without elements has no span."""
    whole = np.zeros(4)
    assert span(whole[:0]) is None
    assert grouped([whole[:0], whole]) == [[0], [1]]


def test_byte_arrays_and_arrays_of_the_standard_library() -> None:
    """They are buffers too."""
    numbers, raw = array.array("d", [1, 2]), bytearray(8)
    assert grouped([numbers, raw, [numbers], [raw]]) == [[0, 2], [1, 3]]
    assert size([numbers, raw]) == 24


def test_a_cycle_ends() -> None:
    """An object that refers to itself is looked at once."""
    itself: list[object] = [np.zeros(2)]
    itself.append(itself)
    assert len(reach(itself).buffers) == 1


def test_random_generators_are_holders() -> None:
    """A generator changes with every number, though it holds no array."""
    generators = [random.Random(1), np.random.default_rng(1), np.random.RandomState(1)]
    assert reach(generators).holders[1:] == generators


def test_sharing_of_two_lists() -> None:
    """True if any of the one overlaps any of the other."""
    whole = np.zeros(10)
    assert sharing([np.zeros(2), whole[:5]], [whole[4:]])
    assert not sharing([whole[:5]], [whole[5:]])


@pytest.mark.torch
def test_tensors() -> None:
    """Views of one storage belong together, disjoint slices of it do not."""
    torch = pytest.importorskip("torch")
    flat = torch.zeros(10)
    assert grouped([flat[:6], flat[4:].view(2, 3)]) == [[0, 1]]
    assert grouped([flat[:5], flat[5:]]) == [[0], [1]]
    assert grouped([flat, flat.numpy()[3:]]) == [[0, 1]]
    assert size(flat) == 40
    assert span(torch.zeros(2, device="meta")) is None
    assert span(torch.zeros(0)) is None


@pytest.mark.torch
def test_modules() -> None:
    """Modules with a parameter in common belong together, however deep it lies."""
    torch = pytest.importorskip("torch")
    tied = torch.nn.Linear(2, 2)
    one = torch.nn.Sequential(torch.nn.Sequential(tied))
    other = torch.nn.Linear(2, 2)
    other.weight = tied.weight
    assert grouped([one, other, torch.nn.Linear(2, 2)]) == [[0, 1], [2]]
