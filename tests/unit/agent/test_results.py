"""Loads that fill the same memory each time are told from those that do not."""

from __future__ import annotations

import numpy as np
import pytest

from debottleneck.agent.results import reuses

DATA = np.arange(100.0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (DATA, DATA, True),
        (DATA[:10], DATA[:10], True),
        (DATA[:10], DATA[10:20], False),
        (DATA.copy(), DATA.copy(), False),
        ((DATA[:10], 1), (DATA[:10], 2), True),
        ({"x": [DATA]}, {"x": [DATA]}, True),
        ([DATA.copy()], [DATA.copy()], False),
        (np.empty(0), np.empty(0), False),
        (None, None, False),
        (3, 3, False),
    ],
)
def test_the_place_in_memory_decides(
    one: object, other: object, expected: bool
) -> None:
    """Not the object: a new view of an old buffer is the old buffer."""
    assert reuses(one, other) is expected


def test_bytearrays_are_buffers_too() -> None:
    """`file.readinto` fills one again and again."""
    buffer = bytearray(10)
    assert reuses(buffer, buffer)
    assert not reuses(bytearray(10), buffer)


def test_tensors_are_compared_likewise() -> None:
    """By where their first element lies."""
    torch = pytest.importorskip("torch")
    data = torch.arange(10.0)
    assert reuses(data[:5], data[:5])
    assert not reuses(data[:5], data[5:])
    assert not reuses(data.clone(), data.clone())
