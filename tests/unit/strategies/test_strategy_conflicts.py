from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from debottleneck.strategies.conflicts import buffers, grouped, size, span


class Parameter:
    """Holds its value in an attribute, as a user's class does."""

    def __init__(self, value: np.ndarray) -> None:
        self.value = value


class Slotted:
    """Holds its value in a slot."""

    __slots__ = ("value",)

    def __init__(self, value: np.ndarray) -> None:
        self.value = value


WHOLE, ONE, TWO, MATRIX = np.zeros(10), np.zeros(4), np.zeros(4), np.zeros((8, 3))
SETTINGS = SimpleNamespace(rate=0.1)


@pytest.mark.parametrize(
    ("values", "groups"),
    [
        pytest.param([np.zeros(3) for _ in range(3)], [[0], [1], [2]], id="distinct"),
        pytest.param([ONE, TWO, ONE], [[0, 2], [1]], id="the same object twice"),
        pytest.param([WHOLE[:6], WHOLE[4:]], [[0, 1]], id="overlapping views"),
        pytest.param([WHOLE[:5], WHOLE[5:]], [[0], [1]], id="disjoint halves"),
        pytest.param([WHOLE[:4], WHOLE[6:], WHOLE[3:7]], [[0, 1, 2]], id="a bridge"),
        pytest.param([WHOLE[::-1], WHOLE[:2]], [[0, 1]], id="a backward view"),
        pytest.param([MATRIX[:, i] for i in range(3)], [[0, 1, 2]], id="columns"),
        pytest.param([MATRIX[:4], MATRIX[4:]], [[0], [1]], id="rows"),
        pytest.param(
            [Parameter(ONE), Slotted(ONE[1:]), Parameter(ONE * 1)],
            [[0, 1], [2]],
            id="attributes and slots",
        ),
        pytest.param([{"w": [ONE]}, (TWO, ONE)], [[0, 1]], id="containers"),
        pytest.param([(ONE, WHOLE), (TWO, ONE[:2])], [[0, 1]], id="a pair's member"),
        pytest.param(
            [SimpleNamespace(v=np.zeros(2), settings=SETTINGS) for _ in range(2)],
            [[0], [1]],
            id="settings in an attribute",
        ),
        pytest.param([1, 1, "a", "a", None], [[i] for i in range(5)], id="plain"),
        pytest.param([WHOLE[:0], WHOLE], [[0], [1]], id="empty"),
    ],
)
def test_values_that_share_memory_are_grouped(
    values: list[Any], groups: list[list[int]]
) -> None:
    """Arrays by the bytes they have in common, wherever they are held."""
    assert grouped(values) == groups


def test_byte_arrays_and_arrays_of_the_standard_library() -> None:
    """They are buffers too; what is empty has no span."""
    assert span(WHOLE[:0]) is None
    numbers, raw = array.array("d", [1, 2]), bytearray(8)
    assert grouped([numbers, raw, [numbers], [raw]]) == [[0, 2], [1, 3]]
    assert size([numbers, raw]) == 24
    assert size(b"four") == 4


def test_what_is_reached() -> None:
    """An object that refers to itself once; attributes one level deep."""
    itself: list[object] = [np.zeros(2)]
    itself.append(itself)
    assert len(buffers(itself)) == 1
    assert buffers(Parameter(ONE)) == [ONE]
    assert buffers(SimpleNamespace(inner=Parameter(ONE))) == []


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
